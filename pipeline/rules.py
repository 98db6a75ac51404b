"""The second engine: YARA-X with the operator's own rules, over streams of any length in constant memory.

YARA-X has no streams, so it looks at windows that overlap: a stream of up to one window is seen whole, in
a longer one a rule sees a window at a time, and `filesize` and offsets are the window's. Which streams
these are, and what a match means, is the scanner's to say.
"""

import hashlib
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, Final

import yara_x
from django.conf import settings

WINDOW: Final = 4 * 1024 * 1024
OVERLAP: Final = 64 * 1024  # what is no longer than this is whole in one window, wherever it stands
WINDOW_SECONDS: Final = 20.0  # less than clamd's ReadTimeout, so that it is still there afterwards
STREAM_SECONDS: Final = 300.0  # as clamd's MaxScanTime
CHECK_SECONDS: Final = 30.0
TOO_SLOW: Final = "Heuristics.Limits.Exceeded.RuleTime"
SUFFIXES: Final = frozenset({".yar", ".yara"})
# The other modules take files apart: that is for the sandbox, and their rules would see a window, not the file.
MODULES: Final = frozenset({"console", "hash", "math", "string", "time"})

_yara: Any = yara_x  # its stubs lack `module_names`, and the `self` of `ignored_rules`


class Unsound(Exception):
    """The rules cannot be used; the message says why."""


@dataclass(frozen=True)
class Rules:
    """Compiled rules, and the SHA-256 of their files' names and contents."""

    digest: str
    program: yara_x.Rules


def version() -> str:
    """Return the engine's name and version."""
    return f"yara-x {installed('yara-x')}"


def compiled(sources: Mapping[str, str]) -> Rules:
    """Compile the rules of each file name in a namespace of its own. Raises Unsound."""
    compiler = _yara.Compiler(includes_enabled=False)
    for module in set(_yara.module_names()) - MODULES:
        compiler.ignore_module(module)
    for name, text in sources.items():
        compiler.new_namespace(name)
        try:
            compiler.add_source(text, origin=name)
        except (yara_x.CompileError, UnicodeError) as error:
            raise Unsound(str(error)) from error
    if left_out := [f"{rule.name}: {rule.message}" for rule in compiler.ignored_rules()]:
        raise Unsound(f"only the modules {', '.join(sorted(MODULES))} can be used here; {'; '.join(left_out[:5])}")
    return Rules(_digest(sources), compiler.build())


def current() -> Rules | None:
    """Return the rules of the folder YARA_RULES, None where that is empty. Raises Unsound.

    They are compiled once in a process, and again when the folder's content has changed, which is looked
    for at most every 30 seconds.
    """
    return _folders.rules(settings.YARA_RULES, now=time.monotonic()) if settings.YARA_RULES else None


class Sweep:
    """Looks at one stream, given chunk by chunk, with one or more sets of rules.

    Belongs to the thread that made it, as YARA-X's scanners do, and to a process that has not forked since:
    a fork of one that has swept loses YARA-X's clock, and with it every limit of time. Compiling is safe.
    """

    def __init__(self, sets: Iterable[Rules]) -> None:
        """Begin with nothing seen."""
        self._scanners = [_scanner(each) for each in sets]
        self._pieces: list[bytes | memoryview] = []  # of the window; joined once, which is a third of the cost
        self._size = self._fresh = 0  # bytes of the window, and those of them that no rule has seen
        self._left = STREAM_SECONDS
        self._found = ""

    def feed(self, chunk: bytes) -> None:
        """Take the next chunk."""
        view = memoryview(chunk) if self._scanners and not self._found else memoryview(b"")
        while view:
            piece = view[: WINDOW - self._size]
            self._pieces.append(piece)
            self._size += len(piece)
            self._fresh += len(piece)
            view = view[len(piece) :]
            if self._size == WINDOW:
                self._look()

    def end(self) -> str:
        """Return the name of the first rule that matched, TOO_SLOW if they took too long, "" for nothing."""
        if self._fresh and not self._found:
            self._look()
        return self._found

    def _look(self) -> None:
        data = b"".join(self._pieces)
        for scanner in self._scanners:
            self._found = self._found or self._timed(scanner, data)
        rest = data[-OVERLAP:]
        self._pieces, self._size, self._fresh = [rest], len(rest), 0

    def _timed(self, scanner: yara_x.Scanner, data: bytes) -> str:
        started = time.monotonic()
        scanner.set_timeout(max(1, int(min(WINDOW_SECONDS, self._left))))
        try:
            matches = scanner.scan(data).matching_rules
        except yara_x.TimeoutError:
            return TOO_SLOW
        self._left -= time.monotonic() - started
        if self._left < 0:
            return TOO_SLOW
        return f"YARA.{matches[0].identifier}" if matches else ""


def _scanner(rules: Rules) -> yara_x.Scanner:
    scanner = yara_x.Scanner(rules.program)  # cheap, and good in one thread only
    scanner.fast_scan(True)
    return scanner


class _Folders:
    """The rules, or what is wrong with them, of the folder that was asked for last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folder, self._digest, self._checked = "", "", 0.0
        self._outcome: Rules | Unsound = Unsound("never read")

    def rules(self, folder: str, *, now: float) -> Rules:
        with self._lock:
            if folder != self._folder or now >= self._checked + CHECK_SECONDS:
                self._renew(folder)
                self._checked = now
            if isinstance(self._outcome, Unsound):
                raise Unsound(*self._outcome.args)
            return self._outcome

    def _renew(self, folder: str) -> None:
        try:
            sources = _sources(Path(folder))
            digest = _digest(sources)
            if (folder, digest) != (self._folder, self._digest):
                self._outcome = compiled(sources)
        except Unsound as unsound:
            self._outcome, digest = unsound, ""
        self._folder, self._digest = folder, digest


_folders = _Folders()


def _sources(folder: Path) -> dict[str, str]:
    """Return every rule file at any depth, by its path in the folder. Raises Unsound if there is none."""
    try:
        found = {str(path.relative_to(folder)): path.read_text("utf-8") for path in sorted(_files(folder))}
    except (OSError, UnicodeError) as error:
        raise Unsound(f"{folder}: {error}") from error
    if not found:
        raise Unsound(f"{folder}: holds no *.yar or *.yara file")
    return found


def _files(folder: Path) -> Iterator[Path]:
    """Hidden ones are passed over: a checkout's `.git`, Kubernetes' second copy of a mounted folder."""
    for here, folders, names in os.walk(folder, onerror=_let_through):
        folders[:] = [name for name in folders if not name.startswith(".")]
        rule_files = [name for name in names if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")]
        yield from (Path(here, name) for name in rule_files)


def _let_through(error: OSError) -> None:
    raise error


def _digest(sources: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for name, text in sorted(sources.items()):
        for piece in (name.encode("utf-8", "surrogateescape"), text.encode()):
            digest.update(len(piece).to_bytes(8, "big") + piece)
    return digest.hexdigest()
