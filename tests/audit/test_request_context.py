"""Whose request it is: the caller cannot choose the address, and logs and events share an id."""

import uuid

import pytest
import structlog
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings

from audit import context
from audit.middleware import RequestContext, client_ip


def request(forwarded: str | None = None, peer: str = "10.0.0.1") -> HttpRequest:
    """A request as it arrives from `peer`."""
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    return RequestFactory().get("/", headers=headers, REMOTE_ADDR=peer)


@pytest.mark.parametrize(
    ("count", "forwarded", "address"),
    [
        (0, None, "10.0.0.1"),
        (0, "192.0.2.66", "10.0.0.1"),  # no proxy of ours: the header is the caller's own
        (1, "203.0.113.5", "203.0.113.5"),
        (1, "192.0.2.66, 203.0.113.5", "203.0.113.5"),  # what the caller sent stands on the left
        (1, "192.0.2.66,198.51.100.1,203.0.113.5", "203.0.113.5"),
        (2, "203.0.113.5, 10.0.0.2", "203.0.113.5"),
        (2, "192.0.2.66, 203.0.113.5, 10.0.0.2", "203.0.113.5"),
        (2, "192.0.2.66", "10.0.0.1"),  # did not come through both
        (1, None, "10.0.0.1"),
        (1, "", "10.0.0.1"),
        (1, "not an address", "10.0.0.1"),
        (1, "2001:DB8::1", "2001:db8::1"),
        (1, "::ffff:203.0.113.5", "203.0.113.5"),
    ],
)
def test_only_our_own_proxies_say_who_called(count: int, forwarded: str | None, address: str) -> None:
    with override_settings(TRUSTED_PROXY_COUNT=count):
        assert client_ip(request(forwarded)) == address


def test_a_unix_socket_has_no_address() -> None:
    with override_settings(TRUSTED_PROXY_COUNT=0):
        assert client_ip(request(peer="")) == ""


def served(incoming: HttpRequest) -> tuple[HttpResponse, context.Request]:
    """The answer, and the context that the view saw."""
    seen: list[context.Request] = []

    def view(_: HttpRequest) -> HttpResponse:
        current = context.current()
        assert current
        seen.append(current)
        return HttpResponse()

    return RequestContext(view)(incoming), seen[0]


def test_the_view_and_the_answer_have_the_id_of_the_logs() -> None:
    with structlog.contextvars.bound_contextvars(request_id="abc-1"):
        response, seen = served(request())
    assert response["X-Request-ID"] == seen.request_id == "abc-1"


@pytest.mark.parametrize("chosen", ["", "x" * 65, "two words", "line\nbreak", "\u00e9"])
def test_an_id_that_a_client_chose_badly_is_replaced_in_the_logs_too(chosen: str) -> None:
    with structlog.contextvars.bound_contextvars(request_id=chosen):
        response, seen = served(request())
        logged = structlog.contextvars.get_contextvars()["request_id"]
    assert response["X-Request-ID"] == seen.request_id == logged
    assert str(uuid.UUID(seen.request_id)) == seen.request_id


def test_outside_a_request_there_is_no_context() -> None:
    served(request())
    assert context.current() is None


def test_a_long_user_agent_is_cut() -> None:
    incoming = request()
    incoming.META["HTTP_USER_AGENT"] = "x" * 5_000
    assert len(served(incoming)[1].user_agent) == 512
