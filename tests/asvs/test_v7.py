"""OWASP ASVS 5.0, V7 Session Management: one test per requirement that applies, named by its id."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.db import connection
from django.utils import timezone

from identity.models import ApiToken, User
from tests import factories
from tests.asvs.test_v6 import changed
from tests.people import Person, bearer, post

pytestmark = pytest.mark.django_db
MakePerson = Callable[..., Person]


def in_the_admin(root: Person, client: Any) -> Any:
    """A browser in which the admin has shown both factors."""
    client.post("/admin/login/", {"username": root.user.username, "password": factories.PASSWORD}, secure=True)
    client.post("/admin/login/code/", {"code": root.code()}, secure=True)
    assert client.get("/admin/", secure=True).status_code == 200
    return client


def test_v7_1_1_limits_are_documented() -> None:
    from tests.asvs.test_v6 import ROOT

    page = (ROOT / "docs/security.md").read_text()
    assert all(name in page for name in ("INVESTOR_SESSION_HOURS", "ADMIN_IDLE_MINUTES"))


def test_v7_2_1_tokens_are_verified_by_the_server(anna: Person) -> None:
    client = anna.client()
    ApiToken.objects.all().delete()
    assert client.get("/api/documents/").status_code == 401


def test_v7_2_2_a_token_is_made_for_each_sign_in(anna: Person) -> None:
    assert anna.login().json()["token"] != anna.login().json()["token"]


def test_v7_2_3_a_token_has_256_random_bits_and_is_stored_as_a_digest(anna: Person) -> None:
    token = anna.login().json()["token"]
    assert len(bytes.fromhex(token)) == 32
    stored = ApiToken.objects.get()
    with connection.cursor() as cursor:
        cursor.execute("SELECT t::text FROM identity_apitoken t")
        assert token not in cursor.fetchone()[0]
    assert bearer(stored.digest).get("/api/documents/").status_code == 401
    assert bearer(stored.token_key).get("/api/documents/").status_code == 401


def test_v7_2_4_signing_in_and_showing_the_factor_again_give_a_new_token(
    anna: Person, root: Person, client: Any
) -> None:
    first = anna.login().json()["token"]
    rotated = post(bearer(first), "auth/token/rotate/").json()["token"]
    stepped = post(bearer(rotated), "auth/step-up/", {"mfa_code": anna.code()}).json()["token"]
    assert len({first, rotated, stepped}) == 3
    assert [bearer(token).get("/api/auth/me/").status_code for token in (first, rotated, stepped)] == [401, 401, 200]
    client.cookies[settings.SESSION_COOKIE_NAME] = "planted" * 5
    in_the_admin(root, client)
    assert client.cookies[settings.SESSION_COOKIE_NAME].value != "planted" * 5


def test_v7_3_1_an_unused_session_ends(anna: Person, root: Person, client: Any) -> None:
    hers = anna.client()
    admin = in_the_admin(root, client)
    with time_machine.travel(timezone.now() + timedelta(minutes=31)):
        assert hers.get("/api/documents/").status_code == 200
        assert admin.get("/admin/", secure=True).status_code == 302
    with time_machine.travel(timezone.now() + timedelta(minutes=31 + 61)):
        assert hers.get("/api/documents/").status_code == 401


def test_v7_3_2_a_session_ends_however_busy_it_is(anna: Person, root: Person, client: Any) -> None:
    start = timezone.now()
    hers, admin = anna.client(), in_the_admin(root, client)
    with time_machine.travel(start) as clock:
        for _ in range(31):
            clock.shift(timedelta(minutes=15))
            assert admin.get("/admin/", secure=True).status_code == 200
            assert hers.get("/api/documents/").status_code == 200
        clock.shift(timedelta(minutes=16))
        assert admin.get("/admin/", secure=True).status_code == 302
        for _ in range(15):
            assert hers.get("/api/documents/").status_code == 200
            clock.shift(timedelta(minutes=15))
        fresh = post(hers, "auth/token/rotate/")
        hers = bearer(fresh.json()["token"])
        clock.shift(timedelta(minutes=15))
        assert hers.get("/api/documents/").status_code == 401  # exchanging it has not made it longer


def test_v7_4_1_signing_out_ends_the_token(anna: Person) -> None:
    client = anna.client()
    assert post(client, "auth/logout/").status_code in {200, 204}
    assert client.get("/api/documents/").status_code == 401
    assert not ApiToken.objects.exists()


def test_v7_4_2_deactivating_ends_every_session(anna: Person, root: Person, somebody: MakePerson, client: Any) -> None:
    other = somebody("other", "admin")
    admin = in_the_admin(other, client)
    hers, acting = anna.client(), root.client()
    for user in (anna.user, other.user):
        answer = post(acting, f"investors/{user.pk}/deactivate/", {"reason": "has left the firm"})
        assert answer.status_code == 200
    assert hers.get("/api/documents/").status_code == 401
    assert admin.get("/admin/", secure=True).status_code == 302
    assert admin.get("/internal/flower-auth/", secure=True).status_code == 401
    assert anna.login().json()["code"] == "invalid_credentials"


def test_v7_4_3_changing_a_factor_ends_the_other_sessions(anna: Person) -> None:
    other, mine = anna.client(), anna.client()
    answer = changed(mine, "another long password", anna.code())
    assert answer.status_code == 200
    assert other.get("/api/documents/").status_code == 401
    assert bearer(answer.json()["token"]).get("/api/documents/").status_code == 200


def test_v7_4_4_signing_out_everywhere_is_one_call(anna: Person) -> None:
    clients = [anna.client(), anna.client()]
    post(clients[0], "auth/logout-all/")
    assert [client.get("/api/documents/").status_code for client in clients] == [401, 401]


def test_v7_4_5_admins_can_end_somebodys_sessions(anna: Person, root: Person) -> None:
    client = anna.client()
    answer = post(root.client(), f"investors/{anna.user.pk}/revoke_sessions/", {"reason": "laptop was stolen"})
    assert answer.status_code == 200
    assert client.get("/api/documents/").status_code == 401
    anna.shown = 0
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        assert anna.login().status_code == 200


@pytest.mark.parametrize(
    "path",
    ["investors/create_user/", "investors/{id}/reset_mfa/", "investors/{id}/revoke_sessions/", "investors/{id}/unlock/",
     "investors/{id}/deactivate/", "investors/{id}/reactivate/", "investors/{id}/email/", "investors/{id}/role/"],
)  # fmt: skip
def test_v7_5_1_and_7_5_3_acts_on_accounts_need_a_fresh_second_factor(anna: Person, root: Person, path: str) -> None:
    before = User.objects.values().get(pk=anna.user.pk)
    client = bearer(factories.token(root.user, age=timedelta(minutes=15, seconds=1)).text)
    refused = post(client, path.format(id=anna.user.pk), {"reason": "no reason at all"})
    assert (refused.status_code, refused.json()["code"]) == (403, "step_up_required")
    assert "sign in again" in refused.json()["error"]
    assert "/auth/step-up/" in refused.json()["error"]
    assert User.objects.values().get(pk=anna.user.pk) == before
    fresh = post(client, "auth/step-up/", {"mfa_code": root.code()}).json()["token"]
    accepted = post(bearer(fresh), f"investors/{anna.user.pk}/unlock/", {"reason": "asked in person"})
    assert accepted.status_code == 200


def test_v7_5_2_people_see_and_end_their_own_sessions(anna: Person, root: Person) -> None:
    mine, other = anna.client(), anna.client()
    theirs = root.client()
    listed = mine.get("/api/auth/sessions/").json()
    assert len(listed) == 2
    assert [session["current"] for session in listed].count(True) == 1
    [gone] = [session["id"] for session in listed if not session["current"]]
    [foreign] = [session["id"] for session in theirs.get("/api/auth/sessions/").json()]
    assert mine.delete(f"/api/auth/sessions/{foreign}/").status_code == 404
    assert mine.delete(f"/api/auth/sessions/{gone}/").status_code == 204
    assert other.get("/api/documents/").status_code == 401
    assert theirs.get("/api/documents/").status_code == 200
