"""Places: how many versions of one owner are checked at once, so that nobody's thousands hold up anybody else's one.

A version that is received gets a place if there is one, and else stands in `received` until an earlier one of the same
owner leaves: by an end, by becoming available, or by getting stuck. Places are given in the order in which the bytes
came, so a version never has one before an earlier version of its document, for which it would wait.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import OuterRef, Q, Subquery

from pipeline.models import Document, DocumentVersion, Status

_LOCKS = 0x5753  # the first half of the owners' advisory locks


def lock(owner_id: int) -> None:
    """Let nobody else give an owner's places, or count the owner's uploads, until this transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s, %s)", [_LOCKS, owner_id % 2**31])


def free(owner_id: int) -> int:
    """Return how many versions of the owner may begin now. Call `lock` first."""
    theirs = Q(owner_id=owner_id) | Q(owner__isnull=True, document__owner_id=owner_id)  # the latter as in `queues`
    if DocumentVersion.objects.queueing().filter(theirs).exists():
        return 0  # those came before
    return max(0, settings.OWNER_PLACES - DocumentVersion.objects.in_place(owner_id).count())


def fill(owner_id: int, *, now: datetime) -> list[DocumentVersion]:
    """Give the owner's free places to those that wait longest; return these versions, which are to be nudged."""
    with transaction.atomic():
        lock(owner_id)
        room = settings.OWNER_PLACES - DocumentVersion.objects.in_place(owner_id).count()
        queue = DocumentVersion.objects.queueing().filter(owner_id=owner_id).order_by("received_at", "arrival")
        chosen = list(queue.select_related("document")[: max(0, room)])
        given = {"entered_at": now, "late_at": now + timedelta(seconds=settings.STATUS_BUDGETS[Status.RECEIVED])}
        DocumentVersion.objects.filter(pk__in=[version.pk for version in chosen]).update(**given, due_at=now)
    for version in chosen:
        version.entered_at = now
    return chosen


def queues() -> list[int]:
    """Return the owners of whom versions wait for a place."""
    waiting = DocumentVersion.objects.queueing()
    # Received by a release that knew no places:
    owner = Document.objects.filter(pk=OuterRef("document_id")).values("owner_id")[:1]
    waiting.filter(owner__isnull=True).update(owner_id=Subquery(owner))
    return list(waiting.filter(owner__isnull=False).values_list("owner_id", flat=True).distinct())
