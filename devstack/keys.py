"""The passwords and keys of a stack: made once and kept in `DIR/secrets.json`, because the data needs them again."""

import base64
import os
from pathlib import Path
from secrets import token_hex, token_urlsafe

from devstack import jsonfile, postgres
from devstack.seaweed import IDENTITIES, JWT_KEYS

ACCOUNTS = {"admin": "admin", "admin2": "admin", "auditor": "auditor", "alice": "investor", "bob": "investor"}
"""The people every stack has, and their roles. Two admins, because some acts take two people."""


def load(data: Path) -> dict[str, str]:
    """Return the stack's secrets by name; those that are missing are made and written down."""
    path = data / "secrets.json"
    known = jsonfile.read(path)
    if missing := {name: value for name, value in _fresh().items() if name not in known}:
        known |= missing
        jsonfile.write(path, known)
    return known


def _fresh() -> dict[str, str]:
    return {
        **{name: token_urlsafe(24) for name in (*postgres.SECRETS.values(), "valkey", "flower")},
        "django": token_urlsafe(50),
        "audit": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        "signing": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        "mfa": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        **{f"s3_{name}": token_urlsafe(30) for name in IDENTITIES},
        **{f"s3_{name}_id": token_hex(10).upper() for name in IDENTITIES},
        **{f"weed_{name.lower()}": token_hex(32) for name in JWT_KEYS},
        **{f"account_{name}": token_urlsafe(12) for name in ACCOUNTS},
        **{f"totp_{name}": base64.b32encode(os.urandom(20)).decode() for name in ACCOUNTS},
    }
