"""The environment that our own processes read their settings from, and what is told of a stack in `stack.json`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from devstack import clamav, postgres, seaweed
from devstack.keys import ACCOUNTS
from devstack.places import PROGRAMS, ROOT
from devstack.ports import Ports

VERSION = 1
MANY = "1000000"
"""A rate that nobody meets: whoever tries the stack out, or measures it, is not to be held up."""

OPERATOR = "operator"
"""Who is at the command line: migrations, accounts, `bin/manage`, tests. It owns the database and has every key."""

_NOWHERE = "postgres://unused/unused"
_ROLES = {
    OPERATOR: postgres.OWNER,
    "web": "strongroom_web",
    "audit": "strongroom_sequencer",
    **dict.fromkeys(
        ("validate", "scan", "apart", "finalize", "default", "reconcile", "scrub", "metrics"), "strongroom_worker"
    ),
}
"""As whom a process connects to the database. One that is not here (beat, flower, door) does not connect."""

_SHORT = 70
"""A TMPDIR longer than this leaves no room for the sockets that programs make in it."""


@dataclass(frozen=True)
class Site:
    """One stack: its folder, its sockets' folder, ports, secrets, and the settings that the caller wants otherwise.

    `via` names servers that our own processes reach by another port, where somebody stands between (`bench.breaking`).
    """

    data: Path
    sockets: Path
    ports: Ports
    secrets: Mapping[str, str] = field(repr=False)
    overrides: Mapping[str, str]
    via: Mapping[str, int] = field(default_factory=dict)

    @property
    def root(self) -> str:
        """The web's address without a path."""
        return f"http://127.0.0.1:{self.ports['web']}"

    def reached(self, name: str) -> int:
        """Return the port by which our processes reach a server."""
        return self.via.get(name, self.ports[name])

    def database(self, role: str) -> str:
        """Return where PostgreSQL is, with the name and password of one of its roles."""
        password = self.secrets[postgres.SECRETS[role]]
        return f"postgres://{role}:{password}@127.0.0.1:{self.reached('postgres')}/strongroom"

    @property
    def broker_url(self) -> str:
        """Where Valkey is, with the password."""
        return f"redis://:{self.secrets['valkey']}@127.0.0.1:{self.reached('valkey')}/0"

    @property
    def flower(self) -> str:
        """Where browsers find Flower: at its door."""
        return f"http://127.0.0.1:{self.ports['door']}/flower/"

    @property
    def mails(self) -> Path:
        """The folder that mails are written to instead of being sent."""
        return self.data / "mails"

    @property
    def metrics(self) -> str:
        """The address that the metrics are served at."""
        return f"127.0.0.1:{self.ports['metrics']}"


def settings(site: Site, process: str) -> dict[str, str]:
    """Return the whole environment of a process of the Procfile, or of OPERATOR; each has credentials of its own."""
    key, secret = seaweed.credentials("api" if process == "web" else "worker", site.secrets)
    return {
        **_inherited(),
        "PATH": f"{PROGRAMS}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "SECRET_KEY": site.secrets["django"],
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "CSRF_TRUSTED_ORIGINS": f"http://127.0.0.1:{site.ports['web']},http://localhost:{site.ports['web']}",
        "TRUSTED_PROXY_COUNT": "0",
        "HTTPS": "false",  # everything is on loopback
        "DATABASE_URL": site.database(_ROLES[process]) if process in _ROLES else _NOWHERE,
        "BROKER_URL": site.broker_url,
        "S3_ENDPOINT_URL": f"http://127.0.0.1:{site.reached('s3')}",
        "S3_PUBLIC_ENDPOINT_URL": seaweed.endpoint(site.ports),
        "S3_ACCESS_KEY_ID": key,
        "S3_SECRET_ACCESS_KEY": secret,
        "QUARANTINE_BUCKET": seaweed.QUARANTINE,
        "VAULT_BUCKET": seaweed.VAULT,
        "AUDIT_ENCRYPTION_KEYS": site.secrets["audit"],
        "AUDIT_SIGNING_KEYS": site.secrets["signing"] if process in {"audit", OPERATOR} else "",
        "WEB_HOST": "127.0.0.1",
        "PORT": str(site.ports["web"]),
        "DOOR_BIND": f"127.0.0.1:{site.ports['door']}",
        "METRICS_BIND": site.metrics,
        "RECONCILE_SECONDS": "1",
        **_people(site),
        **_scanner(site),
        **_files(site),
        **site.overrides,
    }


