"""Alarms: what should never be in the buckets, told once, standing until it is no longer so.

While an alarm stands of a version's object, the version has a `stuck_reason`: it is among what an admin has to see to,
and its bytes are not handed out (`reading.download`). Who finds out is in `strays` and `scrub`; nothing here looks.
"""

from datetime import datetime
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from audit import actions, trail
from audit.trail import Ref
from pipeline import listing
from pipeline.models import IN_VAULT, Alarm, DocumentVersion

SYSTEM: Final = Ref("system", "pipeline")
_LONGEST_WORDS: Final = 500


def stand(
    kind: Alarm.Kind, key: str, version: DocumentVersion | None, words: str, *, now: datetime | None = None
) -> bool:
    """Let an alarm of that kind stand of a key; return whether it is new. Seen again, only its time is noted.

    New, it is recorded, and `version` is closed until it is settled. Race-safe: one stands, whoever calls.
    """
    key, now = listing.writable(key), now or timezone.now()
    if _standing(kind, key).update(seen_at=now):
        return False
    try:
        with transaction.atomic():
            _lock(version)
            alarm = Alarm.objects.create(
                kind=kind, object=key, version=version, words=words[:_LONGEST_WORDS], raised_at=now, seen_at=now
            )
            if version is not None:
                _close(version, alarm.words, now)
            _record(actions.ALARM_RAISED, alarm, version, why=words, outcome="failure")
    except IntegrityError:  # alarm_stands_once: somebody else was first
        return False
    return True


def settle(kind: Alarm.Kind, key: str, *, now: datetime | None = None) -> bool:
    """Say that it is so no longer; return whether such an alarm stood.

    The version is open again unless another alarm stands of it.
    """
    key = listing.writable(key)
    with transaction.atomic():
        alarm = _standing(kind, key).select_related("version__document").first()
        if alarm is None:
            return False
        _lock(alarm.version)
        if not _standing(kind, key).update(resolved_at=now or timezone.now()):
            return False
        if alarm.version:
            _open(alarm.version)
        _record(actions.ALARM_RESOLVED, alarm, alarm.version)
    return True


def reopen(version: DocumentVersion) -> None:
    """Open a version in the vault that was found well, whatever closed it, unless an alarm stands of it."""
    with transaction.atomic():
        _lock(version)
        _open(version)


def standing(version: DocumentVersion) -> set[str]:
    """Return the kinds of the alarms that stand of a version's object."""
    return set(Alarm.objects.filter(version=version, resolved_at__isnull=True).values_list("kind", flat=True))


def _standing(kind: Alarm.Kind, key: str) -> QuerySet[Alarm]:
    return Alarm.objects.filter(kind=kind, object=key, resolved_at__isnull=True)


def _lock(version: DocumentVersion | None) -> None:
    """Whoever raises or settles another alarm of the same version waits, and then sees this one."""
    if version is not None:
        DocumentVersion.objects.select_for_update().get(pk=version.pk)


def _close(version: DocumentVersion, words: str, now: datetime) -> None:
    closed = DocumentVersion.objects.filter(pk=version.pk, status__in=IN_VAULT)
    closed.update(stuck_reason=words, stuck_at=Coalesce("stuck_at", now))


def _open(version: DocumentVersion) -> None:
    other = Alarm.objects.filter(version=version, resolved_at__isnull=True).first()
    reason = {"stuck_reason": other.words} if other else {"stuck_reason": "", "stuck_at": None}
    DocumentVersion.objects.filter(pk=version.pk, status__in=IN_VAULT).update(**reason)


def _record(
    action: str, alarm: Alarm, version: DocumentVersion | None, *, why: str = "", outcome: str = "success"
) -> None:
    """Record it of the version or, where there is none, of the alarm: a key may be longer than a name in the log."""
    told = "Found" if why else "No longer so"
    trail.record(
        action,
        actor=SYSTEM,
        object=Ref("version", str(version.pk)) if version else Ref("alarm", str(alarm.pk)),
        subject=Ref("user", str(version.document.owner_id)) if version else None,
        outcome=outcome,
        details=f"{told}: {Alarm.Kind(alarm.kind).label.lower()}.",
        facts={"kind": str(alarm.kind), "key": alarm.object, **({"why": why} if why else {})},
    )
