"""A storm over the log: writers in processes of their own, two sequencers that are killed again and again.

Runs by itself (`python -m tests.audit.storm KILLS`) on the database that DATABASE_URL names, which must be migrated
and empty. Writers roll back, stay open long, and meet a database that is gone; a sequencer dies by SIGKILL in the
transaction in which it appends, at latest just before its COMMIT. When so many have died, and everything that waits
has its place, it says what it found wrong (one line of JSON).
"""

import json
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple, NoReturn

import django
import psycopg2.extensions

WRITERS, SEQUENCERS, BATCH = 6, 2, 20
ROLLED_BACK, HELD_OPEN, HELD_SECONDS = 0.15, 0.1, 0.2
POLL_SECONDS, AGAIN_SECONDS, PATIENCE_SECONDS = 0.02, 0.1, 90

_fork = multiprocessing.get_context("fork")


class Act(NamedTuple):
    """What a writer knows of one transaction: when it began and ended, and how ("unknown": while the server died)."""

    uid: str
    began: float
    ended: float
    outcome: str


def main(kills: int) -> dict[str, Any]:
    """Let the storm pass; what was found."""
    from django.conf import settings

    settings.AUDIT_WAKE = ""  # two sequencers look by themselves
    over, acts = _fork.Event(), _fork.SimpleQueue()
    writers = [_started(_write, number, over, acts) for number in range(WRITERS)]
    died = _kill(kills, over, writers)
    said = [act for _ in writers for act in acts.get()]
    for writer in writers:
        writer.join()
    _drain()
    return {"killed": died, **found(said)}


def _started(target: Any, *args: Any) -> BaseProcess:
    process = _fork.Process(target=target, args=args, daemon=True)
    process.start()
    return process


def _kill(kills: int, over: Any, writers: list[BaseProcess]) -> int:
    """Keep two sequencers alive until so many have died; then let the others end their work."""
    died, limit = 0, time.monotonic() + PATIENCE_SECONDS
    running = [_started(_sequence, number, over, True) for number in range(SEQUENCERS)]
    while died < kills and time.monotonic() < limit and all(writer.is_alive() for writer in writers):
        time.sleep(0.005)
        for at, process in enumerate(running):
            if process.exitcode is not None:
                died += process.exitcode == -signal.SIGKILL
                running[at] = _started(_sequence, SEQUENCERS + died, over, died < kills)
    over.set()
    for process in running:
        process.join()
    return died


# --- A writer ---


def _write(number: int, over: Any, acts: Any) -> None:
    dice = random.Random(number)
    told: list[Act] = []
    while not over.is_set():
        told.append(_act(f"{number}-{len(told)}", dice))
    acts.put(told)


def _act(uid: str, dice: random.Random) -> Act:
    from django.db import DatabaseError, InterfaceError, connection, transaction

    began, undone = time.monotonic(), dice.random() < ROLLED_BACK
    try:
        with transaction.atomic():
            _record(uid, dice)
            transaction.set_rollback(undone)
        outcome = "undone" if undone else "committed"
    except (DatabaseError, InterfaceError):
        outcome = "undone" if undone else "unknown"
        connection.close()
        time.sleep(AGAIN_SECONDS)
    return Act(uid, began, time.monotonic(), outcome)


def _record(uid: str, dice: random.Random) -> None:
    from audit import actions, trail

    person = trail.Ref("user", str(dice.randrange(3)))
    private = {"ip": "192.0.2.1"} if dice.random() < 0.5 else None
    trail.record(actions.DOCUMENT_READ, actor=person, object=trail.Ref("document", uid), private=private)
    time.sleep(dice.random() * (HELD_SECONDS if dice.random() < HELD_OPEN else 0.01))


# --- A sequencer ---


def _sequence(seed: int, over: Any, mortal: bool) -> None:
    from django.db import DatabaseError, InterfaceError, connection

    from audit import sequencer

    fuse = _Fuse(random.Random(seed)) if mortal else None
    while not over.is_set():
        try:
            with _watched(fuse) if fuse else nullcontext():
                if not sequencer.sequence(BATCH):
                    time.sleep(POLL_SECONDS)
        except (DatabaseError, InterfaceError):
            connection.close()
            time.sleep(AGAIN_SECONDS)


