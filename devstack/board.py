"""What the demo shows: the stack starting, the documents on their way, and where everything is.

Only looks. On a terminal it draws a live table; anywhere else it prints a line per change,
without control codes. NO_COLOR is honoured (by rich).
"""

import io
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pyotp
import qrcode
from rich import box
from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.status import Status
from rich.table import Table
from rich.text import Text

from devstack.courier import STEPS, Passage

LOG_WIDTH = 144  # of a pipe or a file, which has no width of its own
WIDE, NARROW = 118, 96  # columns from which there is room for every step, and below which for none
NAMED = 5  # parts that the wheel names before it counts the rest
COLOURS = {
    "waiting": "dim",
    "available": "green",
    "infected": "bold red",
    "rejected": "red",
    "refused": "yellow",
    "expired": "yellow",
    "failed": "bold red",
}
WARNINGS = {
    "test": "ClamAV runs on TEST SIGNATURES: it knows the EICAR test file and no real malware.",
    "builtin": "No clamd could be had: the BUILT-IN STAND-IN scans. It is not an antivirus.",
}


class Board:
    """The demo's screen, or its log where there is no screen."""

    def __init__(self, *, errors: bool) -> None:
        """Draw on standard output; on standard error when `errors` (the output is for machines)."""
        console = Console(stderr=errors, highlight=False, markup=False, emoji=False)
        self.lively = console.file.isatty() and not console.is_dumb_terminal
        if not console.file.isatty():
            console.width = LOG_WIDTH
        self.console = console
        self._began = time.monotonic()
        self._starting: dict[str, float] = {}
        self._spinner = Status("", console=console, spinner="line")
        self._lock = threading.Lock()

    def progress(self, name: str, state: str, detail: str) -> None:
        """One event of the stack's supervisor, as `devstack.launch` hands them out."""
        if state == "starting":
            self._starting[name] = time.monotonic()
        elif state == "ready":
            now = time.monotonic()
            took = now - self._starting.pop(name, now)
            self.say(Text.assemble(("ready", "green"), f"  {name:<12} {took:5.1f} s  {detail}"))
        elif state in ("restarting", "note"):
            self.say(Text.assemble((f"{state:<5}", "bold yellow"), f"  {name:<12} {detail}"))
        self._spinner.update(self._doing(name, state))

    def _doing(self, name: str, state: str) -> str:
        """Say what is being waited for, in one line."""
        waited = list(self._starting)
        more = f" and {len(waited) - NAMED} more" if len(waited) > NAMED else ""
        return f"starting {', '.join(waited[:NAMED])}{more}" if waited else f"{state} {name}"

    def spin(self, words: str) -> None:
        """Turn a wheel beside these words, on a terminal, until `rest`."""
        self._spinner.update(words)
        if self.lively:
            self._spinner.start()

    def rest(self) -> None:
        """Stop the wheel."""
        self._spinner.stop()

    def say(self, words: str | Text) -> None:
        """One line, with the seconds since the start before it. Safe from any thread."""
        with self._lock:
            self.console.print(f"{time.monotonic() - self._began:6.1f} s ", words)

    @contextmanager
    def watching(self, passages: Sequence[Passage]) -> Iterator[None]:
        """Show the passages as they change while the block runs, and the whole table after it."""
        if self.lively:
            drawn = Live(
                get_renderable=lambda: table(passages, self.console.width),
                console=self.console,
                refresh_per_second=8,
                transient=True,
            )
            with drawn:
                yield
        else:
            yield
        self.console.print(table(passages, self.console.width))

    def tell(self, passage: Passage) -> None:
        """A passage changed. Called from the couriers' threads; the live table needs no telling."""
        if not self.lively:
            more = passage.reason_code or (f"version {passage.version}" if passage.version else "")
            self.say(f"{passage.sample.name:<24} {passage.status:<10} {more}".rstrip())

    def warn(self, details: Mapping[str, Any]) -> None:
        """Say loudly when the scanner of this stack is not one to rely on."""
        words = WARNINGS.get(details["signatures"]) or WARNINGS.get(details["engine"])
        if words:
            self.console.print(Panel(words, style="bold yellow", title="Not for real documents"))

    def tally(self, passages: Sequence[Passage]) -> None:
        """How many ended as they must, and which did not."""
        good = sum(passage.as_expected() for passage in passages)
        colour = "green" if good == len(passages) else "bold red"
        self.say(Text(f"{good} of {len(passages)} documents ended as expected.", style=colour))

    def addresses(self, details: Mapping[str, Any], logs: object) -> None:
        """Where everything is, and how to get in."""
        root = details["api"].removesuffix("/api")
        places = {
            "console": details["console"],
            "API": details["api"] + "/",
            "API schema": details["api"] + "/schema/ (with a token)",
            "admin": details["admin"],
            "Flower": details["flower"],
            "health": f"{root}/healthz {root}/readyz",
            "S3": details["s3_endpoint"],
            "mails": details["mails"],
            "logs": logs,
        }
        grid = Table.grid(padding=(0, 2))
        for name, place in places.items():
            grid.add_row(name, str(place))
        for person in details["accounts"].values():
            grid.add_row("sign in", f"{person['username']} / {person['password']}")
        self.console.print(Panel(grid, title="Running", subtitle="Ctrl-C stops everything"))

    def invite(self, admin: Mapping[str, str], stack: object) -> None:
        """Say where everybody's second factor is (in the file `stack`); on a terminal show the admin's to scan."""
        if not self.lively:
            self.console.print(f"Everybody has a second factor: totp_secret in {stack}")
            return
        self.console.print(
            "To look at /admin/ and Flower yourself, scan this with an authenticator app.\n"
            f"The admin's password stands above; it and everybody's second factor are in {stack}"
        )
        uri = pyotp.TOTP(admin["totp_secret"]).provisioning_uri(name=admin["username"], issuer_name="Strongroom demo")
        self.console.print(Text(drawn(uri), style="black on bright_white"))


