"""/api/role-requests/: the admin role takes two admins."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from identity import acts
from identity.models import Role, RoleRequest, User
from tests import factories
from tests.people import Person, bearer, post, recorded, refusal


@pytest.fixture
def other(somebody: Callable[..., Person]) -> Person:
    """A second admin."""
    return somebody("other", "admin")


@pytest.fixture
def asked(rhea: Person, carol: Person) -> str:
    """rhea has asked that carol become an admin; the id of the request."""
    body = {"role": "admin", "reason": "She joins the house."}
    answer = post(as_admin(rhea), f"investors/{carol.user.pk}/role/", body)
    id_: str = answer.json()["role_request"]["id"]
    return id_


def as_admin(person: Person, **more: Any) -> APIClient:
    """A client of theirs with a fresh second factor."""
    return bearer(factories.token(person.user, **more).text)


def decide(client: APIClient, id_: object, word: str = "approve") -> Any:
    """Say yes or no."""
    return client.post(f"/api/role-requests/{id_}/{word}/")


def test_the_list_says_who_is_to_become_an_admin_and_why(asked: str, other: Person, carol: Person) -> None:
    (row,) = as_admin(other).get("/api/role-requests/").json()
    assert row["requested_at"]
    assert row == {
        "id": asked,
        "user_id": carol.user.pk,
        "username": "carol",
        "reason": "She joins the house.",
        "requested_by": "rhea",
        "requested_at": row["requested_at"],
        "decided_by": None,
        "decided_at": None,
        "granted": None,
    }


def test_a_second_admin_makes_one(asked: str, other: Person, carol: Person) -> None:
    answer = decide(as_admin(other), asked)
    assert (answer.status_code, answer.json()["granted"], answer.json()["decided_by"]) == (200, True, "other")
    carol.user.refresh_from_db()
    assert carol.user.role == Role.ADMIN
    assert len(recorded("user.role_changed")) == 1


def test_the_one_who_asked_cannot_approve_but_can_take_it_back(asked: str, rhea: Person, carol: Person) -> None:
    assert refusal(decide(as_admin(rhea), asked)) == (403, "second_person_required")
    answer = decide(as_admin(rhea), asked, "refuse")
    assert (answer.json()["granted"], answer.json()["decided_by"]) == (False, None)
    carol.user.refresh_from_db()
    assert carol.user.role == Role.INVESTOR


def test_a_second_admin_refuses(asked: str, other: Person, carol: Person) -> None:
    assert decide(as_admin(other), asked, "refuse").json()["granted"] is False
    carol.user.refresh_from_db()
    assert carol.user.role == Role.INVESTOR
    assert len(recorded("user.role_refused")) == 1


def test_an_admin_whom_the_first_has_reset_this_week_is_no_second_person(
    asked: str, rhea: Person, other: Person
) -> None:
    acts.reset_mfa(rhea.user, other.user, reason="lost her phone", now=timezone.now())
    factories.enrolled(other.user)
    assert refusal(decide(as_admin(other), asked)) == (403, "second_person_required")


@pytest.mark.parametrize("word", ["approve", "refuse"])
def test_what_is_decided_is_not_there_any_more(asked: str, other: Person, word: str) -> None:
    decide(as_admin(other), asked, "refuse")
    assert refusal(decide(as_admin(other), asked, word)) == (404, "not_found")
    assert refusal(decide(as_admin(other), uuid4(), word)) == (404, "not_found")


@pytest.mark.parametrize("word", ["approve", "refuse"])
def test_deciding_takes_a_fresh_second_factor(asked: str, other: Person, word: str) -> None:
    stale = as_admin(other, age=timedelta(minutes=15))
    assert refusal(decide(stale, asked, word)) == (403, "step_up_required")
    assert RoleRequest.objects.get().decided_at is None


@pytest.mark.parametrize("role", ["investor", "auditor"])
def test_nobody_else_sees_or_decides_them(asked: str, somebody: Callable[..., Person], role: str) -> None:
    client = as_admin(somebody("nosy", role))
    assert refusal(client.get("/api/role-requests/")) == (403, "admin_only")
    assert refusal(decide(client, asked)) == (403, "admin_only")
    assert User.objects.filter(role=Role.ADMIN).count() == 1


def test_one_is_not_asked_for_twice_at_a_time(asked: str, other: Person, carol: Person) -> None:
    body = {"role": "admin", "reason": "Once more."}
    assert refusal(post(as_admin(other), f"investors/{carol.user.pk}/role/", body)) == (409, "unchanged")


def test_the_person_does_not_approve_their_own(somebody: Callable[..., Person], rhea: Person, asked: str) -> None:
    carol = User.objects.get(username="carol")
    User.objects.filter(pk=carol.pk).update(role=Role.ADMIN)  # by whatever way
    assert refusal(decide(as_admin(Person(carol, "")), asked)) == (403, "on_yourself")
