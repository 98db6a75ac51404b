"""Binds the request's id, address and user agent (audit.context) and answers with the id.

The address: `X-Forwarded-For` is written by anybody; only what our own proxies appended to its
right end is true. TRUSTED_PROXY_COUNT says how many they are: the n-th entry from the right is the
address that the outermost of them saw. Zero means that there is no proxy and the header is ignored.
Must stand after django-structlog's RequestMiddleware, so that logs and events share one id.
"""

import re
import uuid
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import Final

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from audit import context

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_USER_AGENT_LENGTH: Final = 512


class RequestContext:
    """Django middleware; see the module."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Serve the request with its context bound, and name its id in `X-Request-ID`."""
        request_id = _request_id()
        bound = context.Request(
            request_id=request_id,
            ip=client_ip(request),
            user_agent=request.META.get("HTTP_USER_AGENT", "")[:_USER_AGENT_LENGTH],
        )
        with context.bound(bound):
            response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response


def client_ip(request: HttpRequest) -> str:
    """The caller's address as our own proxies saw it; empty where there is none (a unix socket).

    A header with fewer entries than we have proxies did not come through all of them: then the
    socket's address is the only true one.
    """
    peer = request.META.get("REMOTE_ADDR", "")
    count = settings.TRUSTED_PROXY_COUNT
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    seen = hops[-count].strip() if 0 < count <= len(hops) else peer
    return _address(seen) or _address(peer)


def _address(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)


def _request_id() -> str:
    """The id that the logs use. One that a client chose badly is replaced in the logs too."""
    known = structlog.contextvars.get_contextvars().get("request_id")
    if isinstance(known, str) and _REQUEST_ID.fullmatch(known):
        return known
    made = str(uuid.uuid4())
    structlog.contextvars.bind_contextvars(request_id=made)
    return made
