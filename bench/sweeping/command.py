"""The command: its options, a database of its own, and the table of what was seen."""

import argparse
import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from bench.audit import database
from bench.audit.figures import percentile

if TYPE_CHECKING:
    from bench.sweeping.asking import Act
    from bench.sweeping.watch import Query, Watch


@dataclass(frozen=True)
class Line:
    """What one query of one act took; `most` is the limit of its p95, if it has one. All in milliseconds."""

    act: str
    function: str
    statement: str
    times: int
    p50: float
    p95: float
    most: float | None

    @property
    def kept(self) -> bool:
        """Whether the limit is kept."""
        return self.most is None or self.p95 <= self.most

    def text(self) -> str:
        """A row of the table."""
        verdict = "" if self.most is None else "pass" if self.kept else "FAIL"
        what = f"{self.function:32.32} {self.statement:34.34}"
        return f"{self.act:26.26} {what} {self.times:>6} {self.p50:>9.2f} {self.p95:>9.2f} {verdict}"


def main(argv: Sequence[str]) -> int:
    """Measure with so many versions; return 0 if every limit is kept."""
    options = _parser().parse_args(argv)
    with database.own("bench_reconcile"):
        logging.disable(logging.WARNING)
        seen = _measured(options.versions, options.only)
        lines = list(_lines(*seen))
        print(f"{'act':26} {'function':32} {'statement':34} {'times':>6} {'p50 ms':>9} {'p95 ms':>9}")
        for line, query in lines:
            print(line.text())
            if options.explain and line.p95 >= options.explain:
                _explain(query)
    kept = all(line.kept for line, _ in lines)
    acts = {name: round(percentile(took, 95), 1) for name, took in seen[1].acts.items()}
    queries = [asdict(line) for line, _ in lines]
    print(json.dumps({"versions": options.versions, "queries": queries, "acts_p95_ms": acts, "pass": kept}))
    return 0 if kept else 1


def _measured(versions: int, only: str) -> "tuple[list[Act], Watch]":
    from bench.sweeping import asking, rows, watch  # models, which need the database

    begun = time.monotonic()
    rows.fill(versions, _tell)
    _tell(f"filled in {time.monotonic() - begun:.0f} s")
    seen, acts = watch.Watch(), [act for act in asking.acts() if act.name.startswith(only)]
    for act in acts:
        _repeat(act, seen)
    return acts, seen


def _repeat(act: "Act", seen: "Watch") -> None:
    """Once to warm up, then so often as it says. Undone each time, so that the next finds the same."""
    from django.db import transaction

    _tell(act.name)
    for number in range(act.rounds + 1):
        with transaction.atomic() if act.rolled_back else nullcontext():
            with seen.act(act.name) if number else nullcontext():
                act.do()
            if act.rolled_back:
                transaction.set_rollback(True)


def _lines(acts: "list[Act]", seen: "Watch") -> "Iterator[tuple[Line, Query]]":
    from bench.sweeping import watch

    limits = {act.name: act.most for act in acts}
    for (act, function, sql), query in seen.queries.items():
        half, most = (round(_share(query.took, share), 2) for share in (50, 95))
        yield Line(act, function, watch.label(sql), len(query.took), half, most, limits[act]), query


def _share(took: list[float], share: int) -> float:
    return percentile(took, share) if len(took) > 1 else took[0]


def _explain(query: "Query") -> None:
    from django.db import transaction

    from bench.sweeping import watch

    with transaction.atomic():
        print(query.slowest[1], watch.explained(query), "", sep="\n", flush=True)
        transaction.set_rollback(True)


def _tell(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench/reconcile.py", description="Time the queries for what stands still.")
    parser.add_argument("--versions", type=int, default=200_000, help="how many (default: %(default)s)")
    parser.add_argument("--only", default="", help="only acts whose name begins like this, such as 'sweep' or 'list'")
    parser.add_argument(
        "--explain", type=float, nargs="?", const=20.0, metavar="MS",
        help="tell what the database does for queries whose p95 is so high (default: 20)",
    )  # fmt: skip
    return parser
