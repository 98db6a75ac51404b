"""What is asked of the malware scanners, and what their answers mean.

Clean is said in one case only: clamd answered a complete, exact OK, about exactly the bytes that were
pinned and about every part packed inside that it does not see by itself, with fresh signatures, and no
rule of the second engine matched. What any of them found is a verdict; everything else is `Unavailable`,
a fault, and the version stands where it is until it can be asked again.
"""

import hashlib
import json
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Final

from django.conf import settings

from pipeline import clamav, reasons, rules, sandbox, standin
from pipeline.sandbox import Part

SMALLEST: Final = 6  # bytes; clamd answers OK to anything shorter without looking, and nothing can be in it
# Parts that clamd unpacks by itself: the members of a zip, which `strict_zip` has let pass.
# Every other is streamed to it, above all the attachments of a PDF, many of which it passes over.
SEEN_BY_CLAMD: Final = frozenset({"member"})
UNREADABLE: Final = "Heuristics.Broken.Parts"  # ours, in the words of clamd
_DATED = re.compile(r"^ClamAV (?P<engine>[^/]+)/(?P<version>\d+)/(?P<date>.+)$")
_FOUND = re.compile(r"^stream: (?P<name>.+) FOUND$")
_KIND = re.compile(r"[a-z][a-z_]{0,31}")
_AHEAD: Final = timedelta(days=1)  # clamd says the date without its time zone

Unavailable = clamav.Unavailable
Parts = Iterable[Part] | Callable[[], Iterable[Part]]


class Stale(Unavailable):
    """The signatures are too old, or their age is unknown."""


@dataclass(frozen=True)
class Engine:
    """Who scans: engine, its version, and the version and date of its signatures."""

    name: str
    version: str
    signatures: str
    dated: datetime | None


@dataclass(frozen=True)
class Standing:
    """By whom documents can be scanned now, and at how many of how many addresses."""

    engine: Engine
    answering: int
    addresses: int


@dataclass(frozen=True)
class Verdict:
    """What was scanned (bytes, SHA-256, parts), by whom, in how many seconds, and what was found.

    `code` is "clean" or one of `reasons`; `signature` is the engine's own name of the finding, and in
    which part if not in the whole. `age_days` is the age of the signatures, None where they have no date.
    `rules_sha256` tells the second engine's rules ("" for none), `config_sha256` everything of ours that
    decides, so that two verdicts can be compared.
    """

    code: str
    signature: str
    engine: Engine
    age_days: int | None
    rules_sha256: str
    config_sha256: str
    size: int
    sha256: str
    parts: int
    seconds: float

    @property
    def clean(self) -> bool:
        """Whether the engines looked at all of it and found nothing."""
        return self.code == "clean"


def scan(chunks: Iterable[bytes], *, size: int, sha256: str, parts: Parts = (), policy_sha256: str = "") -> Verdict:
    """Stream `chunks`, then each of `parts`, through the engines in constant memory and return the verdict.

    `size` (bytes) and `sha256` (hex) are what the chunks must add up to for a clean verdict. `parts` are
    called for, or begun, when the chunks are done, unless malware was in those. `policy_sha256` becomes
    part of `config_sha256`. Raises `Unavailable` when there was no complete answer about all of it and
    `Stale` for old signatures; lets through what `chunks` and `parts` raise, save `sandbox.Unreadable`,
    which is a finding.
    """
    started, own = time.monotonic(), _rules()
    who, line = _first_engine()
    look = _Look(line.address if line else None, [*own] if line else [standin.rules(), *own])
    with line or nullcontext():
        whole = look.at_whole(chunks, line)
    if not look.found and (whole.size, whole.digest.hexdigest()) != (size, sha256):
        raise Unavailable("The bytes that were scanned are not those that were validated.")
    look.at_parts(parts)
    found, rules_sha256 = look.gravest, own[0].digest if own else ""
    return Verdict(
        code=found.code if found else "clean",
        signature=str(found or ""),
        engine=who,
        age_days=_age(who.dated).days if who.dated else None,
        rules_sha256=rules_sha256,
        config_sha256=_config(policy_sha256, rules_sha256),
        size=whole.size,
        sha256=whole.digest.hexdigest(),
        parts=look.parts.total(),
        seconds=time.monotonic() - started,
    )


