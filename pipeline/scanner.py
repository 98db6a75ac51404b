"""All that we say to a malware scanner, and what its answers mean.

Clean is said in one case only: the engine answered a complete, exact OK, about exactly the bytes that
were pinned, with fresh signatures. What it found is a verdict; everything else is `Unavailable`, a
fault, and the version stands where it is until it can be asked again.
"""

import hashlib
import re
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import clamd
from django.conf import settings

from pipeline import reasons, standin

CONNECT_SECONDS = 5
REPLY_SECONDS = 330  # more than clamd's own MaxScanTime of 300
_DATED = re.compile(r"^ClamAV (?P<engine>[^/]+)/(?P<version>\d+)/(?P<date>.+)$")
_FOUND = re.compile(r"^stream: (?P<name>.+) FOUND$")


class Unavailable(Exception):
    """The scanner cannot be asked now, or its answer was not one; it says nothing about the file."""


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
class Verdict:
    """What was scanned (bytes, SHA-256), by whom, in how many seconds, and what was found.

    `code` is "clean" or one of `reasons`; `signature` is the engine's own name of the finding.
    """

    code: str
    signature: str
    engine: Engine
    size: int
    sha256: str
    seconds: float

    @property
    def clean(self) -> bool:
        """Whether the engine looked at all of it and found nothing."""
        return self.code == "clean"


def scan(chunks: Iterable[bytes], *, size: int, sha256: str) -> Verdict:
    """Stream `chunks` through the engine in constant memory and return its verdict.

    `size` (bytes) and `sha256` (hex) are what the chunks must add up to for a clean verdict. Raises
    `Unavailable` when there was no complete answer about all of it, `Stale` for old signatures.
    """
    who, started = engine(), time.monotonic()
    _require_fresh(who)
    counted = _Counted(chunks)
    found = standin.scan(counted) if who.name == "builtin" else _instream(counted)
    if not found and (counted.size, counted.digest.hexdigest()) != (size, sha256):
        raise Unavailable("The bytes that were scanned are not those that were validated.")
    return Verdict(
        code=_code(found),
        signature=found,
        engine=who,
        size=counted.size,
        sha256=counted.digest.hexdigest(),
        seconds=time.monotonic() - started,
    )


def engine() -> Engine:
    """Ask the configured engine who it is. Raises `Unavailable`."""
    if settings.SCANNER == "builtin":
        return Engine("builtin", standin.version(), "built in", None)
    words = _ask("version")
    dated = _DATED.match(words)
    if dated is None:
        return Engine("clamd", words.removeprefix("ClamAV ")[:64], "undated", None)
    return Engine("clamd", dated["engine"], dated["version"], _moment(dated["date"]))


def check() -> Engine:
    """Return the engine if documents can be scanned now, else raise `Unavailable` or `Stale`."""
    who = engine()
    _require_fresh(who)
    return who


def _require_fresh(who: Engine) -> None:
    if settings.SCANNER_TEST_SIGNATURES or who.name == "builtin":
        return
    if who.dated is None:
        raise Stale("The age of the signatures is unknown.")
    age = datetime.now(UTC) - who.dated
    if age > timedelta(days=settings.SCANNER_MAX_AGE_DAYS):
        raise Stale(f"The signatures are {age.days} days old.")


def _moment(words: str) -> datetime | None:
    try:
        return datetime.strptime(words.strip(), "%a %b %d %H:%M:%S %Y").replace(tzinfo=UTC)
    except ValueError:
        return None


def _code(found: str) -> str:
    """Map the engine's name of a finding to ours: what stopped it from looking is not malware."""
    if not found:
        return "clean"
    if found.startswith("Heuristics.Limits.Exceeded"):
        return reasons.UNSCANNABLE
    if found.startswith("Heuristics.Encrypted"):
        return reasons.ENCRYPTED
    if found.startswith("Heuristics.OLE2.ContainsMacros"):
        return reasons.MACRO
    if found.startswith("Heuristics.Broken"):
        return reasons.MALFORMED
    return reasons.INFECTED


class _Counted:
    """Passes chunks through, counting and hashing what passed."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.chunks, self.size, self.digest = chunks, 0, hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            self.size += len(chunk)
            self.digest.update(chunk)
            yield chunk


# --- clamd -------------------------------------------------------------------------------------
def _ask(command: str) -> str:
    """Send PING, VERSION or RELOAD by the `clamd` package; it is not used for the scan itself."""
    daemon = _daemon()
    try:
        return str(getattr(daemon, command)())
    except (clamd.ClamdError, OSError) as error:
        daemon.clamd_socket.close()  # the package leaves it open where it could not connect
        raise Unavailable(f"clamd does not answer: {error}") from error


def _daemon() -> Any:
    address = urlsplit(settings.CLAMD_ADDRESS)
    if address.scheme == "unix":
        return clamd.ClamdUnixSocket(address.path, timeout=CONNECT_SECONDS)
    return clamd.ClamdNetworkSocket(address.hostname, address.port, CONNECT_SECONDS)


def _instream(chunks: Iterable[bytes]) -> str:
    """Return what clamd found, "" for a complete OK. Raises `Unavailable` for every other answer.

    Our own INSTREAM: the `clamd` package sends with short writes unchecked, takes a cut reply for a
    whole one and returns None for none. clamd answers and closes as soon as a limit is passed, so
    after a failed send its reply is still read.
    """
    try:
        with _connect() as line:
            line.sendall(b"zINSTREAM\0")
            _send(line, chunks)
            reply = _reply(line)
    except OSError as error:
        raise Unavailable(f"clamd: {error}") from error
    if reply == "stream: OK":
        return ""
    if found := _FOUND.match(reply):
        return found["name"]
    if reply.startswith("INSTREAM size limit exceeded"):
        return "Heuristics.Limits.Exceeded.StreamMaxLength"
    raise Unavailable(f"clamd answered {reply[:200]!r}")


def _connect() -> socket.socket:
    address = urlsplit(settings.CLAMD_ADDRESS)
    if address.scheme == "unix":
        line = socket.socket(socket.AF_UNIX)
        line.settimeout(CONNECT_SECONDS)
        line.connect(address.path)
    else:
        where = (address.hostname or "", address.port or 3310)
        line = socket.create_connection(where, CONNECT_SECONDS)
    line.settimeout(REPLY_SECONDS)
    return line


def _send(line: socket.socket, chunks: Iterable[bytes]) -> None:
    try:
        for chunk in chunks:
            line.sendall(struct.pack("!L", len(chunk)))
            line.sendall(chunk)
        line.sendall(struct.pack("!L", 0))
    except (BrokenPipeError, ConnectionResetError):
        return  # clamd has closed: its reply says why


def _reply(line: socket.socket) -> str:
    """Read up to the terminator; a reply without one was cut, and means nothing."""
    reply = b""
    while not reply.endswith(b"\0"):
        part = line.recv(4096)
        if not part:
            raise Unavailable(f"clamd closed the line after {reply[:200]!r}")
        reply += part
    return reply[:-1].decode("utf-8", "replace").strip()
