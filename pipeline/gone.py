"""The walk through the versions under way, a bounded number at a time: those whose pinned bytes are gone say so.

A step finds it out as well, but only when its turn comes. The longest in their status first; each status is a walk of
its own, because so they stand in the index `version_by_status`.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from pipeline import lifecycle
from pipeline.models import UNDER_WAY, DocumentVersion, Status, Versions, Walk

OLD: Final = timedelta(minutes=10)
AT_ONCE: Final = 50
REST: Final = timedelta(minutes=10)


def look(*, now: datetime, at_once: int = AT_ONCE) -> int:
    """Look for the bytes of the next versions that have been in their status for ten minutes.

    Returns how many stand now because theirs are gone. Raises a fault of S3 or the database; the next call goes on.
    """
    return sum(lifecycle.miss(version) for status in UNDER_WAY for version in _next(status, now, at_once))


def _next(status: Status, now: datetime, at_once: int) -> Iterator[DocumentVersion]:
    walk, _ = Walk.objects.get_or_create(name=f"gone-{status}")
    if not walk.marker and walk.finished_at and now - walk.finished_at < REST:
        return
    found = list(_behind(walk.marker, status, now)[:at_once])
    yield from found
    begun = {} if walk.marker else {"started_at": now}
    if len(found) == at_once:
        walked = {"marker": f"{found[-1].status_at.isoformat()} {found[-1].pk}", **begun}
    else:
        walked = {"marker": "", "finished_at": now, **begun}
    Walk.objects.filter(pk=walk.pk, marker=walk.marker).update(**walked)


def _behind(marker: str, status: Status, now: datetime) -> Versions:
    old = DocumentVersion.objects.filter(status=status, stuck_reason="", status_at__lte=now - OLD)
    if marker:
        at, _, pk = marker.partition(" ")
        old = old.filter(status_at__gte=at).exclude(status_at=at, pk__lte=pk)
    return old.select_related("document").order_by("status_at", "pk")