class _Fuse:
    """Says when it is time to die: some runs go well; in the next, so many statements after the events were written."""

    def __init__(self, dice: random.Random) -> None:
        self._runs, self._statements, self._burning = dice.randrange(3), dice.randrange(6), False

    def statement(self, sql: str) -> None:
        """One more statement was said."""
        if self._burning:
            self._statements -= 1
            if self._statements < 0:
                die()
        elif sql.startswith("COPY audit_event"):
            self._burning = self._runs == 0
            self._runs -= 1

    def commit(self) -> None:
        """The transaction is about to be committed."""
        if self._burning:
            die()


def die() -> NoReturn:
    """As if pulled out of the wall."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit


@contextmanager
def _watched(fuse: _Fuse) -> Iterator[None]:
    """Tell the fuse of every statement and of COMMIT."""
    from django.db import connections

    class Watched(psycopg2.extensions.cursor):
        def execute(self, query: Any, variables: Any = None) -> None:
            super().execute(query, variables)
            fuse.statement(str(query))

        def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> None:
            super().copy_expert(sql, file, size)
            fuse.statement(str(sql))

    database = connections["default"]
    database.ensure_connection()
    database.connection.cursor_factory, commit = Watched, database._commit  # type: ignore[attr-defined]

    def watched_commit() -> None:
        fuse.commit()
        commit()

    database._commit = watched_commit  # type: ignore[attr-defined]
    try:
        yield
    finally:
        database._commit = commit  # type: ignore[attr-defined]


# --- What was found ---


def _drain() -> None:
    """Give everything its place that still waits. The backends of the killed may take a moment to let go."""
    from audit import sequencer

    limit = time.monotonic() + PATIENCE_SECONDS
    while sequencer.backlog() and time.monotonic() < limit:
        if not sequencer.sequence(5000):
            time.sleep(POLL_SECONDS)


def found(acts: list[Act]) -> dict[str, Any]:
    """Compare what the writers know with what is in the log."""
    from audit import sequencer
    from audit.models import Event, Private, State

    rows = list(Event.objects.order_by("seq").values_list("seq", "object", "leaf_hash"))
    log = [name.partition(":")[2] for _, name, _ in rows]
    known = {act.uid: act for act in acts}
    committed = {act.uid for act in acts if act.outcome == "committed"}
    undone = {act.uid for act in acts if act.outcome == "undone"}
    state = State.objects.get()
    return {
        "committed": len(committed),
        "rolled_back": len(undone),
        "unknown": len(acts) - len(committed) - len(undone),
        "sequenced": len(rows),
        "waiting": sequencer.backlog(),
        "lost": sorted(committed - {*log}),
        "phantom": sorted(({*log} & undone) | ({*log} - known.keys())),
        "doubled": len(log) - len({*log}),
        "gaps": sum(one[0] + 1 != other[0] for one, other in pairwise(rows)) + bool(rows and rows[0][0]),
        "out_of_order": _out_of_order([known[uid] for uid in log if uid in known]),
        "root_is_right": bytes(state.root) == _root([bytes(each) for *_, each in rows]) and state.size == len(rows),
        "private_parts_without_event": Private.objects.exclude(seq__lt=len(rows)).count(),
    }


def _out_of_order(log: list[Act]) -> int:
    """How many events stand behind one that began only after they had been committed."""
    latest, wrong = float("-inf"), 0
    for act in log:
        wrong += act.outcome == "committed" and act.ended < latest
        latest = max(latest, act.began)
    return wrong


def _root(hashes: list[bytes]) -> bytes:
    """RFC 6962 §2.1 over the leaves' hashes, by its definition."""
    from hashlib import sha256

    if len(hashes) <= 1:
        return hashes[0] if hashes else sha256().digest()
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    return sha256(b"\1" + _root(hashes[:split]) + _root(hashes[split:])).digest()


if __name__ == "__main__":
    django.setup()
    print(json.dumps(main(int(sys.argv[1]))))
