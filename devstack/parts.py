"""What a stack is made of: parts that need one another, each a program to start and a way to see that it is ready."""

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A program to start: what, with which environment, what it reads, and which signal ends it well."""

    argv: Sequence[str]
    env: Mapping[str, str]
    stop_signal: signal.Signals = signal.SIGTERM
    stdin: bytes = b""
    user: int | None = None


@dataclass(frozen=True)
class Part:
    """One part of the stack.

    `command` is asked for the program once every part in `needs` is ready; None means that there is nothing to run.
    `ready` tells whether the running program serves; a part without it is a chore, ready when it has ended with 0.
    `seconds` is how long it may take to become ready.
    """

    name: str
    command: Callable[[], Command | None]
    ready: Callable[[], bool] | None = None
    needs: tuple[str, ...] = ()
    seconds: float = 60
    server: bool = False


class CannotStart(Exception):
    """A part cannot be started on this machine; the message tells a person why and what to do."""
