"""ClamAV's daemon for a stack, with the configuration of `deploy/clamd.conf`, or the word that there is none.

Which engine and which signatures there are is found out by `devstack.engine`, a program of its own because that may
take long; it leaves its answer in `DIR/scanner/choice.json`.
"""

import os
import shutil
import socket
from pathlib import Path
from typing import Any

from devstack import jsonfile
from devstack.parts import Command, Part
from devstack.places import CLAMAV, PROGRAMS, ROOT, private

CONFIGURATION = ROOT / "deploy" / "clamd.conf"

_OURS = {
    "Foreground", "LocalSocket", "LocalSocketMode", "TCPSocket", "TCPAddr", "TemporaryDirectory", "DatabaseDirectory",
    "LogFile", "LogTime", "PidFile", "User", "FixStaleSocket",
}  # fmt: skip
"""Options that say where things are. They are the stack's to say, so the file's are dropped."""


def parts(data: Path, sockets: Path, *, official: bool) -> list[Part]:
    """Return the parts that choose an engine and run clamd if that is the choice.

    `official` False keeps to the test signatures, so that tests find the same names everywhere, quickly.
    """
    folder = data / "scanner"

    def choose() -> Command:
        private(folder)
        argv = [str(PROGRAMS / "python"), "-m", "devstack.engine", str(folder), str(CLAMAV)]
        return Command([*argv, "official" if official else "test"], {**os.environ, "PYTHONPATH": str(ROOT)})

    def serve() -> Command | None:
        chosen = choice(data)
        if chosen["engine"] != "clamd":
            return None
        configuration = folder / "clamd.conf"
        configuration.write_text(configure(CONFIGURATION.read_text(), chosen, folder, sockets / "clamd.sock"))
        argv = (chosen["program"], "--foreground", "-c", str(configuration))
        return Command(argv, {"PATH": os.defpath, "LC_ALL": "C.UTF-8", **chosen["environment"]})

    def ready() -> bool:
        return pong(sockets / "clamd.sock")

    return [
        Part("clamav", choose, seconds=300),
        # The official signatures take a while to load.
        Part("clamd", serve, ready, needs=("clamav",), seconds=180, server=True),
    ]


def choice(data: Path) -> dict[str, Any]:
    """Return what `devstack.engine` chose: engine, signatures, why, program, environment, database."""
    return jsonfile.read(data / "scanner" / "choice.json")


def configure(text: str, chosen: dict[str, Any], folder: Path, sock: Path) -> str:
    """Return `text`, a clamd.conf, with our places in it. A set without a date cannot bear FailIfCvdOlderThan."""
    dropped = _OURS | ({"FailIfCvdOlderThan"} if chosen["signatures"] == "test" else set())
    kept = [line for line in text.splitlines() if line.split(" ", 1)[0] not in dropped]
    temporary = folder / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)  # what a killed clamd left
    places = {
        "LocalSocket": sock, "LocalSocketMode": 600, "FixStaleSocket": "yes", "TemporaryDirectory": private(temporary),
        "DatabaseDirectory": chosen["database"], "LogTime": "yes",
    }  # fmt: skip
    return "\n".join([*kept, "", *(f"{name} {value}" for name, value in places.items()), ""])


def pong(sock: Path) -> bool:
    """Tell whether clamd answers at the unix socket `sock`."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            connection.connect(str(sock))
            connection.sendall(b"zPING\0")
            return connection.recv(16) == b"PONG\0"
    except OSError:
        return False
