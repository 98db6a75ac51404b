"""What answers somebody who has not signed in: a short list. Everything else of the whole site does not.

A new view is closed until it is on the list below, with its reason, and on that of docs/security.md.
"""

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import path
from pytest_django import Settings
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from config.urls import urlpatterns as site
from identity.models import TokenKind, User
from tests import factories
from tests.api.routes import address, routes

pytestmark = pytest.mark.usefixtures("plain_static_files")

OPEN = {
    "/": "the front page: what this is, and where its doors are",
    "/healthz": "for probes: that the process lives",
    "/readyz": "for probes: which dependencies answer",
    "/account/password/": "the page behind the links in mails: a form, which knows nothing",
    "/admin/login/": "the first step of the admin's sign-in",
    "/api/auth/login/": "signing in",
    "/api/auth/token/": "signing in, for programs",
    "/api/auth/password/reset/": "asking for a link by mail; says the same whoever asks",
    "/api/auth/password/reset/confirm/": "setting a password by that link",
}
METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
CLOSED = {401, 403, 404, 405}
ROUTES = sorted(set(routes()))


@pytest.fixture(autouse=True)
def no_other_address_of_flower(settings: Settings) -> None:
    """Where its door has one, /flower/ sends the browser there, to be asked: tests/journeys/test_flower.py."""
    settings.FLOWER_URL = ""


def opens(client: Client, method: str, route: str) -> bool:
    """Whether the view behind the route answers."""
    answer: Any = getattr(client, method)(address(route))
    # Signing out of nothing leads to the admin's first page, which leads to the login.
    to_the_login = answer.status_code == 302 and answer["Location"].split("?")[0] in {"/admin/login/", "/admin/"}
    return answer.status_code not in CLOSED and not to_the_login


@pytest.mark.parametrize("route", [route for route in ROUTES if route not in OPEN])
def test_a_stranger_gets_nothing_from_what_is_not_on_the_list(db: None, route: str) -> None:
    assert [method for method in METHODS if opens(Client(), method, route)] == []


@pytest.mark.parametrize("route", OPEN)
def test_what_is_on_the_list_is_there_and_open(db: None, route: str) -> None:
    assert route in ROUTES
    assert [method for method in METHODS if opens(Client(), method, route)]


@pytest.mark.parametrize("route", [route for route in ROUTES if not route.startswith("/api/") and route not in OPEN])
def test_a_token_opens_nothing_outside_the_api(ada: User, route: str) -> None:
    for kind in TokenKind:
        client = Client(headers={"Authorization": f"Token {factories.token(ada, kind=kind).text}"})
        assert [method for method in METHODS if opens(client, method, route)] == []


def test_the_walk_sees_the_whole_site() -> None:
    assert {"/api/documents/<uuid:id>/", "/admin/", "/admin/login/code/", "/flower/", "/healthz"} <= set(ROUTES)


# --- that these tests can fail -----------------------------------------------------------------
class _Forgotten(APIView):
    permission_classes = (AllowAny,)

    def get(self, request: Any) -> Response:
        return Response({})


urlpatterns = [*site, path("api/forgotten/", _Forgotten.as_view()), path("page/", lambda request: HttpResponse("x"))]


@pytest.mark.parametrize("route", ["/api/forgotten/", "/page/"])
def test_a_view_that_somebody_forgot_to_close_is_found(db: None, settings: Settings, route: str) -> None:
    settings.ROOT_URLCONF = __name__
    assert route in set(routes())
    assert opens(Client(), "get", route)
