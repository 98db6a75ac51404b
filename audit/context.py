"""Which request is being served, for whoever records something while it is.

The middleware binds it, `trail.record` reads it. Outside a request (workers, commands) there is
none.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Request:
    """What an event may tell of its request. Empty text: not known."""

    request_id: str
    ip: str = ""
    user_agent: str = ""

    def personal(self) -> dict[str, str]:
        """The values about a person, which go into the private part; only those known."""
        known = {"ip": self.ip, "user_agent": self.user_agent}
        return {name: value for name, value in known.items() if value}


_current: ContextVar[Request | None] = ContextVar("audit_request", default=None)


def current() -> Request | None:
    """The request being served here, or None outside one."""
    return _current.get()


@contextmanager
def bound(request: Request) -> Iterator[None]:
    """While inside, `current()` is `request`."""
    token = _current.set(request)
    try:
        yield
    finally:
        _current.reset(token)
