"""Where one is signed in: /api/auth/me/, /sessions/, /logout/ and /logout-all/."""

from uuid import uuid4

from django.utils import timezone
from rest_framework.test import APIClient

from identity import mfa, tokens
from identity.models import ApiToken, TokenKind
from tests import factories
from tests.people import Person, bearer, recorded, refusal


def test_me_says_who_one_is_and_how_far_one_has_got(carol: Person) -> None:
    mfa.renew_backup_codes(carol.user, now=timezone.now())
    client = carol.client()
    me = client.get("/api/auth/me/").json()
    token = ApiToken.objects.get()
    assert token.mfa_at
    assert me == {
        "user_id": carol.user.pk,
        "username": "carol",
        "email": "carol@example.test",
        "role": "investor",
        "mfa_enabled": True,
        "mfa_at": token.mfa_at.isoformat().replace("+00:00", "Z"),
        "backup_codes_left": 10,
        "password_change_required": False,
        "expiry": token.expiry.isoformat().replace("+00:00", "Z"),
    }


def test_me_answers_before_there_is_a_second_factor(newton: Person) -> None:
    me = newton.client().get("/api/auth/me/").json()
    assert (me["mfa_enabled"], me["mfa_at"], me["backup_codes_left"]) == (False, None, 0)


def test_the_list_has_ones_own_living_sessions_and_no_token(carol: Person, newton: Person) -> None:
    texts = [factories.token(carol.user).text for _ in range(2)]
    factories.token(newton.user)
    api = bearer(texts[0])
    api.credentials(HTTP_AUTHORIZATION=f"Token {texts[0]}", HTTP_USER_AGENT="Phone")
    sessions = api.get("/api/auth/sessions/").json()
    assert {row["id"] for row in sessions} == {str(t.id) for t in ApiToken.objects.filter(user=carol.user)}
    assert [row["current"] for row in sessions].count(True) == 1
    keys = {"id", "current", "signed_in_at", "mfa_at", "last_used_at", "expiry", "ip", "user_agent"}
    assert {frozenset(row) for row in sessions} == {frozenset(keys)}
    assert not [text for text in texts if text[:15] in str(sessions)]


def test_a_session_says_from_where_it_was_begun(carol: Person) -> None:
    body = {"username": "carol", "password": factories.PASSWORD, "mfa_code": carol.code()}
    login = APIClient(HTTP_USER_AGENT="Phone " + "x" * 300, REMOTE_ADDR="192.0.2.7")
    token = login.post("/api/auth/login/", body, format="json").json()["token"]
    row = bearer(token).get("/api/auth/sessions/").json()[0]
    assert (row["ip"], row["user_agent"]) == ("192.0.2.7", ("Phone " + "x" * 300)[:200])


def test_ending_one_session_leaves_the_others(carol: Person) -> None:
    here, there = factories.token(carol.user), factories.token(carol.user)
    api = bearer(here.text)
    assert api.delete(f"/api/auth/sessions/{there.token.id}/").status_code == 204
    assert refusal(bearer(there.text).get("/api/documents/")) == (401, "authentication_failed")
    assert api.get("/api/documents/").status_code == 200
    assert len(recorded("session.revoked")) == 1


def test_somebody_elses_session_is_not_there(carol: Person, newton: Person) -> None:
    theirs = factories.token(newton.user, kind=TokenKind.ENROL)
    api = carol.client()
    answers = [api.delete(f"/api/auth/sessions/{id_}/") for id_ in (theirs.token.id, uuid4())]
    assert [refusal(answer) for answer in answers] == [(404, "not_found")] * 2
    assert bearer(theirs.text).get("/api/auth/me/").status_code == 200


def test_logging_out_ends_this_token_alone(carol: Person) -> None:
    here, there = (bearer(factories.token(carol.user).text) for _ in range(2))
    assert here.post("/api/auth/logout/").status_code == 204
    assert refusal(here.get("/api/auth/me/")) == (401, "authentication_failed")
    assert there.get("/api/auth/me/").status_code == 200


def test_logging_out_everywhere_ends_all_of_them_and_nobody_elses(carol: Person, newton: Person) -> None:
    here, there = (bearer(factories.token(carol.user).text) for _ in range(2))
    other = newton.client()
    assert here.post("/api/auth/logout-all/").status_code == 204
    assert [client.get("/api/auth/me/").status_code for client in (here, there, other)] == [401, 401, 200]


def test_one_can_sign_out_before_there_is_a_second_factor(newton: Person) -> None:
    client = newton.client()
    assert client.post("/api/auth/logout/").status_code == 204
    assert client.get("/api/auth/me/").status_code == 401


def test_a_dead_token_is_no_longer_stored(carol: Person) -> None:
    carol.client().post("/api/auth/logout/")
    assert not ApiToken.objects.exists()
    assert not tokens.sessions(carol.user, now=carol.user.date_joined).exists()