def drawn(uri: str) -> str:
    """Return a QR code, two modules a character."""
    code, text = qrcode.QRCode(border=2, error_correction=qrcode.ERROR_CORRECT_L), io.StringIO()
    code.add_data(uri)
    code.print_ascii(out=text)
    return text.getvalue().replace("\xa0", " ").rstrip("\n")


def table(passages: Sequence[Passage], width: int) -> Table:
    """Every passage as a row: document, size, status, verdict, seconds per step."""
    steps = STEPS if width >= WIDE else STEPS[3:] if width >= NARROW else ()
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    drawn.add_column("document", no_wrap=True)
    drawn.add_column("size", justify="right", no_wrap=True)
    drawn.add_column("status", no_wrap=True)
    drawn.add_column("verdict and reason", ratio=1)
    for step in (*steps, "total s"):
        drawn.add_column(step, justify="right", no_wrap=True)
    for passage in passages:
        drawn.add_row(*_row(passage, steps))
    return drawn


def size(count: int) -> str:
    """Bytes as a person reads them."""
    for unit, bytes_ in (("MB", 1024 * 1024), ("kB", 1024)):
        if count >= bytes_:
            return f"{count / bytes_:.1f} {unit}"
    return f"{count} B"


def verdict(passage: Passage) -> Text:
    """Where it ended and why, and loudly so when that is not where it should have."""
    if not passage.over:
        return Text("")
    if passage.status == "available":
        same = "bytes match" if passage.intact else "OTHER BYTES CAME BACK"
        words = f"version {passage.version}, {same}"
    else:
        words = ": ".join(filter(None, (passage.reason_code, passage.reason.split(". ")[0])))
    if passage.as_expected():
        return Text(words)
    return Text(f"NOT AS EXPECTED ({passage.sample.expected}). {words}", style="bold red")


def _row(passage: Passage, steps: Sequence[str]) -> Iterator[Text]:
    yield Text(passage.sample.name)
    yield Text(size(len(passage.sample.body)))
    yield Text(passage.status, style=COLOURS.get(passage.status, "cyan"))
    yield verdict(passage)
    for step in steps:
        yield Text(f"{passage.steps[step]:.2f}" if step in passage.steps else "")
    yield Text(f"{passage.seconds:.1f}" if passage.began else "")
