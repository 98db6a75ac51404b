"""What lies in a bucket, a bounded page at a time: every S3 version and delete marker, whoever knows of it.

The listing of versions, never that of objects: what a delete marker hides is still there, and SeaweedFS begins the
latter elsewhere than it was told to (audit/bucket.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pipeline import storage

PAGE: Final = 1000  # the most that S3 gives (AWS: ListObjectVersions, MaxKeys)
_LONGEST: Final = 1200  # models.Walk.marker


@dataclass(frozen=True)
class Found:
    """One S3 version of a key, or a delete marker, which has no bytes."""

    key: str
    version_id: str
    at: datetime
    size: int
    is_marker: bool


def page(bucket: str, prefix: str, *, after: str = "", limit: int = PAGE) -> tuple[list[Found], str]:
    """Return the next entries under `prefix`, and what to give as `after` for those that follow; empty: no more do."""
    key, _, version_id = after.rpartition("\n")
    begin: Any = {"KeyMarker": key, "VersionIdMarker": version_id} if version_id else {"KeyMarker": key} if key else {}
    answer = storage.client().list_object_versions(Bucket=bucket, Prefix=prefix, MaxKeys=limit, **begin)
    found = [_found(item) for item in answer.get("Versions", [])]
    found += [_found(item, is_marker=True) for item in answer.get("DeleteMarkers", [])]
    last = _place(answer.get("NextKeyMarker", ""), answer.get("NextVersionIdMarker", ""))
    return found, last if answer["IsTruncated"] and last != after else ""


def of_key(bucket: str, key: str) -> list[Found]:
    """Return what lies under one key: at most a page, the newest first."""
    return [found for found in page(bucket, key)[0] if found.key == key]


def by_key(found: Iterable[Found]) -> Mapping[str, list[Found]]:
    """Return the entries of each key."""
    keys: dict[str, list[Found]] = {}
    for one in found:
        keys.setdefault(one.key, []).append(one)
    return keys


def id_of(key: str) -> UUID | None:
    """Return the version's id that a key of ours ends with; the caller compares the whole key with the version's."""
    try:
        return UUID(key.rpartition("/")[2])
    except ValueError:
        return None


def writable(key: str) -> str:
    """Return the key as the database can hold it. Only hands put a NUL into one: none of ours has any."""
    return key.replace("\0", "\1")


def _found(item: Any, *, is_marker: bool = False) -> Found:
    return Found(item["Key"], item["VersionId"], item["LastModified"], 0 if is_marker else item["Size"], is_marker)


def _place(key: str, version_id: str) -> str:
    """Both in one text: a line break is in no id. Too long, the rest of that one key is left to the next walk."""
    place = writable(f"{key}\n{version_id}")
    return place if len(place) <= _LONGEST else f"{writable(key)}\n"
