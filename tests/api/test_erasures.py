"""/api/erasures/: erasing somebody's values takes two admins, and an operator."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from audit import erasure
from audit.models import Erasure
from identity import acts
from identity.models import User
from tests import factories
from tests.people import Person, bearer, post, recorded, refusal

REASON = "He has left, and asked for it."


@pytest.fixture
def other(somebody: Callable[..., Person]) -> Person:
    """A second admin."""
    return somebody("other", "admin")


@pytest.fixture
def gone(carol: Person) -> Person:
    """Somebody whose account is deactivated."""
    User.objects.filter(pk=carol.user.pk).update(is_active=False)
    return carol


@pytest.fixture
def asked(rhea: Person, gone: Person) -> str:
    """rhea has asked for it; the id of the request."""
    answer = ask(rhea, gone)
    assert answer.status_code == 201, answer.json()
    id_: str = answer.json()["id"]
    return id_


def client(person: Person, **more: Any) -> APIClient:
    """A client of theirs with a fresh second factor."""
    return bearer(factories.token(person.user, **more).text)


def ask(admin: Person, person: Person, reason: str = REASON) -> Any:
    """Ask for an erasure."""
    return post(client(admin), "erasures/", {"user_id": person.user.pk, "reason": reason})


def decide(admin: Person, id_: object, word: str = "approve", **more: Any) -> Any:
    """Say yes or no."""
    return post(client(admin, **more), f"erasures/{id_}/{word}/")


def test_the_list_says_whose_and_why_and_how_far_it_has_got(asked: str, rhea: Person, gone: Person) -> None:
    (row,) = client(rhea).get("/api/erasures/").json()
    assert row.pop("requested_at")
    assert row == {
        "id": asked,
        "user_id": gone.user.pk,
        "username": "carol",
        "reason": REASON,
        "requested_by": "rhea",
        "decided_by": None,
        "decided_at": None,
        "approved": None,
        "executed_at": None,
    }


def test_a_second_admin_approves_and_an_operator_executes(asked: str, other: Person, gone: Person) -> None:
    answer = decide(other, asked)
    assert answer.status_code == 200
    row = answer.json()
    assert (row["approved"], row["decided_by"], row["executed_at"]) == (True, "other", None)
    assert erasure.execute(Erasure.objects.get().pk, now=timezone.now()) == 1
    (row,) = client(other).get("/api/erasures/").json()
    assert row["executed_at"]
    assert row["reason"] == ""


def test_each_step_is_on_the_record_and_the_reason_is_not_in_the_open(
    asked: str, rhea: Person, other: Person, gone: Person
) -> None:
    decide(other, asked)
    for action, admin in (("erasure.requested", rhea), ("erasure.approved", other)):
        (leaf,) = recorded(action)
        assert leaf["actor"]["uid"] == str(admin.user.pk)
        assert leaf["subject"] == leaf["object"] == {"kind": "user", "uid": str(gone.user.pk)}
        assert leaf["facts"] == {"erasure": asked}
        assert leaf["private"]
        assert "left" not in str(leaf)


def test_the_one_who_asked_cannot_approve_but_can_take_it_back(asked: str, rhea: Person) -> None:
    assert refusal(decide(rhea, asked)) == (403, "second_person_required")
    assert Erasure.objects.get().decided_at is None
    answer = decide(rhea, asked, "refuse")
    assert (answer.json()["approved"], answer.json()["decided_by"]) == (False, "rhea")
    assert len(recorded("erasure.refused")) == 1


def test_a_second_admin_refuses_and_then_it_can_be_asked_for_again(asked: str, other: Person, gone: Person) -> None:
    assert decide(other, asked, "refuse").json()["approved"] is False
    assert ask(other, gone).status_code == 201


def test_an_admin_whom_the_first_has_reset_this_week_is_no_second_person(
    asked: str, rhea: Person, other: Person
) -> None:
    acts.reset_mfa(rhea.user, other.user, reason="lost her phone", now=timezone.now())
    factories.enrolled(other.user)
    assert refusal(decide(other, asked)) == (403, "second_person_required")


def test_nobody_is_erased_who_still_signs_in(rhea: Person, carol: Person) -> None:
    assert refusal(ask(rhea, carol)) == (409, "still_active")
    assert not Erasure.objects.exists()


def test_nor_somebody_who_was_reactivated_meanwhile(asked: str, other: Person, gone: Person) -> None:
    User.objects.filter(pk=gone.user.pk).update(is_active=True)
    assert refusal(decide(other, asked)) == (409, "still_active")
    assert decide(other, asked, "refuse").status_code == 200


def test_nobody_asks_for_or_decides_their_own(rhea: Person, other: Person) -> None:
    assert refusal(ask(rhea, rhea)) == (403, "on_yourself")
    now, person = timezone.now(), f"user:{rhea.user.pk}"
    asked = Erasure.objects.create(person=person, reason="x", requested_by=f"user:{other.user.pk}", requested_at=now)
    for word in ("approve", "refuse"):
        assert refusal(decide(rhea, asked.pk, word)) == (403, "on_yourself")


def test_one_is_asked_for_at_a_time(asked: str, other: Person, gone: Person) -> None:
    assert refusal(ask(other, gone)) == (409, "already_asked")
    decide(other, asked)
    assert refusal(ask(other, gone)) == (409, "already_asked")


@pytest.mark.parametrize("word", ["approve", "refuse"])
def test_what_is_decided_is_not_there_any_more(asked: str, other: Person, word: str) -> None:
    decide(other, asked, "refuse")
    assert refusal(decide(other, asked, word)) == (404, "not_found")
    assert refusal(decide(other, uuid4(), word)) == (404, "not_found")


def test_asking_and_deciding_take_a_fresh_second_factor_and_looking_does_not(
    asked: str, rhea: Person, gone: Person
) -> None:
    old = timedelta(minutes=15)
    body = {"user_id": gone.user.pk, "reason": REASON}
    assert refusal(post(client(rhea, age=old), "erasures/", body)) == (403, "step_up_required")
    for word in ("approve", "refuse"):
        assert refusal(decide(rhea, asked, word, age=old)) == (403, "step_up_required")
    assert client(rhea, age=old).get("/api/erasures/").status_code == 200


@pytest.mark.parametrize("role", ["investor", "auditor"])
def test_nobody_else_sees_or_decides_them(asked: str, somebody: Callable[..., Person], role: str) -> None:
    nosy = somebody("nosy", role)
    assert refusal(client(nosy).get("/api/erasures/")) == (403, "admin_only")
    assert refusal(decide(nosy, asked)) == (403, "admin_only")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"reason": REASON}, "user_id"),
        ({"user_id": "abc", "reason": REASON}, "user_id"),
        ({"user_id": 2**31, "reason": REASON}, "user_id"),
        ({"user_id": 1}, "reason"),
        ({"user_id": 1, "reason": "no"}, "reason"),
        ({"user_id": 1, "reason": "a\nb"}, "reason"),
        ({"user_id": 1, "reason": "x" * 501}, "reason"),
        ({"user_id": 1, "reason": REASON, "person": 3}, "person"),
    ],
)
def test_bad_input_is_refused_by_field(rhea: Person, body: dict[str, Any], field: str) -> None:
    answer = post(client(rhea), "erasures/", body)
    assert refusal(answer) == (400, "invalid")
    assert field in answer.json()["fields"]


def test_somebody_who_is_not_there_cannot_be_erased(rhea: Person) -> None:
    assert refusal(post(client(rhea), "erasures/", {"user_id": 2**31 - 1, "reason": REASON})) == (404, "not_found")


def test_the_list_refuses_what_it_does_not_know(rhea: Person) -> None:
    assert refusal(client(rhea).get("/api/erasures/", {"colour": "red"})) == (400, "invalid")
    for cursor in ("abc", "cD1hYmM=", "\0"):
        assert client(rhea).get("/api/erasures/", {"cursor": cursor}).status_code in {400, 404}
