"""Make the `.env` of docker-compose.yml: `python3 deploy/newenv.py [--web URL] [--files URL] [--out FILE]`.

Every secret is random and new. The file is for its owner only (0600), and one that is there already is left as it is:
it holds the keys of what is stored. `--add NAME...` appends variables that a newer release asks for, and changes none;
you name them, because a key that got lost must not be replaced in silence. Needs nothing but Python.
"""

import argparse
import base64
import os
import secrets
import sys
from pathlib import Path
from urllib.parse import urlsplit

_CREDENTIALS = ("API", "WORKER", "ADMIN")
_ROLES = ("WEB", "WORKER", "SEQUENCER")


def main(words: list[str]) -> int:
    """Write the file. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Make the .env of docker-compose.yml.")
    parser.add_argument("--web", default="http://localhost:8080", help="where browsers find the service")
    parser.add_argument("--files", default="http://localhost:8081", help="where browsers find S3: another host or port")
    parser.add_argument("--out", type=Path, default=Path(".env"))
    parser.add_argument("--add", nargs="+", default=[], metavar="NAME", help="append these to the file that is there")
    said = parser.parse_args(words)
    values = environment(said.web, said.files)
    try:
        made = _add(said.out, values, said.add) if said.add else _make(said.out, values)
    except (Refused, OSError) as refused:
        print(refused, file=sys.stderr)
        return 1
    print(f"{said.out}: {made} variables. Keep a copy where the backups are not.")
    return 0


class Refused(Exception):
    """The file is left as it was; the message says why."""


def _make(path: Path, values: dict[str, str]) -> int:
    """Write a new file; return how many variables it has. Raises Refused."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Refused(f"{path} is there already and is left alone: it holds the keys of what is stored") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(_lines(values))
    return len(values)


def _add(path: Path, values: dict[str, str], names: list[str]) -> int:
    """Append variables, all or none; return how many. Raises Refused."""
    text = path.read_text()
    there = {line.partition("=")[0].strip() for line in text.splitlines()}
    if wrong := [name for name in names if name in there or name not in values]:
        raise Refused(f"{path} is left as it was: {', '.join(wrong)} is there already, or nothing that can be made")
    with path.open("a") as file:
        file.write(("" if text.endswith("\n") or not text else "\n") + _lines({name: values[name] for name in names}))
    return len(names)


def _lines(values: dict[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())


def environment(web: str, files: str) -> dict[str, str]:
    """Return all that the compose file asks for. Secrets are URL-safe, because some become parts of URLs."""
    site = urlsplit(web)
    return {
        "ALLOWED_HOSTS": site.hostname or "",
        "CSRF_TRUSTED_ORIGINS": web,
        "PUBLIC_URL": web,
        "HTTPS": "true" if site.scheme == "https" else "false",
        "S3_PUBLIC_ENDPOINT_URL": files,
        "S3_ALLOWED_ORIGINS": web,
        "SECRET_KEY": secrets.token_urlsafe(64),
        "AUDIT_ENCRYPTION_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "AUDIT_SIGNING_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "MFA_ENCRYPTION_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "POSTGRES_PASSWORD": secrets.token_urlsafe(32),
        "DATABASE_PASSWORD": secrets.token_urlsafe(32),
        **{f"DATABASE_{role}_PASSWORD": secrets.token_urlsafe(32) for role in _ROLES},
        "BROKER_PASSWORD": secrets.token_urlsafe(32),
        **{f"S3_{name}_ACCESS_KEY_ID": f"{name.lower()}-{secrets.token_hex(6)}" for name in _CREDENTIALS},
        **{f"S3_{name}_SECRET_ACCESS_KEY": secrets.token_urlsafe(32) for name in _CREDENTIALS},
        "S3_SSE_KEK": secrets.token_hex(32),
        "FLOWER_BASIC_AUTH": f"flower:{secrets.token_urlsafe(24)}",
        "EMAIL_HOST_PASSWORD": "",  # your mail server's, if it asks for one
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
