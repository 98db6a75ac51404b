"""Somebody who is signed in and is refused leaves `access.denied`, although their request changes nothing."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from audit import trail
from audit.models import Outbox
from identity import acts, mfa
from identity.models import ApiToken, Role, User
from tests import factories
from tests.api import site_acts
from tests.api.routes import address
from tests.api.site_acts import inside
from tests.api.test_matrix import LETS_IN, REFUSALS, TABLE, client_of
from tests.factories import PASSWORD
from tests.people import Person, bearer, post, recorded, refusal

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]
REASON = {"reason": "She has asked for it."}
UNKNOWN = "00000000-0000-4000-8000-000000000000"
VISITORS = ("investor.enrol", "investor.given", "investor.stale", "auditor.stale", "admin.stale")


def denials() -> list[dict[str, Any]]:
    """What is recorded of refusals; nothing of it tells an address, a name or what was typed."""
    return recorded("access.denied")


def only_denial() -> dict[str, Any]:
    """The one refusal that is recorded."""
    (event,) = denials()
    assert event["outcome"] == "denied"
    assert event["private"]
    return event


def about(event: dict[str, Any]) -> tuple[str, str, str]:
    """Actor, object and code."""
    actor, target = event["actor"], event["object"]
    return f"{actor['kind']}:{actor['uid']}", f"{target['kind']}:{target['uid']}", event["facts"]["code"]


# --- every door of the API ---------------------------------------------------------------------------
@pytest.mark.parametrize("route", [route for route in TABLE if TABLE[route][1] not in {"open", "token"}])
def test_each_door_of_the_api_records_whom_it_refuses(route: str) -> None:
    looking, changing, methods = TABLE[route]
    expected = []
    for visitor in VISITORS:
        client = client_of(visitor)
        for method in methods.split(","):
            says = LETS_IN[visitor][looking if method == "GET" else changing]
            if says == "in":
                continue
            answer = getattr(client, method.lower())(address(f"/api/{route}"))
            user = User.objects.get(username=visitor)
            expected.append((f"user:{user.pk}", method, f"/api/{route}", REFUSALS[says][1], answer["X-Request-ID"]))
    told = [
        (
            f"{event['actor']['kind']}:{event['actor']['uid']}",
            *(event["facts"][name] for name in ("method", "route", "code")),
            event["request_id"],
        )
        for event in denials()
    ]
    assert told == expected
    assert expected


def test_strangers_leave_nothing() -> None:
    for client in (APIClient(), bearer("x" * 64)):
        assert client.get("/api/documents/").status_code == 401
        assert client.get(f"/api/documents/{uuid4()}/").status_code == 401
    assert not Outbox.objects.exists()


def test_an_address_that_does_not_exist_leaves_nothing(carol: Person) -> None:
    client = bearer(factories.token(carol.user).text)
    assert client.get("/api/documents/by-type/nonsense/").status_code == 404
    assert client.get("/api/nothing/").status_code == 404
    assert not denials()


# --- what is not there, or somebody else's ----------------------------------------------------------
@pytest.mark.parametrize("rest", ["", "history/", "download/", "complete/"])
def test_somebody_who_tries_ids_is_seen_and_learns_nothing(carol: Person, eve: User, rest: str) -> None:
    version = factories.begun(carol.user)
    client = bearer(factories.token(eve).text)
    bodies = []
    for id_ in (str(version.pk), str(version.document_id), UNKNOWN):
        path = f"/api/documents/{id_}/{rest}"
        answer = client.post(path) if rest == "complete/" else client.get(path)
        bodies.append({**answer.json(), "request_id": ""})
        assert about(denials()[-1]) == (f"user:{eve.pk}", f"version:{id_}", "not_found")
    assert bodies == [bodies[0]] * 3
    assert {event["facts"]["route"] for event in denials()} == {f"/api/documents/<uuid:id>/{rest}"}
    assert not any("subject" in event for event in denials())


def test_what_exists_and_what_does_not_cost_the_same(carol: Person, eve: User) -> None:
    version = factories.begun(carol.user)
    client = bearer(factories.token(eve).text)
    client.get(f"/api/documents/{uuid4()}/")  # the key for what is personal is made
    asked: list[list[str]] = []
    for id_ in (version.pk, uuid4(), version.document_id):
        asked.append([])
        with connection.execute_wrapper(noting(asked[-1])):
            client.get(f"/api/documents/{id_}/")
    assert asked == [asked[0]] * 3
    assert len(asked[0]) > 3


def noting(said: list[str]) -> Callable[..., Any]:
    """Note each statement, without its values and the numbers of savepoints."""

    def note(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        said.append(re.sub(r"SAVEPOINT .*", "SAVEPOINT", sql))
        return execute(sql, *rest)

    return note


def test_a_person_who_is_not_there(rhea: Person) -> None:
    client = bearer(factories.token(rhea.user).text)
    assert client.get("/api/investors/999999999/").status_code == 404
    assert about(only_denial()) == (f"user:{rhea.user.pk}", "user:999999999", "not_found")


def test_a_number_of_any_length_is_no_error(rhea: Person) -> None:
    client = bearer(factories.token(rhea.user).text)
    assert client.get(f"/api/investors/{'9' * 500}/").status_code == 404
    assert denials() == []


def test_sessions_and_requests_of_others(carol: Person, rhea: Person, eve: User) -> None:
    theirs = factories.token(carol.user).token
    assert bearer(factories.token(eve).text).delete(f"/api/auth/sessions/{theirs.id}/").status_code == 404
    assert about(denials()[-1]) == (f"user:{eve.pk}", f"session:{theirs.id}", "not_found")
    assert ApiToken.objects.filter(pk=theirs.pk).exists()
    post(bearer(factories.token(rhea.user).text), f"role-requests/{UNKNOWN}/approve/")
    assert about(denials()[-1]) == (f"user:{rhea.user.pk}", f"role_request:{UNKNOWN}", "not_found")


# --- refusals of the domain ---------------------------------------------------------------------------
def test_an_act_on_oneself(rhea: Person) -> None:
    answer = post(bearer(factories.token(rhea.user).text), f"investors/{rhea.user.pk}/deactivate/", REASON)
    assert refusal(answer) == (403, "on_yourself")
    assert about(only_denial()) == (f"user:{rhea.user.pk}", f"user:{rhea.user.pk}", "on_yourself")


def test_one_who_is_no_second_person_although_the_approval_rolls_back(
    rhea: Person, carol: Person, somebody: Callable[..., Person]
) -> None:
    ruth = somebody("ruth", "admin")
    acts.reset_mfa(rhea.user, ruth.user, reason="lost", now=timezone.now())
    asked = acts.change_role(rhea.user, carol.user, role=Role.ADMIN, reason="She takes over.", now=timezone.now())
    assert asked
    answer = post(bearer(factories.token(ruth.user).text), f"role-requests/{asked.pk}/approve/")
    assert refusal(answer) == (403, "second_person_required")
    assert about(only_denial())[1:] == (f"role_request:{asked.pk}", "second_person_required")
    assert recorded("user.role_changed") == []


def test_an_auditor_who_wants_the_bytes(otto: User, carol: Person) -> None:
    version = factories.begun(carol.user)
    answer = bearer(factories.token(otto).text).get(f"/api/documents/{version.pk}/download/")
    assert refusal(answer) == (403, "metadata_only")
    assert about(only_denial()) == (f"user:{otto.pk}", f"version:{version.pk}", "metadata_only")


def test_bytes_that_are_not_for_anybody(carol: Person) -> None:
    version = factories.begun(carol.user)
    answer = bearer(factories.token(carol.user).text).get(f"/api/documents/{version.pk}/download/")
    assert refusal(answer) == (409, "not_available")
    assert about(only_denial())[1:] == (f"version:{version.pk}", "not_available")


# --- closed when it cannot be recorded -------------------------------------------------------------
def away(*_: object, **__: object) -> None:
    """In the place of what writes to the log."""
    raise OperationalError("secret words")


@pytest.mark.parametrize("path", ["investors/", f"documents/{UNKNOWN}/"])
def test_a_refusal_that_cannot_be_recorded_is_503(eve: User, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    client = bearer(factories.token(eve).text)
    monkeypatch.setattr(trail, "_queue", away)
    answer = client.get(f"/api/{path}")
    assert refusal(answer) == (503, "unavailable")
    assert answer["Retry-After"]


# --- pages for browsers -----------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["/admin/", "/admin/identity/user/", "/admin/audit/event/<path:object_id>/change/"])
def test_somebody_who_is_no_admin_is_sent_away_from_the_admin_on_the_record(carol: Person, route: str) -> None:
    answer = inside(carol.user).get(address(route), secure=True)
    assert answer.status_code == 302
    assert "/admin/login/" in answer["Location"]
    event = only_denial()
    assert about(event) == (f"user:{carol.user.pk}", f"route:{route}", "admin_only")
    assert event["request_id"] == answer["X-Request-ID"]


@pytest.mark.parametrize("model", site_acts.MODELS)
def test_what_the_admin_refuses_to_admins_is_recorded(rhea: Person, model: str) -> None:
    browser = inside(rhea.user)
    calls = [call.split(" ") for call in site_acts.REFUSED if f"/{model}/" in call]
    assert len(calls) == 5
    for method, route in calls:
        assert getattr(browser, method.lower())(address(route), secure=True).status_code == 403
        assert about(denials()[-1]) == (f"user:{rhea.user.pk}", f"route:{route}", "permission_denied")
    assert len(denials()) == 5


def test_a_form_from_elsewhere(rhea: Person) -> None:
    browser = inside(rhea.user)
    browser.handler.enforce_csrf_checks = True
    assert browser.post("/admin/logout/", secure=True).status_code == 403
    assert about(only_denial()) == (f"user:{rhea.user.pk}", "route:/admin/logout/", "csrf")
    assert Client(enforce_csrf_checks=True).post("/admin/login/", secure=True).status_code == 403
    assert len(denials()) == 1


def test_flowers_door_refuses_on_the_record(otto: User) -> None:
    assert inside(otto).get("/internal/flower-auth/", secure=True).status_code == 403
    assert about(only_denial()) == (f"user:{otto.pk}", "route:/internal/flower-auth/", "admin_only")


def test_an_admin_who_owes_a_password(rhea: Person) -> None:
    User.objects.filter(pk=rhea.user.pk).update(must_change_password=True)
    browser = Client()
    browser.post("/admin/login/", {"username": "rhea", "password": PASSWORD}, secure=True)
    assert browser.post("/admin/login/code/", {"code": rhea.code()}, secure=True).status_code == 403
    assert about(only_denial())[2] == "password_change_required"


def test_a_page_is_refused_by_503_where_it_cannot_be_recorded(rhea: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = inside(rhea.user)
    monkeypatch.setattr(trail, "_queue", away)
    answer = browser.get("/admin/identity/user/add/", secure=True)
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "secret" not in answer.content.decode()


# --- what costs an attacker nothing is recorded once a minute -----------------------------------------
def test_a_password_that_is_right_is_noted_once_a_minute(carol: Person) -> None:
    for _ in range(5):
        assert carol.login(mfa_code="").status_code == 200
    assert len(recorded("auth.password_accepted")) == 1
    with time_machine.travel(timezone.now() + timedelta(minutes=1)):
        carol.login(mfa_code="")
    assert len(recorded("auth.password_accepted")) == 2


def test_codes_for_a_locked_factor_are_noted_once_a_minute(carol: Person) -> None:
    mfa.lock(carol.user, now=timezone.now())
    for _ in range(5):
        assert refusal(carol.login(mfa_code="000000")) == (403, "mfa_locked")
    (event,) = recorded("mfa.failed")
    assert (event["facts"], event["actor"]["kind"]) == ({"reason": "locked"}, "anonymous")


def test_too_many_wrong_codes_are_told_when_the_wait_begins(carol: Person) -> None:
    statuses = [carol.login(mfa_code="000000").status_code for _ in range(7)]
    assert statuses == [400] * 5 + [429] * 2
    (event,) = recorded("auth.throttled")
    assert event["facts"] == {"method": "code"}
