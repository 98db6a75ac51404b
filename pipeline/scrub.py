"""The scrub: objects of the vault are read and hashed again, those first that were not for longest.

A version's object is read by its VersionId, in one stream of constant memory, as slowly as the caller's pace has it.
Equal, it is noted; of another size or hash it is `altered`, not there `missing`: alarms, until it is found well again.
That the storage is away is no alarm. That it says that it has an object, and fails to give it time and again while it
answers for others, is one: so bit rot shows where the storage checks its own sums, as SeaweedFS does.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from pipeline import alarms, faults, storage
from pipeline.models import IN_VAULT, Alarm, DocumentVersion, Versions

AT_ONCE: Final = 50
ALARMED_AGAIN: Final = timedelta(hours=6)  # an alarm settles itself, but a large object is not read all day for it
UNREAD_AGAIN: Final = tuple(timedelta(minutes=m) for m in (1, 5, 15, 30))  # after the last of them it is an alarm
MOST_UNREAD: Final = 1000

Pace = Callable[[int], bool]
"""Told of so many bytes read, it waits as long as they may take; False: stop reading."""


class Outcome(StrEnum):
    """What a check came to."""

    EQUAL = "equal"
    ALTERED = "altered"
    MISSING = "missing"
    UNREAD = "unread"
    BROKEN_OFF = "broken_off"


@dataclass
class Unread:
    """Objects that the storage has and does not give: how often each was tried, since when, and when it is again."""

    tries: dict[UUID, tuple[int, datetime, datetime]] = field(default_factory=dict)

    def failed(self, pk: UUID, now: datetime) -> tuple[int, datetime] | None:
        """Note a failure; return how many there were and since when, if that is enough for an alarm."""
        count, since, _ = self.tries.pop(pk, (0, now, now))
        if count == len(UNREAD_AGAIN):
            return count + 1, since
        if len(self.tries) < MOST_UNREAD:
            self.tries[pk] = (count + 1, since, now + UNREAD_AGAIN[count])
        return None

    def put_off(self, pk: UUID, now: datetime) -> None:
        """Leave it out for a while without a word against it: the storage may be away."""
        count, since, _ = self.tries.get(pk, (0, now, now))
        if pk in self.tries or len(self.tries) < MOST_UNREAD:
            self.tries[pk] = (count, since, now + UNREAD_AGAIN[0])

    def well(self, pk: UUID) -> None:
        """Forget what failed before."""
        self.tries.pop(pk, None)

    def left_out(self, now: datetime) -> list[UUID]:
        """Return those whose time has not come again."""
        return [pk for pk, (_, _, again_at) in self.tries.items() if again_at > now]


def due(*, now: datetime, leave_out: list[UUID], at_once: int = AT_ONCE) -> list[DocumentVersion]:
    """Return the versions whose objects are to be read next.

    First those that an admin has requeued, then those with an alarm that was not looked at for hours, then the others,
    the never checked before the longest checked; of these none with SCRUB_BYTES_PER_SECOND=0.
    """
    found: dict[UUID, DocumentVersion] = {}
    for versions in (_requeued(), _alarmed(now), _oldest(now, at_once + len(leave_out))):
        for version in versions:
            if version.pk not in leave_out:
                found.setdefault(version.pk, version)
    return list(found.values())[:at_once]


def check(version: DocumentVersion, *, pace: Pace, unread: Unread, now: datetime | None = None) -> Outcome:
    """Read the version's object again, and raise or settle its alarms by what it is.

    Raises a fault where S3 or the database are away; nothing is noted then, nor where `pace` breaks it off.
    """
    outcome, words = _compared(version, pace)
    now = now or timezone.now()
    if outcome == Outcome.BROKEN_OFF:
        return outcome
    if outcome == Outcome.UNREAD:
        if enough := unread.failed(version.pk, now):
            _note(version, Alarm.Kind.ALTERED, _unreadable(*enough), now)
        return outcome
    unread.well(version.pk)
    _note(version, Alarm.Kind(outcome) if words else None, words, now)
    return outcome


def since(*, now: datetime) -> float:
    """Return for how many seconds the object that was checked longest ago was not; a new one counts from its coming.

    Of those that were never checked it takes the next in line, which is one of the oldest.
    """
    vault = DocumentVersion.objects.filter(status__in=IN_VAULT)
    never = vault.filter(checked_at__isnull=True).order_by(_FIRST)
    checked = vault.filter(checked_at__isnull=False).order_by(_FIRST)
    first = (never.values_list("available_at", flat=True).first(), checked.values_list("checked_at", flat=True).first())
    return max([0.0, *((now - at).total_seconds() for at in first if at)])


# --- which ---------------------------------------------------------------------------------------
_FIRST: Final = F("checked_at").asc(nulls_first=True)  # as in the index version_unchecked


def _requeued() -> Versions:
    stuck = DocumentVersion.objects.stuck().filter(status__in=IN_VAULT, checked_at__isnull=True)
    return stuck.select_related("document")[:AT_ONCE]


def _alarmed(now: datetime) -> Iterator[DocumentVersion]:
    standing = Alarm.objects.filter(resolved_at__isnull=True, seen_at__lte=now - ALARMED_AGAIN, version__isnull=False)
    for alarm in standing.select_related("version__document").order_by("seen_at")[:AT_ONCE]:
        if alarm.version:
            yield alarm.version


def _oldest(now: datetime, most: int) -> Iterator[DocumentVersion]:
    """In the order of the index, up to the first that is not due: the index ends the search, not a filter."""
    if not settings.SCRUB_BYTES_PER_SECOND:
        return
    again = now - timedelta(days=settings.SCRUB_EVERY_DAYS)
    vault = DocumentVersion.objects.filter(status__in=IN_VAULT).select_related("document").order_by(_FIRST)
    for version in vault[:most]:
        if version.checked_at and version.checked_at > again:
            return
        yield version


# --- what it is ----------------------------------------------------------------------------------
def _compared(version: DocumentVersion, pace: Pace) -> tuple[Outcome, str]:
    """Read the object and compare it; the words of an alarm, or none."""
    try:
        return _read(version, pace)
    except storage.Gone:
        if storage.in_vault(version):
            return Outcome.UNREAD, ""
        return Outcome.MISSING, "The storage has the object of this version no more."
    except storage.FAULTS as error:
        fault = faults.of(error)
        if fault is None or not storage.in_vault(version):
            raise
        return Outcome.UNREAD, ""


def _read(version: DocumentVersion, pace: Pace) -> tuple[Outcome, str]:
    digest, size = hashlib.sha256(), 0
    with storage.vaulted(version) as (announced, chunks):
        if announced is not None and announced != version.size:
            return Outcome.ALTERED, f"The object in the vault has {announced} bytes, and the version {version.size}."
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            if not pace(len(chunk)):
                return Outcome.BROKEN_OFF, ""
    if (size, digest.hexdigest()) == (version.size, version.sha256):
        return Outcome.EQUAL, ""
    return Outcome.ALTERED, f"The object in the vault has other bytes than were put there: {digest.hexdigest()}."


def _unreadable(count: int, since: datetime) -> str:
    at = timezone.localtime(since).isoformat(" ", "minutes")
    return f"The storage says that it has this object, and has failed to give it {count} times since {at}."


def _note(version: DocumentVersion, kind: Alarm.Kind | None, words: str, now: datetime) -> None:
    """Raise before settling, so that a version is not open in between; last, that it was checked."""
    if kind:
        alarms.stand(kind, version.vault_key, version, words, now=now)
    for other in alarms.standing(version) - {kind}:
        alarms.settle(Alarm.Kind(other), version.vault_key, now=now)
    if version.stuck_reason and not kind:
        alarms.reopen(version)
    # Requeued meanwhile, it is read once more.
    DocumentVersion.objects.filter(pk=version.pk, checked_at=version.checked_at).update(checked_at=now)
