"""What is taken, and what is done about what was found: the policy, which is data (`policy.toml`).

The file is read once and checked whole, so that a mistake in it stops the start and not an upload. What
a finding means for a version is decided here and nowhere else.
"""

import hashlib
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from pipeline import reasons
from pipeline.inspection import findings, formats
from pipeline.inspection.report import Report
from pipeline.models import DocType

SHIPPED: Final = Path(__file__).with_name("policy.toml")
DECISIONS: Final = frozenset({"allow", "flag", "reject"})
# These say that nobody has looked at all of it: to let them pass would be to call clean what is not known to be.
_ALWAYS_REJECTED: Final = frozenset(
    {
        findings.EMPTY,
        findings.TYPE_NOT_ALLOWED,
        findings.TYPE_MISMATCH,
        findings.ENCRYPTED,
        findings.DAMAGED,
        findings.UNPACKED_TOO_LARGE,
        findings.TOO_MANY_MEMBERS,
        findings.NESTED_TOO_DEEP,
        findings.COMPRESSION_NOT_READABLE,
        findings.PIXEL_FLOOD,
    }
)


class Unsound(Exception):
    """The policy's file cannot be used; the message says why."""


@dataclass(frozen=True)
class Judgement:
    """What becomes of a file: the reason code that ends it ("" if it goes on), and the findings that are flagged."""

    reason_code: str
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Room:
    """What one type of document takes: names of formats, and bytes."""

    formats: frozenset[str]
    max_bytes: int


@dataclass(frozen=True)
class Policy:
    """The whole of it, and the SHA-256 of its file."""

    rooms: dict[str, Room]
    decisions: dict[str, str]
    digest: str

    def judge(self, report: Report, *, doc_type: str, size: int) -> Judgement:
        """Say what becomes of a file of `size` bytes for which the sandbox has made this report."""
        room = self.rooms[doc_type]
        found = [kind for kind in self.decisions if kind in report.kinds]  # in the file's order: the gravest first
        rejected = [kind for kind in found if self.decisions[kind] == "reject"]
        if not rejected and report.format not in room.formats:
            rejected = [findings.TYPE_NOT_ALLOWED]
        if not rejected and size > room.max_bytes:
            return Judgement(reasons.TOO_LARGE, ())
        flags = tuple(kind for kind in found if self.decisions[kind] == "flag")
        return Judgement(reasons.OF_FINDING[rejected[0]] if rejected else "", flags)


def load() -> Policy:
    """The policy of POLICY_FILE, or the one that is shipped. Raises Unsound."""
    return _read(Path(settings.POLICY_FILE) if settings.POLICY_FILE else SHIPPED)


@cache
def _read(path: Path) -> Policy:
    try:
        text = path.read_bytes()
        values = tomllib.loads(text.decode())
    except (OSError, ValueError) as error:
        raise Unsound(f"{path}: {error}") from error
    try:
        return _policy(values, hashlib.sha256(text).hexdigest())
    except Unsound as error:
        raise Unsound(f"{path}: {error}") from error


def _policy(values: dict[str, Any], digest: str) -> Policy:
    if set(values) != {"version", "documents", "findings"} or values["version"] != 1:
        raise Unsound("needs version = 1, [documents.…] and [findings], and nothing else")
    documents = values["documents"]
    if set(documents) != set(DocType.values):
        raise Unsound(f"[documents] must name exactly {', '.join(DocType.values)}")
    rooms = {name: _room(name, room) for name, room in documents.items()}
    return Policy(rooms, _decisions(values["findings"]), digest)


def _room(name: str, values: dict[str, Any]) -> Room:
    if set(values) != {"formats", "max_bytes"}:
        raise Unsound(f"[documents.{name}] needs formats and max_bytes, and nothing else")
    unknown = set(values["formats"]) - formats.NAMES
    if unknown:
        raise Unsound(f"[documents.{name}] names formats that do not exist: {', '.join(sorted(unknown))}")
    if type(values["max_bytes"]) is not int or values["max_bytes"] < 1:
        raise Unsound(f"[documents.{name}] max_bytes must be a number of bytes")
    return Room(frozenset(values["formats"]), values["max_bytes"])


def _decisions(values: dict[str, Any]) -> dict[str, str]:
    if missing := set(findings.KINDS) - set(values):
        raise Unsound(f"[findings] must decide about {', '.join(sorted(missing))}")
    if unknown := set(values) - set(findings.KINDS):
        raise Unsound(f"[findings] names what is never found: {', '.join(sorted(unknown))}")
    for kind, decision in values.items():
        if decision not in DECISIONS:
            raise Unsound(f"[findings] {kind} must be allow, flag or reject")
        if kind in _ALWAYS_REJECTED and decision != "reject":
            raise Unsound(f"[findings] {kind} can only be rejected: nobody could look at all of such a file")
    return dict(values)