def unpacks_nothing() -> bool:
    """Whether an engine is at work that opens nothing by itself: rules of the operator's, or the stand-in."""
    return bool(settings.YARA_RULES) or settings.SCANNER == "builtin"


def check() -> Standing:
    """Say who scans documents now. Raises `Unavailable`, or `Stale` where nobody has fresh signatures."""
    _rules()
    if settings.SCANNER == "builtin":
        return Standing(_builtin(), 1, 1)
    there, left_out = _addresses()
    answers = [answer for _, answer in _answers(there)]
    if not any(isinstance(answer, Engine) for answer in answers):
        answers += [answer for _, answer in _answers(left_out)]
    fresh = [answer for answer in answers if isinstance(answer, Engine)]
    if not fresh:
        raise _decisive([answer for answer in answers if isinstance(answer, Unavailable)])
    return Standing(fresh[0], len(fresh), len(there) + len(left_out))


# --- who scans -----------------------------------------------------------------------------------
def _first_engine() -> tuple[Engine, clamav.Line | None]:
    """The first with fresh signatures, from a random one on, and a line to it; the stand-in needs none."""
    if settings.SCANNER == "builtin":
        return _builtin(), None
    faults = []
    for address, answer in _answers(chain(*_addresses())):
        try:
            if isinstance(answer, Engine):
                return answer, clamav.Line(address)
        except Unavailable as fault:
            answer = fault
        faults.append(answer)
    raise _decisive(faults)


def _addresses() -> tuple[list[str], list[str]]:
    return clamav.roll.call(clamav.addresses(), first=secrets.randbelow(1 << 16), now=time.monotonic())


def _answers(addresses: Iterable[str]) -> Iterator[tuple[str, Engine | Unavailable]]:
    """Ask one after the other who it is, and say what is wrong with those that cannot scan."""
    for address in addresses:
        try:
            with clamav.Line(address) as line:
                who = _engine(line.version())
            _require_fresh(who)
        except Unavailable as fault:
            yield address, fault
        else:
            yield address, who


def _decisive(faults: list[Unavailable]) -> Unavailable:
    """Old signatures say more than a line that is dead: fresh ones would help."""
    stale = [fault for fault in faults if isinstance(fault, Stale)]
    return [*stale, *faults, Unavailable("CLAMD_ADDRESSES names no clamd.")][0]


def _builtin() -> Engine:
    return Engine("builtin", rules.version(), "built in", None)


def _engine(words: str) -> Engine:
    dated = _DATED.match(words)
    if dated is None:
        return Engine("clamd", words.removeprefix("ClamAV ")[:64], "undated", None)
    return Engine("clamd", dated["engine"], dated["version"], _moment(dated["date"]))


def _require_fresh(who: Engine) -> None:
    if settings.SCANNER_TEST_SIGNATURES:
        return
    if who.dated is None or _age(who.dated) < -_AHEAD:
        raise Stale("The age of the signatures is unknown.")
    if _age(who.dated) > timedelta(days=settings.SCANNER_MAX_AGE_DAYS):
        raise Stale(f"The signatures are {_age(who.dated).days} days old.")


def _moment(words: str) -> datetime | None:
    try:
        return datetime.strptime(words.strip(), "%a %b %d %H:%M:%S %Y").replace(tzinfo=UTC)
    except ValueError:
        return None


def _age(dated: datetime) -> timedelta:
    return datetime.now(UTC) - dated


# --- by what rules -------------------------------------------------------------------------------
def _rules() -> list[rules.Rules]:
    try:
        own = rules.current()
    except rules.Unsound as unsound:
        raise Unavailable(f"The rules of YARA_RULES cannot be used: {unsound}") from unsound
    return [own] if own else []


