"""All that stands still or is late, and what to do about it: one list for admins and operators, and its counts.

    stuck    a version that stands until somebody requeues it
    late     a version that has been in its status for longer than that may last, and goes on by itself
    stray, missing, altered    alarms: the vault is not what its versions say

Each kind has an index of its own, of these few rows alone, so a page costs the same however many versions there are.
What brings a version here, and `requeue`, are in `lifecycle`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from pipeline import lifecycle
from pipeline.models import IN_VAULT, UNFINISHED, Alarm, Document, DocumentVersion, Status

if TYPE_CHECKING:
    from identity.models import User

STUCK: Final = "stuck"
LATE: Final = "late"
AT_ONCE = 500  # of those that are read one after the other
KINDS: Final = (STUCK, LATE, *Alarm.Kind.values)
_ALWAYS: Final = datetime.max.replace(tzinfo=UTC)  # an older release did not note since when; those come first


class Next(StrEnum):
    """What to do about it."""

    REQUEUE = "requeue"
    WAIT = "wait"
    SEND_AGAIN = "send_again"
    EXAMINE = "examine"


class Place(NamedTuple):
    """Where an entry stands in the list; the greatest comes first. `rank` is the source's."""

    at: datetime
    rank: int
    pk: UUID | int


@dataclass(frozen=True)
class Entry:
    """One thing that stands: a version, or an alarm, which may be about a version."""

    kind: str
    place: Place
    version: DocumentVersion | None
    alarm: Alarm | None = None

    @property
    def id(self) -> str:
        """The version's id; an alarm's number with its kind before it."""
        return str(self.version.pk) if self.alarm is None and self.version else f"alarm:{self.place.pk}"

    @property
    def owner(self) -> "User | None":
        """Whose version it is, if it is anybody's."""
        return self.version.document.owner if self.version else None

    @property
    def since(self) -> datetime:
        """When it got stuck, was late, or was found."""
        if self.place.at != _ALWAYS or self.version is None:
            return self.place.at
        return self.version.status_at

    @property
    def reason(self) -> str:
        """Why, in words."""
        if self.alarm:
            return self.alarm.words
        assert self.version  # noqa: S101 - only an alarm has none
        return self.version.stuck_reason or self.version.waits_for or lifecycle.NOBODY

    @property
    def next_action(self) -> Next:
        """What to do about it."""
        version = self.version
        if self.alarm or version is None or version.status in IN_VAULT:
            return Next.EXAMINE
        if version.stuck_reason == lifecycle.BYTES_GONE:
            return Next.SEND_AGAIN
        return Next.WAIT if self.kind == LATE and version.waits_for else Next.REQUEUE


@dataclass(frozen=True)
class Asked:
    """What to list; empty: everything."""

    kind: str = ""
    status: str = ""
    owner_id: int | None = None


def page(asked: Asked, *, after: Place | None = None, limit: int, now: datetime | None = None) -> list[Entry]:
    """Return the next entries behind `after`, the newest first, in a query for each source."""
    found = [
        [_entry(row, source) for row in _found(source, asked, after)[:limit]]
        for source in _sources(asked.kind, now or timezone.now())
    ]
    return list(islice(merge(*found, key=lambda entry: entry.place, reverse=True), limit))


def of(version: DocumentVersion, now: datetime) -> Entry | None:
    """Return the version's own entry; None where there is nothing to requeue."""
    if version.stuck_reason:
        return Entry(STUCK, Place(version.stuck_at or _ALWAYS, 2, version.pk), version)
    late = version.status in UNFINISHED and version.late_at is not None and version.late_at <= now
    return Entry(LATE, Place(version.late_at or _ALWAYS, 1, version.pk), version) if late else None


def is_place(place: Place) -> bool:
    """Whether an entry can stand there: alarms are counted, versions have ids."""
    highest = 2**63 - 1
    return (place.rank == 0 and isinstance(place.pk, int) and 0 < place.pk <= highest) or (
        place.rank in {1, 2} and isinstance(place.pk, UUID)
    )


def prospect(version: DocumentVersion) -> str:
    """Say what becomes of a version that was requeued."""
    if version.status in IN_VAULT:
        return "Its object in the vault is read and hashed again."
    if version.status == Status.RECEIVED and version.entered_at is None:
        return "It waits for one of its owner's places; when it gets one, its check begins."
    return "It is due, and goes on with the next nudge or sweep."


def everything(asked: Asked, *, now: datetime | None = None) -> Iterator[Entry]:
    """Yield all entries, the newest first."""
    now, after = now or timezone.now(), None
    while found := page(asked, after=after, limit=AT_ONCE, now=now):
        yield from found
        after = found[-1].place


