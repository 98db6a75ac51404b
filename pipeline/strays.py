"""The walk through both buckets, a bounded page at a time: what lies there that should not.

    quarantine   bytes under a key that no version has are purged; those of a version that was tidied are due again
    vault        an object, S3 version or delete marker that no version knows, or of another size: an alarm

In the vault nothing is ever deleted: what is there may be all that is left of a document. How far a walk has come is in
its `Walk`, so that it goes on there after a restart. Pages are listed first and the rows read after: a row is written
before anything can lie under its key. What lies under `audit/` of the vault is the log's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import transaction

from audit import actions, trail
from audit.trail import Ref
from pipeline import alarms, listing, storage
from pipeline.lifecycle import MOST_NAMED, SYSTEM
from pipeline.listing import Found
from pipeline.models import IN_VAULT, TIDIED, Alarm, DocumentVersion, Status, Walk

YOUNG: Final = timedelta(hours=1)
LOOK_AGAIN: Final = timedelta(minutes=10)
AT_ONCE: Final = 20  # alarms that are looked at again
_LONGEST_NAME: Final = 150

_Rows = Mapping[UUID, DocumentVersion]
_Keys = Mapping[str, list[Found]]


@dataclass(frozen=True)
class Looked:
    """What one page of a walk came to."""

    entries: int
    acts: int
    ended: bool


def step(name: str, *, now: datetime, limit: int = listing.PAGE) -> Looked | None:
    """Look at the next page of the walk `quarantine` or `vault`; None: it has ended lately, and rests.

    For one process at a time; two would but do the same twice. Raises a fault of S3 or the database: the next call goes
    on from the same place.
    """
    walk, _ = Walk.objects.get_or_create(name=name)
    way = WAYS[name]
    if not walk.marker and walk.finished_at and now - walk.finished_at < way.rest:
        return None
    found, marker = listing.page(way.bucket(), way.prefix, after=walk.marker, limit=limit)
    keys = listing.by_key(found)
    acts = way.look(keys, _rows(keys), now)
    begun = {} if walk.marker else {"started_at": now}
    ended = {} if marker else {"finished_at": now}
    Walk.objects.filter(name=name, marker=walk.marker).update(marker=marker, **begun, **ended)
    return Looked(len(found), acts, not marker)


def look_again(*, now: datetime, rest: timedelta = LOOK_AGAIN) -> int:
    """Look at what strays stand for longest unseen; settle those that are no more, and return how many."""
    standing = Alarm.objects.filter(kind=Alarm.Kind.STRAY, resolved_at__isnull=True, seen_at__lte=now - rest)
    settled = 0
    for alarm in standing.order_by("seen_at")[:AT_ONCE]:
        keys = {alarm.object: listing.of_key(settings.VAULT_BUCKET, alarm.object)}
        if words := _stray(_row(alarm.object, _rows(keys)), keys[alarm.object], now):
            alarms.stand(Alarm.Kind.STRAY, alarm.object, None, words, now=now)
        else:
            settled += alarms.settle(Alarm.Kind.STRAY, alarm.object, now=now)
    return settled


def _rows(keys: _Keys) -> _Rows:
    ids = filter(None, map(listing.id_of, keys))
    return DocumentVersion.objects.select_related("document").in_bulk(ids)


def _row(key: str, rows: _Rows) -> DocumentVersion | None:
    """The version whose key this is, in either bucket."""
    id_ = listing.id_of(key)
    version = rows.get(id_) if id_ else None
    return version if version and key in {version.incoming_key, version.vault_key} else None


# --- quarantine ----------------------------------------------------------------------------------
def _in_quarantine(keys: _Keys, rows: _Rows, now: datetime) -> int:
    """Delete markers do not matter here: they have no bytes, and hide none from what names a version."""
    acts, late = 0, []
    for key, found in keys.items():
        version, bytes_ = _row(key, rows), [one for one in found if not one.is_marker]
        if version is None:
            acts += _purge(key, [one for one in bytes_ if one.at < now - YOUNG])
        elif bytes_ and version.status in TIDIED and version.tidied_at:
            late.append(version.pk)  # they came after it had been tidied for the last time
    again = DocumentVersion.objects.filter(pk__in=late, tidied_at__isnull=False)
    return acts + again.update(tidied_at=None, due_at=now)


def _purge(key: str, found: Sequence[Found]) -> int:
    """Delete what is nobody's. Recorded first, as `lifecycle.tidy` does and for the same reason."""
    if not found:
        return 0
    ids = [one.version_id for one in found]
    with transaction.atomic():
        trail.record(
            actions.QUARANTINE_PURGED,
            actor=SYSTEM,
            object=Ref("object", listing.writable(key)[:_LONGEST_NAME]),
            details=f"{len(ids)} S3 versions under a key that no version has, deleted from quarantine.",
            facts={"key": listing.writable(key), "count": len(ids), "s3_versions": ids[:MOST_NAMED]},
        )
    storage.purge_key(key, ids)
    return len(ids)


# --- vault ---------------------------------------------------------------------------------------
def _in_vault(keys: _Keys, rows: _Rows, now: datetime) -> int:
    acts = 0
    for key, found in keys.items():
        version = _row(key, rows)
        if words := _stray(version, found, now):
            acts += alarms.stand(Alarm.Kind.STRAY, key, None, words, now=now)
        if version and (words := _resized(version, found)):
            acts += alarms.stand(Alarm.Kind.ALTERED, key, version, words, now=now)
    return acts


def _stray(version: DocumentVersion | None, found: Sequence[Found], now: datetime) -> str:
    """Say why what lies under one key of the vault is a stray; empty: it is none.

    `finalize` copies before the row says so: what lies under the key of a clean version, or of one that has but
    begun, is none.
    """
    if version is None:
        return f"No version has this key, under which lies {_count(found)}." if found else ""
    if version.status in IN_VAULT:
        more = [one for one in found if one.version_id != version.vault_version_id]
        return f"Beside the version's own object there lies {_count(more)} under its key." if more else ""
    if not found or version.status == Status.CLEAN or version.created_at > now - YOUNG:
        return ""
    return f"The version is {version.status}, and never came into the vault; under its key lies {_count(found)}."


def _count(found: Sequence[Found]) -> str:
    markers = sum(one.is_marker for one in found)
    objects = len(found) - markers
    said = [f"{objects} S3 version{'s' * (objects != 1)}"] if objects else []
    return " and ".join([*said, f"{markers} delete marker{'s' * (markers != 1)}"] if markers else said)


def _resized(version: DocumentVersion, found: Sequence[Found]) -> str:
    """Say it where S3 lists the version's own object with another size."""
    sizes = [one.size for one in found if version.status in IN_VAULT and one.version_id == version.vault_version_id]
    if all(size == version.size for size in sizes):
        return ""
    return f"The object in the vault has {sizes[0]} bytes, and the version {version.size}."


@dataclass(frozen=True)
class Way:
    """Where a walk leads, what it does with a page, and how long it rests at the end."""

    bucket: Callable[[], str]
    prefix: str
    look: Callable[[_Keys, _Rows, datetime], int]
    rest: timedelta


WAYS: Final = {
    "quarantine": Way(lambda: settings.QUARANTINE_BUCKET, "incoming/", _in_quarantine, timedelta(minutes=5)),
    "vault": Way(lambda: settings.VAULT_BUCKET, "documents/", _in_vault, timedelta(hours=6)),
}
