"""Which TCP ports a stack uses: those the environment names, else the ones it had, else free ones.

Every port lies below 22768. The ephemeral range starts at 32768, so no outgoing connection can have taken one; and
SeaweedFS adds 10000 to a port for which it was told no gRPC port.
"""

import socket
import sys
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

from devstack import jsonfile

CEILING = 22768

PREFERRED = {
    "web": 8000, "door": 5555, "s3": 8333, "postgres": 15432, "valkey": 16379, "metrics": 9090,
    "s3_grpc": 18333, "master": 19333, "master_grpc": 19334, "volume": 19340, "volume_grpc": 19341,
    "filer": 18888, "filer_grpc": 18889, "admin": 12346,
}  # fmt: skip
"""Every port that a stack may open, by name, and the number we like best."""

GRPC_OFFSET = 10000
"""SeaweedFS's own worker looks for the admin server's gRPC here, whatever else that server was told."""

ENVIRONMENT = {name: f"{name.upper()}_PORT" for name in ("web", "door", "s3", "postgres", "valkey", "metrics")}
"""The variables by which a person may choose."""


class PortTaken(Exception):
    """A port that the environment asks for is in use."""


class Ports:
    """The ports of one stack, reserved as long as this object is open.

    Two stacks that start at the same moment must not choose the same number. A port is not bound while its server has
    yet to start, so binding alone cannot tell; on Linux an abstract unix socket per port, which dies with us, holds
    the place.
    """

    def __init__(self, remembered: Path, environ: Mapping[str, str]) -> None:
        """Choose and reserve all ports, and note them in the file `remembered` for the next start.

        Raises PortTaken if the environment names one that is in use.
        """
        self._held: list[socket.socket] = []
        earlier = jsonfile.read(remembered)
        self.by_name = {name: self._choose(name, earlier.get(name), environ) for name in PREFERRED}
        jsonfile.write(remembered, self.by_name)

    def __getitem__(self, name: str) -> int:
        """Return the port called `name`."""
        return self.by_name[name]

    def close(self) -> None:
        """Give all reservations back."""
        for held in self._held:
            held.close()
        self._held.clear()

    def _choose(self, name: str, earlier: int | None, environ: Mapping[str, str]) -> int:
        asked = environ.get(ENVIRONMENT.get(name, ""), "")
        if asked:
            if not asked.isdecimal() or not 0 < int(asked) < 65536 or not self._take(int(asked)):
                self.close()
                raise PortTaken(f"port {asked} ({ENVIRONMENT[name]}) is in use, or is no port")
            return int(asked)
        for port in _candidates(PREFERRED[name], earlier):
            if self._take(port) and (name != "admin" or self._take(port + GRPC_OFFSET)):
                return port
        self.close()
        raise PortTaken(f"no free port below {CEILING} for {name}")

    def _take(self, port: int) -> bool:
        held = _reserve(port)
        if held is None:
            return False
        self._held.append(held)
        if free(port):
            return True
        self._held.pop().close()
        return False


def free(port: int) -> bool:
    """Tell whether nobody listens on `port` at 127.0.0.1."""
    with socket.socket() as probe:
        # Or connections just closed would look like a listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return not answers(port)


def answers(port: int) -> bool:
    """Tell whether a server accepts connections on `port` at 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _candidates(preferred: int, earlier: int | None) -> Iterator[int]:
    first = () if earlier is None else (earlier,)
    return chain(first, range(preferred, CEILING), range(preferred - 1, 1024, -1))


def _reserve(port: int) -> socket.socket | None:
    """Hold the place of `port` among all stacks of this machine, or return None if another has it."""
    held = socket.socket(socket.AF_UNIX)
    if sys.platform != "linux":
        return held  # no abstract names there; the bind check has to do
    try:
        held.bind(f"\0strongroom-port-{port}")
    except OSError:
        held.close()
        return None
    return held
