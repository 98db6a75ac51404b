"""Finding events: by whom, upon what, of which kind, when. Nothing here counts rows or skips over them.

A window of time becomes spans of places by the map that the sequencer keeps (`Batch`), so that no index on the time is
needed: the log is in the order of its places, which is nearly, and not quite, that of time. An event may have occurred
long before it got its place. The map holds that too, and the exact times are compared besides.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import product
from typing import Final

from django.db import connection
from django.db.models import F, Q, QuerySet

from audit import actions
from audit.models import Event, EventQuerySet

_NEAR: Final = 2000  # places between two spans: to look through so many costs less than to ask twice
_MANY: Final = 20  # objects, such as the versions of a statement that comes every month
_SPANS: Final = 8  # for more, the last reaches over what lies between
_EACH: Final = "(each)"  # nothing in the log is called so

# `latest` never falls from run to run: what is before the first run that reaches `since` is older, and what is before
# the first that reaches `until` is all from before. From there on only some runs are: those that hold something late.
_RUNS: Final = """
WITH since AS (
    SELECT low FROM audit_batch WHERE latest >= COALESCE(%(since)s, '-infinity'::timestamptz)
    ORDER BY latest, low LIMIT 1
), until AS (
    SELECT low FROM audit_batch WHERE latest >= COALESCE(%(until)s, 'infinity'::timestamptz)
    ORDER BY latest, low LIMIT 1
)
SELECT since.low, COALESCE(until.low - 1, (SELECT high FROM audit_batch ORDER BY low DESC LIMIT 1))
FROM since LEFT JOIN until ON true WHERE until.low IS NULL OR since.low < until.low
UNION ALL
SELECT run.low, run.high FROM since, until, audit_batch run
WHERE run.low >= GREATEST(since.low, until.low) AND run.earliest < %(until)s
ORDER BY 1
"""


def events(
    *,
    actor: str = "",
    action: str = "",
    objects: Sequence[str] = (),
    outcome: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[Event]:
    """Return the events that are asked for, in no order, to be read to the end; what is empty asks for nothing.

    `actor` and `objects` as `str(Ref)` names them, any one of the objects; `action` is the beginning of an action's
    name; from `since` on and before `until`, by the time when it happened.
    """
    found = _of(actor, outcome)
    if objects:
        found = found.on(*objects)
    if action:
        found = found.doing(action)
    return found.within(since, until, *window(since, until)) if since or until else found


def newest(
    *,
    limit: int,
    before: int | None = None,
    actor: str = "",
    action: str = "",
    objects: Sequence[str] = (),
    outcome: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Event]:
    """Return the last `limit` of the events that `events` finds, those before a place; newest first.

    They are looked for in parts, each in the order of one index, and the parts are merged. In one condition, such as
    `action IN (...)`, PostgreSQL walks back through the whole log for what is rare or long ago: in five million events
    that took from 40 ms to 4 s, and so it takes some milliseconds.
    """
    rows, objects = _of(actor, outcome), list(dict.fromkeys(objects))
    if before is not None:
        rows = rows.filter(seq__lt=before)
    timely = [rows.within(since, until, *span) for span in spans(since, until)] if since or until else [rows]
    # Of many objects all events are sorted; the + 0 keeps PostgreSQL from walking back through the log for their order.
    order = "-seq" if len(objects) <= _MANY else (F("seq") + 0).desc()
    kinds, names = _kinds(action, objects)
    parts = [
        part
        for some, kind in product(timely, kinds)
        for part in _for_each(names, some.filter(kind).order_by(order)[:limit])
    ]
    return _merged(parts, limit)


def window(since: datetime | None, until: datetime | None) -> tuple[int, int]:
    """Return the first and last place at which events from `since` on and before `until` may stand.

    No such event stands outside them; inside there may be others. Where there can be none, the last is before the
    first.
    """
    found = spans(since, until)
    return (found[0][0], found[-1][1]) if found else (0, -1)


def spans(since: datetime | None, until: datetime | None) -> list[tuple[int, int]]:
    """Return the spans, first and last place, at which events from `since` on and before `until` may stand.

    Most often it is one. An event that got its place long after it occurred has a span of its own, else it would make
    everything between be looked through: once in the log, with the time of a clock that was never set, every window.
    """
    with connection.cursor() as cursor:
        cursor.execute(_RUNS, {"since": since, "until": until})
        return _joined(cursor.fetchall())


def _of(actor: str, outcome: str) -> EventQuerySet:
    found = Event.objects.all()
    if actor:
        found = found.by(actor)
    return found.filter(outcome=outcome) if outcome else found


def _kinds(action: str, objects: Sequence[str]) -> tuple[list[Q], list[str]]:
    """The conditions of which a row must meet one, for one of the names in the place of `_EACH`.

    For each condition and name there is an index that is in the order of places.
    """
    named = actions.matching(action)
    if len(objects) <= 1:
        about = Q(object__in=objects) if objects else Q()
        return ([about & Q(action=_EACH)], named) if action else ([about], [_EACH])
    doing = Q(action__in=named) if action else Q()
    chosen = [objects] if len(objects) > _MANY else zip(objects)
    return [Q(object__in=some) & doing for some in chosen] if named or not action else [], [_EACH]


def _for_each(names: Sequence[str], part: QuerySet[Event]) -> list[tuple[str, list[object]]]:
    """The part's SQL and its values, once for each name. Django writes it once: PostgreSQL answers in less time."""
    sql, values = part.query.sql_with_params()
    return [(f"({sql})", [name if value == _EACH else value for value in values]) for name in names]


def _merged(parts: Sequence[tuple[str, list[object]]], limit: int) -> list[Event]:
    if not parts:
        return []
    union = " UNION ALL ".join(sql for sql, _ in parts)
    values = [value for _, own in parts for value in own]
    newest = f"SELECT * FROM ({union}) AS found ORDER BY seq DESC LIMIT %s"  # noqa: S608 - SQL that Django wrote
    return list(Event.objects.raw(newest, [*values, limit]))


def _joined(found: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those that are near each other, as one; and not too many."""
    spans: list[tuple[int, int]] = []
    for low, high in found:
        if spans and (low - spans[-1][1] <= _NEAR or len(spans) == _SPANS):
            low = spans.pop()[0]
        spans.append((low, high))
    return spans
