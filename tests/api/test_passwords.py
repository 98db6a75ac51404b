"""/api/auth/password/: change, reset, reset/confirm."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from django.utils import timezone
from rest_framework.test import APIClient

from identity import links, mfa
from identity.models import ApiToken, Mail, User
from tests import factories
from tests.factories import PASSWORD
from tests.people import Person, bearer, post, recorded, refusal

CHANGE, RESET, CONFIRM = "auth/password/change/", "auth/password/reset/", "auth/password/reset/confirm/"
NEW = "quite another sentence"


def change(client: APIClient, code: str = "", *, current: str = PASSWORD, new: str = NEW) -> Any:
    """Ask for another password."""
    return post(client, CHANGE, {"current_password": current, "new_password": new, "mfa_code": code})


def link(user: User, purpose: str = "reset") -> dict[str, Any]:
    """What the page behind a link in a mail posts."""
    user.refresh_from_db()
    said = parse_qs(urlsplit(links.mint(user, purpose)).fragment)
    return {"uid": int(said["uid"][0]), "token": said["secret"][0]}


def test_a_change_gives_a_new_token_and_ends_every_other(carol: Person) -> None:
    client, other = (bearer(factories.token(carol.user).text) for _ in range(2))
    answer = change(client, carol.code())
    assert set(answer.json()) == {"message", "token", "expiry"}
    assert [each.get("/api/auth/me/").status_code for each in (client, other)] == [401, 401]
    assert bearer(answer.json()["token"]).get("/api/documents/").status_code == 200
    assert refusal(carol.login()) == (400, "invalid_credentials")
    assert carol.login(password=NEW).status_code == 200


def test_a_change_needs_the_current_password_and_a_code(carol: Person) -> None:
    client = carol.client()
    assert refusal(change(client, carol.code(), current="wrong")) == (400, "invalid_current_password")
    assert refusal(change(client)) == (400, "mfa_required")
    assert refusal(change(client, "000000")) == (400, "invalid_mfa_code")
    assert carol.login(mfa_code="").json()["mfa_required"] is True


def test_without_a_second_factor_no_code_is_asked_and_the_new_token_can_but_enrol(newton: Person) -> None:
    token = change(newton.client()).json()["token"]
    assert refusal(bearer(token).get("/api/documents/")) == (403, "mfa_setup_required")
    assert bearer(token).get("/api/auth/me/").status_code == 200


def test_a_given_password_opens_nothing_until_it_is_changed(carol: Person) -> None:
    User.objects.filter(pk=carol.user.pk).update(must_change_password=True)
    client = carol.client()
    assert refusal(client.get("/api/documents/")) == (403, "password_change_required")
    token = change(client, carol.code()).json()["token"]
    assert bearer(token).get("/api/documents/").status_code == 200


def test_guessing_the_current_password_waits(carol: Person) -> None:
    client = carol.client()
    statuses = [change(client, current="wrong").status_code for _ in range(6)]
    assert statuses == [400] * 5 + [429]


@pytest.mark.parametrize(
    "new",
    ["short", "x" * 129, "password1234", "strongroom investor", "carolcarolcarol", PASSWORD, "\u0661" * 11, " " * 20],
)
def test_a_password_that_breaks_a_rule_is_refused_by_its_field(carol: Person, new: str) -> None:
    answer = change(carol.client(), carol.code(), new=new)
    assert refusal(answer) == (400, "invalid")
    assert set(answer.json()["fields"]) == {"new_password"}
    assert new not in answer.content.decode()


@pytest.mark.parametrize("new", ["a" * 50 + "\x00" * 5, "a" * 50 + "\ud800", "x" * 100_000, 123456789012, None, ["x"]])
@pytest.mark.parametrize("field", ["current_password", "new_password"])
def test_what_is_no_password_is_400(carol: Person, field: str, new: object) -> None:
    body = {"current_password": PASSWORD, "new_password": NEW, field: new, "mfa_code": carol.code()}
    client = bearer(factories.token(carol.user).text)
    answer = client.post(f"/api/{CHANGE}", json.dumps(body), content_type="application/json")
    assert refusal(answer)[0] == 400
    carol.user.refresh_from_db()
    assert carol.user.check_password(PASSWORD)


def test_asking_for_a_link_says_the_same_whether_anybody_has_the_address(carol: Person) -> None:
    answers = [post(APIClient(), RESET, {"email": address}) for address in ("Carol@Example.test", "no@example.test")]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].content == answers[1].content
    assert [(mail.user_id, mail.kind) for mail in Mail.objects.exclude(kind="mfa_enrolled")] == [
        (carol.user.pk, "password_reset_link")
    ]


@pytest.mark.parametrize(
    "body", ["[1]", "{}", '{"email": "x"}', '{"email": 7}', '{"email": "a\\u0000@b.test"}', "null"]
)
def test_bad_requests_for_a_link_are_400(db: None, body: str) -> None:
    answer = APIClient().post(f"/api/{RESET}", body, content_type="application/json")
    assert refusal(answer)[0] == 400


def test_one_address_of_the_network_asks_twenty_times_a_minute(db: None) -> None:
    statuses = [post(APIClient(), RESET, {"email": f"n{i}@example.test"}).status_code for i in range(21)]
    assert statuses == [202] * 20 + [429]


def test_a_link_sets_the_password_and_does_no_more(carol: Person) -> None:
    old = carol.client()
    answer = post(APIClient(), CONFIRM, {**link(carol.user), "new_password": NEW})
    assert (answer.status_code, set(answer.json())) == (200, {"message"})
    assert refusal(old.get("/api/auth/me/")) == (401, "authentication_failed")
    assert not ApiToken.objects.exists()
    assert mfa.enrolled(carol.user)
    assert carol.login(password=NEW, mfa_code="").json()["mfa_required"] is True


def test_a_link_is_good_once(carol: Person) -> None:
    body = {**link(carol.user), "new_password": NEW}
    assert post(APIClient(), CONFIRM, body).status_code == 200
    assert refusal(post(APIClient(), CONFIRM, body)) == (400, "bad_link")


@pytest.mark.parametrize(("purpose", "minutes"), [("reset", 61), ("invitation", 72 * 60 + 1)])
def test_a_link_ends(carol: Person, purpose: str, minutes: int) -> None:
    body = {**link(carol.user, purpose), "new_password": NEW}
    with time_machine.travel(timezone.now() + timedelta(minutes=minutes)):
        assert refusal(post(APIClient(), CONFIRM, body)) == (400, "bad_link")


def test_an_invitation_lets_the_person_choose_a_password_and_then_enrol(rhea: Person) -> None:
    made = post(rhea.client(), "investors/create_user/", {"username": "dora", "email": "dora@example.test"})
    dora = User.objects.get(pk=made.json()["user_id"])
    assert post(APIClient(), CONFIRM, {**link(dora, "invitation"), "new_password": NEW}).status_code == 200
    login = post(APIClient(), "auth/login/", {"username": "dora", "password": NEW}).json()
    assert (login["mfa_enabled"], login["password_change_required"]) == (False, False)


def test_a_refused_password_leaves_the_link_good(carol: Person) -> None:
    body = link(carol.user)
    answer = post(APIClient(), CONFIRM, {**body, "new_password": "short"})
    assert refusal(answer) == (400, "invalid")
    assert set(answer.json()["fields"]) == {"new_password"}
    assert post(APIClient(), CONFIRM, {**body, "new_password": NEW}).status_code == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"uid": 1},
        {"uid": 0},
        {"uid": -1},
        {"uid": 10**30},
        {"uid": "abc"},
        {"uid": None},
        {"uid": [1]},
        {"token": ""},
        {"token": "x"},
        {"token": "x" * 501},
        {"token": "a:b:c"},
        {"token": ":::::"},
        {"token": "\u0661:\u0661:\u0661"},
        {"token": "a\x00b"},
        {"token": "a\ud800b"},
        {"token": 7},
        {"new_password": "a\x00bcdefghijklmnop"},
        {"extra": 1},
    ],
)
def test_bad_links_are_400_and_set_nothing(carol: Person, changed: dict[str, Any]) -> None:
    body = json.dumps({**link(carol.user), "new_password": NEW, **changed})
    answer = APIClient().post(f"/api/{CONFIRM}", body, content_type="application/json")
    status, code = refusal(answer)
    assert (status, code in {"invalid", "bad_link"}) == (400, True)
    carol.user.refresh_from_db()
    assert carol.user.check_password(PASSWORD)


def test_a_link_of_somebody_else_or_of_an_inactive_account_is_bad(
    carol: Person, somebody: Callable[..., Person]
) -> None:
    other = somebody("other").user
    assert (
        refusal(post(APIClient(), CONFIRM, {**link(carol.user), "uid": other.pk, "new_password": NEW}))[1] == "bad_link"
    )
    body = {**link(other), "new_password": NEW}
    User.objects.filter(pk=other.pk).update(is_active=False)
    assert refusal(post(APIClient(), CONFIRM, body)) == (400, "bad_link")


def test_changes_and_resets_are_recorded_without_what_was_typed(carol: Person) -> None:
    change(carol.client(), "000000", current="a wrong secret")
    post(APIClient(), RESET, {"email": "carol@example.test"})
    said = link(carol.user)
    post(APIClient(), CONFIRM, {**said, "new_password": NEW})
    actions = ("password.change_failed", "password.reset_requested", "password.reset")
    events = [event for action in actions for event in recorded(action)]
    assert len(events) == 3
    assert not [word for word in ("a wrong secret", NEW, said["token"], "carol@example.test") if word in str(events)]
