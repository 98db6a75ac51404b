"""What the tests here read: the compose file as it is written, the Procfile, the variables of `.env.example`."""

import re
from pathlib import Path
from typing import Any

import yaml

from devstack import procfile
from devstack.places import ROOT

DEPLOY = ROOT / "deploy"
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
# Without Flower's door: here it is nginx's, by the same rules (test_flower_door.py).
PROCESSES = {name: line for name, line in procfile.read(ROOT / "Procfile").items() if name != "door"}
WORKERS = ("validate", "scan", "apart", "finalize", "audit", "default")
ONCE = ("roles", "migrate", "buckets")
OURS = (*PROCESSES, "migrate", "buckets")
THEIRS = ("roles", "db", "broker", "s3", "s3gate", "clamav", "freshclam", "nginx")

_REFERENCE = re.compile(r"\$\{(\w+)(?:(:?[-?])([^}]*))?\}")


def environment(service: str) -> dict[str, str | None]:
    """Return a service's environment as written; None is a variable that is passed on if it is set."""
    return dict(SERVICES[service].get("environment", {}))


def referenced() -> set[str]:
    """Return every variable that the compose file takes from outside."""
    passed_on = {name for service in SERVICES for name, value in environment(service).items() if value is None}
    return {match[1] for match in _REFERENCE.finditer(TEXT)} | passed_on


def required() -> set[str]:
    """Return the variables without which Compose refuses to start anything."""
    return {match[1] for match in _REFERENCE.finditer(TEXT) if match[2] in {":?", "?"}}


def may_be_empty() -> set[str]:
    """Return those of them that must be said, if only to say that there is none."""
    return {match[1] for match in _REFERENCE.finditer(TEXT) if match[2] == "?"}


def filled(service: str, given: dict[str, str]) -> dict[str, str]:
    """Return a service's environment as its process finds it. Raises KeyError where Compose would refuse."""

    def value(match: re.Match[str]) -> str:
        return given.get(match[1]) or match[3] if match[2] == ":-" else given[match[1]]

    written = environment(service)
    passed_on = {name: given[name] for name, text in written.items() if text is None and name in given}
    return passed_on | {name: _REFERENCE.sub(value, text) for name, text in written.items() if text is not None}


def assigned(path: Path) -> dict[str, str]:
    """Return the variables of a .env file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
