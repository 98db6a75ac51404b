"""Every route of a document as another investor, with ids of every kind: not yours is not there."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from rest_framework.test import APIClient

from identity.models import User
from pipeline.models import DocumentVersion, Status
from tests import factories
from tests.api.routes import routes
from tests.factories import said

METHODS = ("get", "post", "put", "patch", "delete", "options", "head")
WITH_ID = [
    route.removeprefix("/api/") for route in routes() if route.startswith("/api/documents/") and "<uuid:id>" in route
]
Signed = Callable[[User], APIClient]


def address(route: str, id_: object = None) -> str:
    """The route with an id in it."""
    return "/api/" + route.replace("<uuid:id>", str(id_ or uuid4()))


def answers(api: APIClient, method: str, url: str) -> Any:
    """One call."""
    call = getattr(api, method)
    return call(url, {}, format="json") if method in {"post", "put", "patch"} else call(url)


def ids(owner: User) -> Iterator[UUID]:
    """Ids of every kind that somebody else's documents have."""
    for make in (factories.begun, factories.received, factories.available):
        version = make(owner, name=make.__name__)
        yield version.pk
        yield version.document_id


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("route", WITH_ID)
def test_not_yours_answers_exactly_as_not_there(
    signed_in: Signed, alice: User, eve: User, route: str, method: str
) -> None:
    attacker = signed_in(eve)
    nothing = answers(attacker, method, address(route))
    targets = list(ids(alice))
    before = list(DocumentVersion.objects.values().order_by("pk"))
    for id_ in targets:
        theirs = answers(attacker, method, address(route, id_))
        assert theirs.status_code == nothing.status_code
        assert theirs.status_code in {404, 405, 200} - ({200} if method != "options" else set())
        assert _without_request_id(theirs) == _without_request_id(nothing)
        assert _headers(theirs) == _headers(nothing)
    assert list(DocumentVersion.objects.values().order_by("pk")) == before


@pytest.mark.parametrize("route", WITH_ID)
@pytest.mark.parametrize("id_", ["1", "0", "-1", "abc", "../", "%2e%2e", "null", "' or 1=1 --", "00000000-0000-0000"])
def test_ids_that_are_not_ids_are_not_there(signed_in: Signed, eve: User, route: str, id_: str) -> None:
    answer = signed_in(eve).get(address(route, id_))
    assert answer.status_code == 404
    assert said(answer)["code"] == "not_found"


def test_lists_of_another_investor_are_empty(signed_in: Signed, alice: User, eve: User) -> None:
    factories.available(alice)
    for route in ("documents/", "documents/latest/", "documents/by-type/statement/"):
        assert said(signed_in(eve).get(f"/api/{route}?owner={alice.pk}&user_id={alice.pk}")) == []


def test_the_same_name_of_two_investors_are_two_documents(signed_in: Signed, alice: User, eve: User) -> None:
    body = {
        "name": "Statement",
        "doc_type": "statement",
        "filename": "a.pdf",
        "content_type": "application/pdf",
        "size": 10,
    }
    ids = {said(signed_in(who).post("/api/documents/", body, format="json"))["document_id"] for who in (alice, eve)}
    assert len(ids) == 2


def test_an_upload_that_an_admin_completes_stays_its_owners(signed_in: Signed, alice: User, ada: User) -> None:
    version = factories.begun(alice)
    factories.send(version)
    assert signed_in(ada).post(f"/api/documents/{version.pk}/complete/").status_code == 202
    version.refresh_from_db()
    assert (version.status, version.document.owner_id) == (Status.RECEIVED, alice.pk)


def _without_request_id(answer: Any) -> Any:
    return {**said(answer), "request_id": None} if answer.content else None


def _headers(answer: Any) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in {"X-Request-ID", "Date"}}
