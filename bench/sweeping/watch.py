"""Times every query that is made, and knows which of our functions makes it."""

import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from django.db import connection

_ROOT = Path(__file__).resolve().parents[2]
_OURS = tuple(str(_ROOT / name) + "/" for name in ("api", "audit", "identity", "pipeline", "workers"))
_TABLE = re.compile(r'\b(?:FROM|INTO|UPDATE|from|into|update) "?(\w+)')


@dataclass
class Query:
    """One query of one function, whatever it was told: what each time took, and the slowest of all."""

    took: list[float] = field(default_factory=list)
    slowest: tuple[float, str, Any] = (-1.0, "", None)


@dataclass
class Watch:
    """What was seen: the queries of each act, by function and statement, and what each act took as a whole."""

    queries: defaultdict[tuple[str, str, str], Query] = field(default_factory=lambda: defaultdict(Query))
    acts: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @contextmanager
    def act(self, name: str) -> Iterator[None]:
        """Time what is done meanwhile as an act of that name."""

        def timed(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
            begun = time.perf_counter()
            try:
                return execute(sql, params, many, context)
            finally:
                self._note(name, sql, params, 1000 * (time.perf_counter() - begun))

        begun = time.perf_counter()
        with connection.execute_wrapper(timed):
            yield
        self.acts[name].append(1000 * (time.perf_counter() - begun))

    def _note(self, act: str, sql: str, params: Any, took: float) -> None:
        if "SAVEPOINT" in sql:
            return
        query = self.queries[act, _maker(), _shape(sql)]
        query.took.append(took)
        query.slowest = max(query.slowest, (took, sql, params), key=lambda seen: seen[0])


def label(sql: str) -> str:
    """A statement in two words: what it does, and to which table."""
    table = _TABLE.search(sql)
    return f"{sql.split(maxsplit=1)[0].lower()} {table[1] if table else ''}".strip()


def explained(query: Query) -> str:
    """What the database does for the slowest of a query; it is done once more and rolled back by the caller."""
    _, sql, params = query.slowest
    with connection.cursor() as cursor:
        cursor.execute(f"explain (analyze, buffers) {sql}", params)
        return "\n".join(row[0] for row in cursor.fetchall())


def _shape(sql: str) -> str:
    """Lists of any length are one statement."""
    return re.sub(r"%s(, %s)+", "%s …", sql)


def _maker() -> str:
    """The innermost function of ours that is at work."""
    frame: FrameType | None = sys._getframe(2)
    while frame and not frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    if frame is None:
        return ""
    module = Path(frame.f_code.co_filename).relative_to(_ROOT).with_suffix("")
    return f"{'.'.join(module.parts[-2:])}.{frame.f_code.co_name}"
