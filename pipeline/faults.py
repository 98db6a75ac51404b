"""Which exceptions mean "the world is away just now": retried, never a verdict, never an attempt.

The one table. `FAULTS` are the classes to catch; `of` says which dependency a caught one is a fault of, and what a
version waits for meanwhile. The same class may hold both, a fault and a mistake of ours (PostgreSQL's "internal"
errors do), so ask `of` where the difference matters. The broker's row stands here too, but its classes are known to
`workers.broker` alone: nothing below the workers speaks to it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from django.db import InterfaceError, InternalError, OperationalError

from pipeline import policy, sandbox, scanner, storage


@dataclass(frozen=True)
class Fault:
    """Which dependency it is, and the words that a version waits with.

    `general`: whether others will meet it too. Where only this version does, nothing is to be held back from others.
    """

    dependency: str
    words: str
    general: bool = True


STORAGE: Final = Fault("storage", "The storage is away. The check goes on when it is back.")
REFUSED: Final = Fault(
    "storage", "The storage refuses what it is asked. The check goes on when its buckets and rights are in order."
)
UNVERSIONED: Final = Fault(
    "storage", "The storage keeps no versions of what is sent. The check goes on when its buckets do."
)
DIFFERS: Final = Fault(
    "storage", "The storage does not give what was received. It is asked again, and an operator should look.", False
)
SCANNER: Final = Fault("scanner", "The scanner is away. The check goes on when it is back.")
STALE: Final = Fault("scanner", "The scanner's signatures are out of date. The check goes on when they are fresh.")
SANDBOX: Final = Fault("sandbox", "The place where files are examined is away. The check goes on when it is back.")
POLICY: Final = Fault("policy", "The policy for files cannot be read. The check goes on when it can.", False)
DISK: Final = Fault(
    "disk", "The disk where files are examined is full, or fails. The check goes on when there is room."
)
DATABASE: Final = Fault("database", "The database is away. The check goes on when it is back.")
BROKER: Final = Fault("broker", "The queue is away. The check goes on when it is back.")

# SQLSTATEs of psycopg2's InternalError that come of a restart or a failover, not of our SQL (PostgreSQL, appendix A).
_NOT_OURS: Final = {
    "25006",  # read_only_sql_transaction: this server has become a standby
    "25P02",  # in_failed_sql_transaction: what broke it was one of these
    "25P03",  # idle_in_transaction_session_timeout
    "25P04",  # transaction_timeout
}


def _of_s3(error: Exception) -> Fault:
    if storage.changed(error):
        return DIFFERS
    return REFUSED if storage.refused(error) else STORAGE


def _of_ours(_: Exception) -> None:
    return None


def _of_postgres(error: Exception) -> Fault | None:
    return DATABASE if getattr(error.__cause__, "pgcode", None) in _NOT_OURS else None


_Row = Fault | Callable[[Exception], Fault | None]
_TABLE: Final[dict[type[Exception], _Row]] = {  # the first that fits counts
    **dict.fromkeys(storage.MISTAKES, _of_ours),
    **dict.fromkeys(storage.FAULTS, _of_s3),
    storage.NotVersioned: UNVERSIONED,  # of `storage.FAULTS` too
    storage.Differs: DIFFERS,
    storage.NoRoom: DISK,
    scanner.Stale: STALE,
    scanner.Unavailable: SCANNER,
    sandbox.Unavailable: SANDBOX,
    policy.Unsound: POLICY,
    OperationalError: DATABASE,
    InterfaceError: DATABASE,
    InternalError: _of_postgres,
}

FAULTS: Final[tuple[type[Exception], ...]] = tuple(_TABLE)
AWAY: Final = (OperationalError, InterfaceError, InternalError)  # what the database may raise of these


def of(error: BaseException) -> Fault | None:
    """Return the fault that an exception is, or None where it is none: a mistake of ours, or a refusal."""
    for kind, row in _TABLE.items():
        if isinstance(error, kind):
            return row if isinstance(row, Fault) else row(error)
    return None
