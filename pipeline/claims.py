"""Who works on a version right now, so that doubled nudges do not do slow work twice.

A claim is a PostgreSQL session advisory lock: it needs no row and no clock, and it ends with the
worker that held it, however that ends. It saves work; it is not what keeps the state right (that is
the conditional UPDATE in `lifecycle._move`). A pooler in transaction mode would break it: connect
workers directly or in session mode.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection

APART: Final = (
    0x5752_0002  # whoever has a version that workers died over; workers.reconcile has 0001, workers.scrub 0003
)


@contextmanager
def held(version_id: UUID) -> Iterator[bool]:
    """Claim a version for the block; give False where another worker has it."""
    with locked(int.from_bytes(version_id.bytes[:8], signed=True)) as ours:
        yield ours


@contextmanager
def locked(key: int) -> Iterator[bool]:
    """Hold the session's advisory lock of that number for the block; give False where somebody else does."""
    ours = _ask("select pg_try_advisory_lock(%s)", key)
    try:
        yield ours
    finally:
        if ours:
            _release(key)


def _release(key: int) -> None:
    try:
        _ask("select pg_advisory_unlock(%s)", key)
    except (OperationalError, InterfaceError):
        connection.close()  # the session is gone, and the lock with it


def _ask(sql: str, key: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(sql, [key])
        return bool(cursor.fetchone()[0])
