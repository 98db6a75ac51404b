"""Which exceptions mean "the world is away just now": retried, never a verdict, never an attempt."""

from django.db import InterfaceError, OperationalError

from pipeline import sandbox, scanner, storage

FAULTS: tuple[type[Exception], ...] = (
    *storage.FAULTS,
    scanner.Unavailable,
    sandbox.Unavailable,
    OperationalError,
    InterfaceError,
)
