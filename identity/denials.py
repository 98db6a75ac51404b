"""Records that somebody who is signed in was refused: `access.denied`.

A refused request changes nothing, or rolls back what it had changed, so the event has a transaction of
its own. Whoever has no valid token or session is not recorded: strangers could fill the log. What the
API says to a refusal is decided in `api`; the pages for browsers come here themselves.
"""

from datetime import datetime
from typing import Final, TypeVar

import structlog
from django.db import InterfaceError, OperationalError, transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone

from audit import actions, trail
from audit.trail import Ref
from identity import sessions
from identity.accounts import ref
from identity.models import User

Answer = TypeVar("Answer", bound=HttpResponseBase)

log = structlog.get_logger(__name__)

_FAULTS: Final = (OperationalError, InterfaceError)
_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_ROUTE_LENGTH: Final = 150
_RETRY_SECONDS: Final = 5


def record(user: User, request: HttpRequest, code: str, *, object: Ref | None = None, now: datetime) -> None:
    """Record that `user` was refused; `object` is what they were refused, the route itself where nobody knows.

    The route is told as it is written in the code, never the address that was called: that and its query
    are somebody's free text.
    """
    method = request.method if request.method in _METHODS else "another method"
    route = _route(request)
    with transaction.atomic(durable=True):
        trail.record(
            actions.ACCESS_DENIED,
            actor=ref(user),
            object=object or Ref("route", route),
            outcome="denied",
            details=f"Refused ({code}): {method} {route}.",
            facts={"method": str(method), "route": route, "code": code},
            now=now,
        )


def of_page(request: HttpRequest, answer: Answer, *, code: str, user: User | None = None) -> Answer | HttpResponse:
    """Return the answer that refuses a browser its page, once that is on the record; 503 where it cannot be written.

    `user`: who is refused, if that is not whose session it is.
    """
    now = timezone.now()
    try:
        visitor = user or (sessions.holder(request, now=now) if hasattr(request, "session") else None)
        if visitor:
            record(visitor, request, code, now=now)
    except _FAULTS as fault:
        log.error("denial_not_recorded", fault=type(fault).__name__)
        headers = {"Retry-After": str(_RETRY_SECONDS)}
        return HttpResponse("A part of this service is away for a moment. Try again.", status=503, headers=headers)
    return answer


def _route(request: HttpRequest) -> str:
    match = request.resolver_match
    return f"/{match.route}"[:_ROUTE_LENGTH] if match else "unknown"
