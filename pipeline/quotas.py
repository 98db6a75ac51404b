"""Quotas of one owner: how many uploads may be open, and how many bytes may come in a day (OWASP ASVS 5.2.4)."""

from datetime import datetime, timedelta
from math import ceil

from django.conf import settings
from django.db.models import Min, Sum

from pipeline.models import DocumentVersion, Status

DAY = timedelta(days=1)


class QuotaReached(Exception):
    """Too much was uploaded. Try again later."""

    def __init__(self, wait: float) -> None:
        """`wait` is how many seconds it takes at least until there is room again."""
        super().__init__()
        self.wait = max(1, ceil(wait))


class TooManyOpen(QuotaReached):
    """Too many uploads are open. Send the files of those that you began, or wait until these have expired."""


class DayFull(QuotaReached):
    """This account may hand in no more bytes today. Try again later, or ask an admin."""


def check(owner_id: int, *, size: int, now: datetime) -> None:
    """Raise `TooManyOpen` or `DayFull` where one more upload of `size` bytes would be too much at `now`."""
    mine = DocumentVersion.objects.filter(owner_id=owner_id)
    opened = mine.filter(status=Status.PENDING)
    if opened.count() >= settings.OPEN_UPLOADS_PER_OWNER:
        ends = opened.aggregate(at=Min("expires_at"))["at"] + timedelta(seconds=settings.EXPIRE_GRACE_SECONDS)
        raise TooManyOpen((ends - now).total_seconds())
    today = mine.filter(created_at__gt=now - DAY).exclude(status=Status.EXPIRED)  # what never came took no room
    if (today.aggregate(bytes=Sum("size"))["bytes"] or 0) + size > settings.BYTES_PER_DAY_PER_OWNER:
        oldest = today.aggregate(at=Min("created_at"))["at"] or now
        raise DayFull((oldest + DAY - now).total_seconds())
