"""What befalls an act of `test_model`, and where: between any two statements or calls, at the n-th place that fits."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from django.db import OperationalError, connection, connections
from hypothesis import strategies as st

from tests.pipeline.world import FAULTS

CRASH, DEATH, DATABASE = "crash", "death", "database"


class Crash(BaseException):
    """The process is gone. Not an Exception: nothing may catch it."""


@dataclass(frozen=True)
class Mishap:
    """What happens, at which place, and at how many places after it still.

    `crash`: the process dies, anywhere. `death`: it dies over the document's bytes. `database`: its session is ended,
    and for a spell nobody gets another. `storage`, `scanner`: that one call fails.
    """

    kind: str
    at: int
    spell: int = 0


MISHAPS: Final = st.one_of(
    st.none(),
    st.just(None),
    st.sampled_from([None]),
    st.builds(Mishap, st.just(CRASH), st.integers(1, 20)),
    st.builds(Mishap, st.just(DATABASE), st.integers(1, 20), st.integers(0, 4)),
    st.builds(Mishap, st.sampled_from([DEATH, *FAULTS]), st.integers(1, 2)),
)


class Fuse:
    """Watches one act, and blows where it is told to.

    `fired` says at what it did ("sql", "storage", "scanner"), `met` whether somebody else acted in the middle.
    """

    def __init__(self) -> None:
        self.down: set[str] = set()
        self.fired, self.met = "", False
        self._mishap: Mishap | None = None
        self._meanwhile: Callable[[], Any] | None = None
        self._left = self._spell = 0
        self._others = ThreadPoolExecutor(1)
        self._hangman = connection.copy()

    def close(self) -> None:
        """End the second thread, its session, and that of who ends sessions."""
        self._others.submit(connections.close_all).result(20)
        self._others.shutdown()
        self._hangman.close()

    @contextmanager
    def around(self, mishap: Mishap | None, meanwhile: Callable[[], Any] | None = None) -> Iterator[None]:
        """Let it happen within the block, or somebody else act in the middle of it, in a session of their own."""
        self.fired, self.met, self._mishap, self._meanwhile = "", False, mishap, meanwhile
        self._left, self._spell = (mishap.at, mishap.spell) if mishap else (0, 0)
        with connection.execute_wrapper(self._around_sql):
            yield
        self._mishap = self._meanwhile = None

    def touch(self, what: str) -> None:
        """Storage or scanner is spoken to."""
        if meanwhile := self._meanwhile:
            self._meanwhile, self.met = None, True
            self._others.submit(meanwhile).result(20)
        if what in self.down:
            raise FAULTS[what]()
        kind = self._mishap.kind if self._mishap else ""
        if (kind == what or kind in {CRASH, DEATH}) and self._is_here(what):
            raise FAULTS[what]() if kind == what else Crash

    def _around_sql(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        self._at_sql(lambda: execute(sql, params, many, context))
        result = execute(sql, params, many, context)
        self._at_sql(self._lost)
        return result

    def _at_sql(self, dying: Callable[[], Any]) -> None:
        if self.fired and self._spell:
            self._spell -= 1
            raise OperationalError("the database system is starting up")
        kind = self._mishap.kind if self._mishap else ""
        if kind in {CRASH, DATABASE} and self._is_here("sql"):
            if kind == CRASH:
                raise Crash
            with self._hangman.cursor() as cursor:
                cursor.execute("select pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])
            dying()
            raise AssertionError("the session was ended and served all the same")

    def _lost(self) -> None:
        raise OperationalError("server closed the connection unexpectedly")

    def _is_here(self, what: str) -> bool:
        self._left -= 1
        if self._left == 0:
            self.fired = what
        return self._left == 0
