"""Records that a process of ours has started, with digests of what it will go by: `process.started`.

Two processes with the same digests decide alike, and a change of policy or configuration stands in the log
without telling what it was. A start is never held up: where the database is away it is said in the logs, and
whoever called asks again.
"""

import hashlib
import json
import re
from pathlib import PurePath
from typing import Any, Final

import structlog
from django.conf import global_settings, settings
from django.db import Error, connection, transaction

from audit import actions, trail
from audit.trail import Ref
from pipeline import policy

log = structlog.get_logger(__name__)

AGAIN_SECONDS: Final = 5.0
# Never in a digest: with a few guesses at a weak one whoever reads the log could find it out.
_SECRET: Final = re.compile(r"KEY|SECRET|PASSWORD|TOKEN|USER|DATABASE|CACHE|BROKER|CREDENTIAL")
_NO_SECRET_AFTER_ALL: Final = frozenset(
    {
        *("AUTH_USER_MODEL", "KNOX_TOKEN_MODEL", "AUTH_PASSWORD_VALIDATORS", "PASSWORD_HASHERS"),
        *("PASSWORD_CONTEXT_WORDS", "ENFORCE_INITIAL_PASSWORD_CHANGE"),
    }
)
_LOGIN_IN_A_URL: Final = re.compile(r"//[^/\s]*@")
_NOTHING: Final = object()


def recorded(process: str) -> bool:
    """Record the start of `process`; False, and a line in the logs, where that cannot be done now.

    Closes the connection that it used: whoever starts processes may fork next.
    """
    try:
        _record(process)
    except (Error, policy.Unsound) as fault:  # also that the tables are not there yet
        log.error("start_not_recorded", process=process, fault=type(fault).__name__)
        return False
    finally:
        connection.close()
    return True


def configuration() -> dict[str, str]:
    """Return every setting that differs from Django's own and is not secret, as JSON.

    One with a login in an address is left out.
    """
    known = {name: _text(getattr(settings, name)) for name in dir(settings) if name.isupper() and _tellable(name)}
    known = {name: text for name, text in known.items() if text != _text(getattr(global_settings, name, _NOTHING))}
    return {name: text for name, text in known.items() if not _LOGIN_IN_A_URL.search(text)}


def _record(process: str) -> None:
    digest = hashlib.sha256(json.dumps(configuration(), sort_keys=True).encode()).hexdigest()
    version = str(settings.SPECTACULAR_SETTINGS["VERSION"])
    with transaction.atomic():
        trail.record(
            actions.PROCESS_STARTED,
            actor=Ref("system", process),
            object=Ref("process", process),
            details=f"Started {process}, version {version}.",
            facts={
                "process": process,
                "version": version,
                "policy_sha256": policy.load().digest,
                "settings_sha256": digest,
            },
        )


def _tellable(name: str) -> bool:
    return name in _NO_SECRET_AFTER_ALL or not _SECRET.search(name)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=_named)


def _named(value: Any) -> str:
    """What JSON has no form for: paths by their text, all else by its kind, since a repr may differ at each start."""
    return str(value) if isinstance(value, PurePath) else getattr(value, "__qualname__", type(value).__qualname__)