def describe(site: Site, pids: Mapping[str, int], *, processes: bool) -> dict[str, Any]:
    """Return the content of `stack.json`. Without `processes` it tells of the servers alone."""
    site = replace(site, via={})  # whoever reads this comes from outside, and goes straight
    chosen = clamav.choice(site.data)
    ours = {
        "api": f"{site.root}/api",
        "console": f"{site.root}/",
        "admin": f"{site.root}/admin/",
        "metrics": f"http://{site.metrics}/metrics",
        "flower": site.flower,
        "mails": str(site.mails),
        "accounts": {name: {"username": name, **_credentials(site, name)} for name in ACCOUNTS},
    }
    return {
        "version": VERSION,
        **(ours if processes else {}),
        "s3_endpoint": seaweed.endpoint(site.ports),
        "database_url": site.database(postgres.OWNER),
        "database_roles": {role: site.database(role) for role in postgres.SECRETS},
        "broker_url": site.broker_url,
        "clamd": f"unix://{site.sockets / 'clamd.sock'}" if chosen["engine"] == "clamd" else "",
        "engine": chosen["engine"],
        "signatures": chosen["signatures"],
        "pids": dict(pids),
        "s3": {"quarantine": seaweed.QUARANTINE, "vault": seaweed.VAULT, **_identities(site)},
        "data": str(site.data),
    }


def accounts(site: Site) -> list[dict[str, str]]:
    """Return the accounts as `manage.py identity ensure` reads them."""
    return [
        {"username": name, "email": f"{name}@example.test", "role": role, **_credentials(site, name)}
        for name, role in ACCOUNTS.items()
    ]


def _inherited() -> dict[str, str]:
    """Return the environment we were started with, less what could lead boto3 to somebody's real account."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
        "PYTHONPATH": str(ROOT)
    }


def _people(site: Site) -> dict[str, str]:
    return {
        "MFA_ENCRYPTION_KEYS": site.secrets["mfa"],
        "ENFORCE_INITIAL_PASSWORD_CHANGE": "false",
        "PUBLIC_URL": site.root,
        "FLOWER_URL": site.flower,
        "CORS_ALLOWED_ORIGINS": seaweed.DEVELOPMENT_ORIGIN,
        "MAIL_FOLDER": str(site.mails),
        "DEFAULT_FROM_EMAIL": "Strongroom <no-reply@example.test>",
        **dict.fromkeys(
            ("UPLOADS_PER_HOUR", "DOWNLOADS_PER_HOUR", "INVESTOR_CALLS_PER_MINUTE", "ADMIN_CALLS_PER_MINUTE"), MANY
        ),
    }


def _scanner(site: Site) -> dict[str, str]:
    chosen = clamav.choice(site.data)
    if chosen.get("engine") == "builtin":
        return {"SCANNER": "builtin", "SCANNER_BUILTIN_ALLOWED": "true"}
    return {
        "SCANNER": "clamd",
        "CLAMD_ADDRESS": f"unix://{site.sockets / 'clamd.sock'}",
        "SCANNER_TEST_SIGNATURES": "false" if chosen.get("signatures") == "official" else "true",
    }


def _files(site: Site) -> dict[str, str]:
    temporary = site.data / "tmp"
    return {
        "TMPDIR": str(temporary if len(str(temporary)) < _SHORT else site.sockets),
        "STATIC_ROOT": str(site.data / "static"),
        "BEAT_SCHEDULE": str(site.data / "state" / "beat"),
        "FLOWER_SOCKET": str(site.sockets / "flower.sock"),
        "FLOWER_BASIC_AUTH": _flower_login(site),
        "STRONGROOM_STACK": str(site.data / "stack.json"),
    }


def _credentials(site: Site, name: str) -> dict[str, str]:
    return {"password": site.secrets[f"account_{name}"], "totp_secret": site.secrets[f"totp_{name}"]}


def _flower_login(site: Site) -> str:
    return f"flower:{site.secrets['flower']}"


def _identities(site: Site) -> dict[str, dict[str, str]]:
    pairs = {name: seaweed.credentials(name, site.secrets) for name in seaweed.IDENTITIES}
    return {name: {"access_key_id": key, "secret_access_key": secret} for name, (key, secret) in pairs.items()}
