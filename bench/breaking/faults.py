"""Carries faults out, each in a thread of its own, by the plan's clock. Whatever was harmed is healed again."""

import contextlib
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import redis

from bench.breaking import parts, spool
from bench.breaking.plan import SPOOLING, Fault
from bench.breaking.proxy import Gate

Tell = Callable[[str], None]


@dataclass(eq=False)
class Breaker:
    """What is needed to break a stack. `spool_fills`: the temporary folders are small file systems."""

    data: Path
    gates: Mapping[str, Gate]
    spool: Path
    spool_fills: bool
    broker_url: str
    tell: Tell
    stop: threading.Event = field(default_factory=threading.Event)
    done: list[Fault] = field(default_factory=list)
    missed: list[Fault] = field(default_factory=list)
    last_ended: float = 0.0

    def follow(self, faults: Sequence[Fault]) -> None:
        """Carry all of them out, each at its time from now; return when the last is over."""
        began = time.monotonic()
        threads = []
        for fault in faults:
            self.stop.wait(max(0.0, began + fault.at - time.monotonic()))
            if self.stop.is_set():
                break
            threads.append(threading.Thread(target=self.one, args=(fault,), name=f"fault {fault.number}"))
            threads[-1].start()
        for thread in threads:
            thread.join()

    def one(self, fault: Fault) -> None:
        """Carry one out, and note whether there was anything to break."""
        try:
            with self._broken(fault):
                self.tell(f"{fault}")
                self.stop.wait(fault.seconds)
        except (parts.NotThere, redis.RedisError) as why:
            self.tell(f"{fault}: not done ({why})")
            self.missed.append(fault)
        else:
            self.done.append(fault)
            self.last_ended = max(self.last_ended, time.monotonic())

    @contextmanager
    def _broken(self, fault: Fault) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            match fault.kind:
                case "kill":
                    stack.enter_context(parts.down(self.data, fault.target, with_children=False))
                case "kill-child":
                    parts.send(parts.child(self.data, fault.target, fault.index), signal.SIGKILL)
                case "freeze":
                    stack.enter_context(parts.frozen(self._chosen(fault)))
                case "crash" if fault.manner == "immediate":
                    stack.enter_context(parts.down(self.data, fault.target, with_children=False, by=signal.SIGQUIT))
                case "crash":
                    stack.enter_context(parts.down(self.data, fault.target, with_children=True))
                case "empty":
                    stack.enter_context(parts.down(self.data, fault.target, with_children=True))
                    shutil.rmtree(self.data / "valkey", ignore_errors=True)
                case "flush":
                    flush(self.broker_url)
                case "stall":
                    stack.enter_context(self._stalled(fault))
                case "fill":
                    stack.enter_context(self._full())
            yield

    def _chosen(self, fault: Fault) -> list[psutil.Process]:
        if fault.manner == "one child":
            return [parts.child(self.data, fault.target, fault.index)]
        return parts.tree(parts.find(self.data, fault.target))

    @contextmanager
    def _stalled(self, fault: Fault) -> Iterator[None]:
        gate, limit = self.gates[fault.target], time.monotonic() + parts.APPEARS_SECONDS
        while not (held := gate.hold()):  # to clamd one is connected for as long as a scan takes
            if time.monotonic() > limit:
                raise parts.NotThere(f"nobody is connected to {fault.target}")
            self.stop.wait(0.01)
        try:
            yield
        finally:
            gate.free(held, reset=fault.manner == "reset")

    @contextmanager
    def _full(self) -> Iterator[None]:
        if not self.spool_fills:
            with _moved_away(self.spool):
                yield
            return
        pids = [parts.find(self.data, name).pid for name in SPOOLING if name in parts.names(self.data)]
        filled = spool.fill(self.spool, pids)
        if not filled:
            raise parts.NotThere("nobody has a temporary folder just now")
        try:
            yield
        finally:
            spool.empty(filled)


def flush(broker_url: str) -> None:
    """Empty the broker. Raises RedisError."""
    with contextlib.closing(redis.Redis.from_url(broker_url, socket_timeout=5, socket_connect_timeout=2)) as broker:
        broker.flushall()


@contextmanager
def _moved_away(folder: Path) -> Iterator[None]:
    away = folder.with_name("spool-away")
    folder.rename(away)
    try:
        yield
    finally:
        away.rename(folder)
