"""How often somebody may call. This is about load; guesses are counted in `identity.lockout`.

Counted per person, in windows of the clock, in the broker's store, so that all web processes count
together. A broker that is away fails no request: nothing is counted until it is back.
"""

import time
from ipaddress import ip_network
from typing import Any, Final

import structlog
from django.conf import settings
from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from audit.middleware import client_ip
from identity.models import Role, User
from workers import broker

log = structlog.get_logger(__name__)

MINUTE: Final = 60
HOUR: Final = 3600
STRANGERS_PER_MINUTE: Final = 600  # a client that follows the log from its beginning asks for many tiles
_ASK_AGAIN_AFTER: Final = 5.0  # a store that hangs would hold up every request for its timeout


class Counts:
    """Counts in the cache, and tells once that it cannot."""

    def __init__(self) -> None:
        self._away = False
        self._ask_from = 0.0

    def add(self, key: str, seconds: int) -> int:
        """Count one more under `key`, which lives so long, and return how many there are; 0 if nobody knows."""
        if time.monotonic() < self._ask_from:
            return 0
        try:
            count = self._count(key, seconds)
        except broker.FAULTS as fault:
            self._note(fault)
            return 0
        self._away = False
        return count

    def _count(self, key: str, seconds: int) -> int:
        try:
            return int(cache.incr(key))
        except ValueError:  # the first in this window
            cache.add(key, 0, timeout=seconds)
            return int(cache.incr(key))

    def _note(self, fault: Exception) -> None:
        if not self._away:
            log.warning("rates_not_counted", fault=type(fault).__name__)
        self._away, self._ask_from = True, time.monotonic() + _ASK_AGAIN_AFTER


counts = Counts()


class Calls(BaseThrottle):
    """Every call of somebody who is signed in."""

    scope = "calls"
    window = MINUTE
    methods: frozenset[str] | None = None  # all

    def limit(self, user: User) -> int:
        """How many calls there may be in a window."""
        return settings.INVESTOR_CALLS_PER_MINUTE if user.role == Role.INVESTOR else settings.ADMIN_CALLS_PER_MINUTE

    def allow_request(self, request: Request, view: Any) -> bool:
        """Count the call, and say whether it is within the limit."""
        user = request.user
        if not isinstance(user, User) or (self.methods and request.method not in self.methods):
            return True
        window, self._passed = divmod(time.time(), self.window)
        key = f"{self.scope}:{user.pk}:{int(window)}"
        return counts.add(key, 2 * self.window) <= self.limit(user)

    def wait(self) -> float:
        """Seconds until the window ends."""
        return max(self.window - self._passed, 1)


class Uploads(Calls):
    """Beginning uploads."""

    scope = "uploads"
    window = HOUR
    methods = frozenset({"POST"})

    def limit(self, user: User) -> int:
        """How many in an hour."""
        return settings.UPLOADS_PER_HOUR


class Downloads(Calls):
    """Links to the bytes of a document."""

    scope = "downloads"
    window = HOUR

    def limit(self, user: User) -> int:
        """How many in an hour."""
        return settings.DOWNLOADS_PER_HOUR


class Strangers(BaseThrottle):
    """Calls of nobody in particular, where there is something that anybody may read: by address."""

    def allow_request(self, request: Request, view: Any) -> bool:
        """Count the call, and say whether it is within the limit. Who has signed in is counted by `Calls`."""
        if isinstance(request.user, User):
            return True
        window, self._passed = divmod(time.time(), MINUTE)
        key = f"strangers:{_network(client_ip(request._request))}:{int(window)}"
        return counts.add(key, 2 * MINUTE) <= STRANGERS_PER_MINUTE

    def wait(self) -> float:
        """Seconds until the window ends."""
        return max(MINUTE - self._passed, 1)


def _network(address: str) -> str:
    """The address; of IPv6 the /64 that one subscriber has."""
    return str(ip_network(f"{address}/64", strict=False)) if ":" in address else address
