"""Deletes what has ended by itself: sessions, tokens, and counters that nothing depends on any more."""

from datetime import datetime, timedelta
from typing import Final

from django.contrib.sessions.models import Session

from identity import lockout
from identity.models import ApiToken, Attempts

PER_ROUND: Final = 5_000
_KEPT: Final = timedelta(days=1)  # an ended one, so that a person who asks why can be told


def forget(now: datetime) -> int:
    """Delete at most some thousands of each; how many in all. Safe to run at once in several copies."""
    ended = now - _KEPT
    doomed = (
        Session.objects.filter(expire_date__lt=ended),
        ApiToken.objects.filter(expiry__lt=ended),
        Attempts.objects.filter(last_at__lt=now - lockout.KNOWN_FOR).exclude(succeeded_at__gt=now - lockout.KNOWN_FOR),
    )
    return sum(rows.model._default_manager.filter(pk__in=rows[:PER_ROUND]).delete()[0] for rows in doomed)