def _config(policy_sha256: str, rules_sha256: str) -> str:
    """The digest of canonical JSON of what decides on our side; clamd's own configuration is not ours to see."""
    decides = {
        "policy": policy_sha256,
        "scanner": settings.SCANNER,
        "test_signatures": settings.SCANNER_TEST_SIGNATURES,
        "max_age_days": settings.SCANNER_MAX_AGE_DAYS,
        "seen_by_clamd": sorted(SEEN_BY_CLAMD),
        "smallest": SMALLEST,
        "rules": rules_sha256,
        "rules_engine": rules.version(),
        "rules_window": [rules.WINDOW, rules.OVERLAP],
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


# --- what they find ------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Finding:
    """What an engine calls it, and in which part it was."""

    name: str
    part: str = ""

    def __str__(self) -> str:
        return f"{self.name} in {self.part}" if self.part else self.name

    @property
    def code(self) -> str:
        """Our word for it: what stopped an engine from looking is not malware."""
        if self.name.startswith("Heuristics.Limits.Exceeded"):
            return reasons.UNSCANNABLE
        if self.name.startswith("Heuristics.Encrypted"):
            return reasons.ENCRYPTED
        if self.name.startswith("Heuristics.OLE2.ContainsMacros"):
            return reasons.MACRO
        if self.name.startswith("Heuristics.Broken"):
            return reasons.MALFORMED
        return reasons.INFECTED


class _Passing:
    """Passes chunks through, counting, hashing and sweeping what passes."""

    def __init__(self, chunks: Iterable[bytes], sweep: rules.Sweep) -> None:
        self._chunks, self._sweep = chunks, sweep
        self.size, self.digest = 0, hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.size += len(chunk)
            self.digest.update(chunk)
            self._sweep.feed(chunk)
            yield chunk

    def matched(self) -> str:
        """Return what the rules found, after the last chunk."""
        return self._sweep.end()


class _Look:
    """One look at one file, by the same engines from beginning to end, and what they have found."""

    def __init__(self, address: str | None, sets: list[rules.Rules]) -> None:
        self._address, self._sets = address, sets
        self.found: list[_Finding] = []
        self.parts: Counter[str] = Counter()

    @property
    def gravest(self) -> _Finding | None:
        """Malware if there is any, else what was found first."""
        return min(self.found, key=lambda finding: finding.code != reasons.INFECTED, default=None)

    def at_whole(self, chunks: Iterable[bytes], line: clamav.Line | None) -> _Passing:
        passing = self._passing(chunks)
        self._note(_asked(line, passing), passing.matched())
        return passing

    def at_parts(self, parts: Parts) -> None:
        if self._infected():
            return
        try:
            for part in parts() if callable(parts) else parts:
                self._at_part(part)
                if self._infected():
                    return
        except sandbox.Unreadable:
            self._note(UNREADABLE)

    def _infected(self) -> bool:
        return any(finding.code == reasons.INFECTED for finding in self.found)

    def _at_part(self, part: Part) -> None:
        kind = part.kind if _KIND.fullmatch(part.kind) else "part"  # it comes from where hostile files are read
        self.parts[kind] += 1
        passing = self._passing(part.chunks)
        self._note(self._of_part(part.kind, passing), passing.matched(), part=f"{kind} {self.parts[kind]}")

    def _of_part(self, kind: str, passing: _Passing) -> str:
        rest, head = iter(passing), b""
        if self._address is None or kind in SEEN_BY_CLAMD:
            return _asked(None, rest)
        while len(head) < SMALLEST and (chunk := next(rest, None)) is not None:
            head += chunk
        if len(head) < SMALLEST:
            return ""
        with clamav.Line(self._address) as line:
            return _asked(line, chain([head], rest))

    def _passing(self, chunks: Iterable[bytes]) -> _Passing:
        return _Passing(chunks, rules.Sweep(self._sets))

    def _note(self, *names: str, part: str = "") -> None:
        self.found += [_Finding(name, part) for name in names if name]


def _asked(line: clamav.Line | None, chunks: Iterable[bytes]) -> str:
    """Return what clamd finds in the chunks, "" for a complete OK; without it they only pass.

    Raises `Unavailable` for every other answer.
    """
    if line is None:
        for _ in chunks:
            pass
        return ""
    reply = line.instream(chunks)
    if reply == "stream: OK":
        return ""
    if found := _FOUND.match(reply):
        return found["name"]
    if reply.startswith("INSTREAM size limit exceeded"):
        return "Heuristics.Limits.Exceeded.StreamMaxLength"
    raise Unavailable(f"clamd answered {reply[:200]!r}")
