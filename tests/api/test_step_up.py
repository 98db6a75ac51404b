"""POST /api/auth/step-up/: the second factor once more, for acts that ask for a fresh one."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from identity import mfa
from identity.models import ApiToken, Attempts
from tests import factories
from tests.people import Person, bearer, post, recorded, refusal

OLD = timedelta(minutes=16)
NEW_USER = {"username": "dora", "email": "dora@example.test"}


def test_signing_in_with_both_factors_counts_for_fifteen_minutes(rhea: Person) -> None:
    client = rhea.client()
    start = timezone.now()
    with time_machine.travel(start + timedelta(minutes=14)):
        assert post(client, "investors/create_user/", NEW_USER).status_code == 200
    with time_machine.travel(start + timedelta(minutes=16)):
        answer = post(client, "investors/create_user/", {**NEW_USER, "username": "dorian"})
    assert refusal(answer) == (403, "step_up_required")
    assert "sign in again" in answer.json()["error"]
    assert "/api/auth/step-up/" in answer.json()["error"]


def test_a_code_gives_a_fresh_token_and_kills_the_old_one(rhea: Person) -> None:
    old = bearer(factories.token(rhea.user, age=OLD).text)
    assert refusal(post(old, "investors/create_user/", NEW_USER)) == (403, "step_up_required")
    answer = post(old, "auth/step-up/", {"mfa_code": rhea.code()})
    assert set(answer.json()) == {"token", "expiry"}
    assert refusal(old.get("/api/auth/me/")) == (401, "authentication_failed")
    assert post(bearer(answer.json()["token"]), "investors/create_user/", NEW_USER).status_code == 200
    assert len(recorded("auth.stepped_up")) == 1


def test_it_does_not_lengthen_the_session(rhea: Person) -> None:
    held = factories.token(rhea.user, age=OLD)
    answer = post(bearer(held.text), "auth/step-up/", {"mfa_code": rhea.code()})
    assert answer.json()["token"] != held.text
    assert ApiToken.objects.get().expiry == held.token.expiry


def test_a_backup_code_will_do(rhea: Person) -> None:
    code = mfa.renew_backup_codes(rhea.user, now=timezone.now())[0]
    answer = post(bearer(factories.token(rhea.user, age=OLD).text), "auth/step-up/", {"mfa_code": code})
    assert post(bearer(answer.json()["token"]), "investors/create_user/", NEW_USER).status_code == 200


def test_a_spent_code_will_not(rhea: Person) -> None:
    code = rhea.code()
    client = bearer(rhea.login(mfa_code=code).json()["token"])
    assert refusal(post(client, "auth/step-up/", {"mfa_code": code})) == (400, "invalid_mfa_code")
    assert client.get("/api/auth/me/").status_code == 200


def test_guessing_waits(rhea: Person) -> None:
    client = bearer(factories.token(rhea.user, age=OLD).text)
    answers = [post(client, "auth/step-up/", {"mfa_code": "000000"}) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [400] * 5 + [429]
    assert answers[-1].json()["retry_after"] == int(answers[-1]["Retry-After"])


@pytest.mark.parametrize("body", [{}, {"mfa_code": ""}, {"mfa_code": 123456}, {"mfa_code": None}, {"code": "1"}, [1]])
def test_what_is_no_code_is_no_attempt(rhea: Person, body: object) -> None:
    assert refusal(post(rhea.client(), "auth/step-up/", body)) == (400, "invalid")
    assert Attempts.objects.get(key=f"code:{rhea.user.pk}").failures == 0


def test_it_is_not_for_somebody_without_a_second_factor(somebody: Callable[..., Person]) -> None:
    client = somebody("anew", "admin", enrolled=False)
    assert refusal(post(client.client(), "auth/step-up/", {"mfa_code": "000000"})) == (403, "mfa_setup_required")
