"""Stands between our processes and the servers, and holds connections up: half-open, as a lost network leaves them.

A connection that is held passes nothing on, not even its end: the client waits for an answer, the server for a
question, and both believe that the other is there. New connections work. In the end what was held goes on as if nothing
had been, or is reset.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

Where = Path | int
"""A unix socket, or a port at 127.0.0.1."""

_CHUNK = 65536
T = TypeVar("T")


@dataclass(eq=False)
class Pair:
    """One connection: the client's end and the server's."""

    writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]
    passes: asyncio.Event = field(default_factory=asyncio.Event)

    def abort(self) -> None:
        """Break both ends off, by a reset as networks do."""
        for writer in self.writers:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class Gate:
    """The proxy before one server. All of it runs in the loop; `hold` and `free` may be called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, target: Callable[[], Where]) -> None:
        """`target` says where the server is; it is asked at each connection, since it may not be known before."""
        self._loop, self._target = loop, target
        self._pairs: set[Pair] = set()
        self._server: asyncio.Server
        self.port = 0

    async def open(self, at: Path | None) -> None:
        """Listen at a unix socket, or without one at a free port."""
        if at is not None:
            self._server = await asyncio.start_unix_server(self._serve, at)
            return
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def shut(self) -> None:
        """Listen no more, and break off what is connected. Within the loop."""
        self._server.close()
        for pair in self._pairs:
            pair.abort()

    def hold(self) -> frozenset[Pair]:
        """Hold all present connections up, and return them."""
        return self._said(self._hold)

    def free(self, held: frozenset[Pair], *, reset: bool) -> None:
        """Let connections go on that were held up, or reset them."""
        self._said(lambda: self._free(held, reset=reset))

    def _said(self, do: Callable[[], T]) -> T:
        async def within() -> T:
            return do()

        return asyncio.run_coroutine_threadsafe(within(), self._loop).result(10)

    def _hold(self) -> frozenset[Pair]:
        for pair in self._pairs:
            pair.passes.clear()
        return frozenset(self._pairs)

    def _free(self, held: frozenset[Pair], *, reset: bool) -> None:
        for pair in held:
            if reset:
                pair.abort()
            pair.passes.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, out = await _opened(self._target())
        except OSError:
            writer.transport.abort()
            return
        pair = Pair((writer, out))
        pair.passes.set()
        self._pairs.add(pair)
        ways = [asyncio.ensure_future(_pass_on(*way, pair)) for way in ((reader, out), (there, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._pairs.discard(pair)
            for each in pair.writers:
                each.close()


async def _opened(where: Where) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(where, Path):
        return await asyncio.open_unix_connection(where)
    return await asyncio.open_connection("127.0.0.1", where)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pair: Pair) -> None:
    """Pass bytes on until the end; while the pair is held, wait with what has come, be it the end."""
    with contextlib.suppress(OSError):
        while True:
            data = await reader.read(_CHUNK)
            await pair.passes.wait()
            if not data:
                return
            writer.write(data)
            await writer.drain()


class Proxy:
    """The loop in which all gates run."""

    def __init__(self) -> None:
        """Make the loop; `running` runs it."""
        self.loop = asyncio.new_event_loop()
        self._gates: list[Gate] = []

    def gate(self, target: Callable[[], Where], *, at: Path | None = None) -> Gate:
        """Open a gate before a server and return it. `at` is a unix socket; without it, it has a free `port`."""
        made = Gate(self.loop, target)
        asyncio.run_coroutine_threadsafe(made.open(at), self.loop).result(10)
        self._gates.append(made)
        return made

    async def shut(self) -> None:
        """Shut all gates and wait for what still runs."""
        for gate in self._gates:
            gate.shut()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)


@contextmanager
def running() -> Iterator[Proxy]:
    """Run the loop in a thread of its own for the length of a block."""
    proxy = Proxy()
    thread = threading.Thread(target=proxy.loop.run_forever, name="proxy", daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(proxy.shut(), proxy.loop).result(10)
        proxy.loop.call_soon_threadsafe(proxy.loop.stop)
        thread.join(5)
        proxy.loop.close()