def alarms() -> dict[str, int]:
    """Return how many alarms of each kind stand."""
    standing = Alarm.objects.filter(resolved_at__isnull=True).values_list("kind")
    return {**dict.fromkeys(Alarm.Kind.values, 0), **dict(standing.annotate(n=Count("pk")))}


def oldest(status: Status) -> datetime | None:
    """Return since when the oldest of a status that is under way has been in it."""
    found = DocumentVersion.objects.filter(status=status, stuck_reason="").order_by("status_at")
    return found.values_list("status_at", flat=True).first()


def summary(now: datetime, *, most: int = 10_000) -> dict[str, Any]:
    """Return the oldest age of each status in seconds and the counts of what stands, each counted to `most` at most."""
    since = {status.value: oldest(status) for status in UNFINISHED}
    versions = DocumentVersion.objects
    return {
        "oldest_seconds": {status: round((now - at).total_seconds()) if at else 0 for status, at in since.items()},
        "stuck": versions.stuck()[:most].count(),
        "late": versions.over_budget(now)[:most].count(),
        "waiting_for_place": versions.queueing()[:most].count(),
        "alarms": Alarm.objects.filter(resolved_at__isnull=True)[:most].count(),
    }


# --- where they are found ------------------------------------------------------------------------
_Rows = QuerySet[Any]


class Source(NamedTuple):
    """The rows of one index, and the column that it orders them by."""

    rows: _Rows
    at: str
    rank: int
    version: str = ""  # the way from a row to its version


def _sources(kind: str, now: datetime) -> list[Source]:
    standing = Alarm.objects.filter(resolved_at__isnull=True)
    if kind in Alarm.Kind.values:
        return [Source(standing.filter(kind=kind), "raised_at", 0, "version__")]
    all_ = {
        STUCK: Source(DocumentVersion.objects.stuck(), "stuck_at", 2),
        LATE: Source(DocumentVersion.objects.over_budget(now), "late_at", 1),
        "": Source(standing, "raised_at", 0, "version__"),
    }
    return [all_[kind]] if kind else list(all_.values())


def _found(source: Source, asked: Asked, after: Place | None) -> _Rows:
    """The rows that are asked for, in their order, with no more than is shown of them."""
    rows, version = source.rows, source.version
    if asked.status:
        rows = rows.filter(**{f"{version}status": asked.status})
    if asked.owner_id:
        rows = rows.filter(_of_owner(asked.owner_id, version))
    shown = [*(() if version == "" else _OF_ALARM), *(version + field for field in _OF_VERSION)]
    rows = rows.select_related(f"{version}document__owner").only(*shown)
    # Beside its column the order has the id, but never the id alone: PostgreSQL would walk the whole table by it.
    return rows.filter(_behind(source, after)).order_by(f"-{source.at}", "-pk")


_OF_ALARM: Final = ("kind", "object", "words", "raised_at", "version")
_OF_VERSION: Final = (
    *("document", "document__owner", "document__owner__username", "status", "status_at", "size", "attempts"),
    *("late_at", "waits_for", "stuck_at", "stuck_reason"),
)


def _of_owner(owner_id: int, version: str) -> Q:
    """By the version's own column, so that only the page is joined; old ones have none, and are asked by document."""
    documents = Document.objects.filter(owner_id=owner_id).values("pk")
    old = Q(**{f"{version}owner__isnull": True}) & Q(
        **{f"{version}document__in": documents}
    )  # in this order: it is cheap
    return Q(**{f"{version}owner_id": owner_id}) | old


def _behind(source: Source, after: Place | None) -> Q:
    """What comes behind `after`: what has no moment comes first, as PostgreSQL puts it in a falling order."""
    if after is None:
        return Q()
    if after.at == _ALWAYS:
        return Q(**{f"{source.at}__isnull": False}) | (Q(pk__lt=after.pk) if source.rank == after.rank else Q())
    if source.rank == after.rank:
        return Q(**{f"{source.at}__lte": after.at}) & ~Q(**{source.at: after.at}, pk__gte=after.pk)
    return Q(**{f"{source.at}__lte" if source.rank < after.rank else f"{source.at}__lt": after.at})


def _entry(row: DocumentVersion | Alarm, source: Source) -> Entry:
    place = Place(getattr(row, source.at) or _ALWAYS, source.rank, row.pk)
    if isinstance(row, Alarm):
        return Entry(row.kind, place, row.version, row)
    return Entry(LATE if source.rank == 1 else STUCK, place, row)
