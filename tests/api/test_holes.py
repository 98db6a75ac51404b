"""What the service that this one replaces got wrong about identity, one test for each, by its number."""

import hmac
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pyotp
import pytest
import time_machine
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from identity import mfa
from identity.models import ApiToken, InvestorProfile, MfaDevice, TokenKind, User
from tests import factories
from tests.api.routes import address, routes
from tests.factories import PASSWORD
from tests.people import Person, bearer, post, recorded, refusal

pytestmark = pytest.mark.django_db
SETUP, VERIFY = "investors/mfa/setup/", "investors/mfa/verify/"
CREATE = "investors/create_user/"
GIVEN = "a sentence of hers"


def test_hole_01_a_password_alone_gets_no_token_of_somebody_with_a_second_factor(carol: Person) -> None:
    body = {"username": "carol", "password": PASSWORD}
    assert refusal(post(APIClient(), "auth/token/", body)) == (400, "mfa_required")
    assert "token" not in post(APIClient(), "auth/login/", body).json()
    assert not ApiToken.objects.exists()


def test_hole_02_nothing_of_a_document_answers_without_a_second_factor(newton: Person) -> None:
    client = newton.client()
    paths = [address(route) for route in routes() if route.startswith("/api/documents/")]
    assert len(paths) > 5
    assert {refusal(client.get(path)) for path in paths} == {(403, "mfa_setup_required")}
    assert {refusal(post(client, path.removeprefix("/api/"))) for path in paths} == {(403, "mfa_setup_required")}


@pytest.mark.usefixtures("plain_static_files")
def test_hole_03_a_session_of_the_admin_site_is_no_access_to_the_api(rhea: Person) -> None:
    browser = Client()
    browser.post("/admin/login/", {"username": "rhea", "password": PASSWORD})
    browser.post("/admin/login/code/", {"code": rhea.code()})
    assert browser.get("/admin/").status_code == 200
    assert browser.get("/api/documents/").status_code == 401
    browser.force_login(rhea.user)
    assert browser.get("/api/documents/").status_code == 401


def test_hole_04_a_code_is_good_once_wherever_it_is_shown(carol: Person, newton: Person) -> None:
    code = carol.code()
    client = bearer(carol.login(mfa_code=code).json()["token"])
    assert refusal(carol.login(mfa_code=code)) == (400, "invalid_mfa_code")
    assert refusal(post(client, "investors/mfa/disable/", {"code": code})) == (400, "invalid_mfa_code")
    enrolling = newton.client()
    first = pyotp.TOTP(post(enrolling, SETUP).json()["secret"]).now()
    assert post(enrolling, VERIFY, {"code": first}).status_code == 200
    assert refusal(newton.login(mfa_code=first)) == (400, "invalid_mfa_code")


@pytest.mark.parametrize(("wrong", "event"), [("password", "auth.sign_in_failed"), ("mfa_code", "mfa.failed")])
def test_hole_05_guessing_is_slowed_down_and_recorded(carol: Person, wrong: str, event: str) -> None:
    statuses = [carol.login(**{"mfa_code": "", wrong: "000000"}).status_code for _ in range(60)]
    assert statuses == [400] * 5 + [429] * 55
    assert len(recorded(event)) == 5


def test_hole_06_tokens_end_by_enrolling_by_a_new_password_and_by_signing_out(newton: Person) -> None:
    before, client = newton.client(), newton.client()
    secret = post(client, SETUP).json()["secret"]
    post(client, VERIFY, {"code": factories.code(secret, steps=-1)})
    assert before.get("/api/auth/me/").status_code == 401
    body = {"current_password": PASSWORD, "new_password": GIVEN, "mfa_code": factories.code(secret)}
    fresh = bearer(post(client, "auth/password/change/", body).json()["token"])
    assert client.get("/api/auth/me/").status_code == 401
    assert fresh.post("/api/auth/logout/").status_code == 204
    assert fresh.get("/api/auth/me/").status_code == 401


def test_hole_06_each_login_has_a_token_of_its_own_and_none_is_stored_in_clear(carol: Person) -> None:
    texts = [carol.login().json()["token"] for _ in range(2)]
    assert texts[0] != texts[1]
    stored = str(list(ApiToken.objects.values()))
    assert not [text for text in texts if text in stored]


@pytest.mark.parametrize("method", ["put", "patch"])
def test_hole_07_nobody_writes_that_somebody_has_a_second_factor(carol: Person, rhea: Person, method: str) -> None:
    client = rhea.client()
    for value in (True, False):
        answer = getattr(client, method)(f"/api/investors/{carol.user.pk}/", {"mfa_enabled": value}, format="json")
        assert refusal(answer) == (405, "method_not_allowed")
    assert mfa.enrolled(carol.user)


def test_hole_07_the_code_of_an_empty_secret_opens_nothing(carol: Person) -> None:
    step = int(time.time()) // 30
    digest = hmac.digest(b"", step.to_bytes(8, "big"), "sha1")  # RFC 4226 5.3, which pyotp does not do without a key
    at = digest[-1] & 15
    code = (int.from_bytes(digest[at : at + 4], "big") & 0x7FFFFFFF) % 10**6
    assert refusal(carol.login(mfa_code=f"{code:06}")) == (400, "invalid_mfa_code")
    assert refusal(carol.login(mfa_code=pyotp.TOTP("A" * 32).now())) == (400, "invalid_mfa_code")


def test_hole_08_a_password_that_an_admin_knows_opens_nothing_and_ends_in_three_days(rhea: Person) -> None:
    post(rhea.client(), CREATE, {"username": "dora", "password": GIVEN, "email": "dora@example.test"})
    dora = User.objects.get(username="dora")
    factories.enrolled(dora)
    token = factories.token(dora).text
    assert refusal(bearer(token).get("/api/documents/")) == (403, "password_change_required")
    with time_machine.travel(timezone.now() + timedelta(hours=73)):
        answer = post(APIClient(), "auth/login/", {"username": "dora", "password": GIVEN})
    assert refusal(answer) == (400, "invalid_credentials")


def test_hole_08_whoever_enrols_with_a_given_password_gets_no_further(rhea: Person) -> None:
    post(rhea.client(), CREATE, {"username": "dora", "password": GIVEN, "email": ""})
    login = post(APIClient(), "auth/login/", {"username": "dora", "password": GIVEN}).json()
    client = bearer(login["token"])
    secret = post(client, SETUP).json()["secret"]
    post(client, VERIFY, {"code": pyotp.TOTP(secret).now()})
    assert refusal(client.get("/api/documents/")) == (403, "password_change_required")


def test_hole_09_disabling_takes_both_factors_and_cannot_be_guessed_or_done_by_admins(
    carol: Person, rhea: Person
) -> None:
    enrolling = bearer(factories.token(carol.user, kind=TokenKind.ENROL).text)
    assert refusal(post(enrolling, "investors/mfa/disable/", {"code": carol.code()})) == (403, "mfa_setup_required")
    client = bearer(factories.token(carol.user).text)
    statuses = [post(client, "investors/mfa/disable/", {"code": f"{n:06}"}).status_code for n in range(7)]
    assert statuses == [400] * 5 + [429] * 2
    answer = post(rhea.client(), "investors/mfa/disable/", {"code": rhea.code()})
    assert refusal(answer) == (403, "mfa_mandatory")


def test_hole_10_the_secret_is_sealed_and_a_lost_phone_is_no_end(carol: Person, rhea: Person) -> None:
    device = MfaDevice.objects.get(user=carol.user)
    assert carol.secret.encode() not in bytes(device.secret)
    code = mfa.renew_backup_codes(carol.user, now=timezone.now())[0]
    assert carol.login(mfa_code=code).status_code == 200
    answer = post(rhea.client(), f"investors/{carol.user.pk}/reset_mfa/", {"reason": "lost phone"})
    assert answer.status_code == 200
    assert carol.login(mfa_code="").json()["mfa_enabled"] is False


@pytest.mark.parametrize(("steps", "status"), [(-2, 400), (-1, 200), (0, 200), (1, 200), (2, 400)])
def test_hole_11_a_clock_may_be_half_a_minute_wrong_and_no_more(carol: Person, steps: int, status: int) -> None:
    with time_machine.travel(timezone.now(), tick=False):
        answer = carol.login(mfa_code=factories.code(carol.secret, steps=steps))
    assert answer.status_code == status


def test_hole_11_the_secret_is_kept_in_no_cache(newton: Person) -> None:
    assert newton.client().post(f"/api/{SETUP}")["Cache-Control"] == "no-store"


def test_hole_12_whoever_made_an_account_it_can_sign_in_and_enrol(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "a long sentence of the operator")
    call_command("createsuperuser", "--noinput", username="root", email="root@example.test", verbosity=0)
    factories.person("audrey", "auditor", password=GIVEN)
    for username, password in (("root", "a long sentence of the operator"), ("audrey", GIVEN)):
        login = post(APIClient(), "auth/login/", {"username": username, "password": password})
        assert login.status_code == 200
        client = bearer(login.json()["token"])
        secret = post(client, SETUP).json()["secret"]
        assert post(client, VERIFY, {"code": factories.code(secret)}).status_code == 200
        body = {"code": factories.code(secret, steps=1)}
        assert refusal(post(client, "investors/mfa/disable/", body)) == (403, "mfa_mandatory")
    assert not InvestorProfile.objects.exists()


@pytest.mark.parametrize("body", ["[1]", "1", '"x"', "null", "true", "[[]]"])
def test_hole_13_a_body_that_is_no_object_is_400_everywhere(rhea: Person, body: str) -> None:
    for route in routes():
        if not route.startswith("/api/"):
            continue
        client = bearer(factories.token(rhea.user).text)
        answer = client.post(address(route), body, content_type="application/json")
        # Not there, no such method, or a call that reads no body at all.
        reads_none = route.split("/")[-2] in {"setup", "rotate", "logout", "logout-all"}
        assert answer.status_code in {400, 404, 405} or reads_none, f"{route}: {answer.status_code}"
        assert answer.status_code < 500, route


@pytest.mark.parametrize("password", ["short", "password1234", "doradoradora", "x" * 129, "strongroom vault"])
def test_hole_14_every_way_to_set_a_password_asks_the_same_rules(rhea: Person, carol: Person, password: str) -> None:
    answer = post(rhea.client(), CREATE, {"username": "dora", "password": password, "email": ""})
    assert (refusal(answer), set(answer.json()["fields"])) == ((400, "invalid"), {"password"})
    body = {"current_password": PASSWORD, "new_password": password, "mfa_code": carol.code()}
    answer = post(bearer(factories.token(carol.user).text), "auth/password/change/", body)
    if password != "doradoradora":  # is the name of somebody else here
        assert (refusal(answer), set(answer.json()["fields"])) == ((400, "invalid"), {"new_password"})


def test_hole_15_an_admin_makes_an_account(rhea: Person) -> None:
    answer = post(rhea.client(), CREATE, {"username": "dora", "password": GIVEN, "email": "dora@example.test"})
    assert answer.status_code == 200
    assert answer.json()["username"] == "dora"
    assert User.objects.get(username="dora").check_password(GIVEN)


def test_hole_16_a_blank_address_will_do_and_a_bad_one_makes_nothing(rhea: Person) -> None:
    client = rhea.client()
    assert post(client, CREATE, {"username": "dora", "password": GIVEN, "email": ""}).status_code == 200
    before = (User.objects.count(), InvestorProfile.objects.count())
    answer = post(client, CREATE, {"username": "dorian", "password": GIVEN, "email": "nonsense"})
    assert (refusal(answer), set(answer.json()["fields"])) == ((400, "invalid"), {"email"})
    assert (User.objects.count(), InvestorProfile.objects.count()) == before


def test_hole_16_an_account_is_made_whole_or_not_at_all(rhea: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr("identity.accounts.give_profile", broken)
    client: APIClient = bearer(factories.token(rhea.user).text)
    client.raise_request_exception = False
    assert post(client, CREATE, {"username": "dora", "password": GIVEN, "email": ""}).status_code == 500
    assert not User.objects.filter(username="dora").exists()


def test_hole_17_posting_to_the_list_of_investors_is_no_way(rhea: Person, somebody: Callable[..., Person]) -> None:
    before = User.objects.count()
    answer = post(rhea.client(), "investors/", {"user": somebody("dora").user.pk})
    assert refusal(answer) == (405, "method_not_allowed")
    assert User.objects.count() == before + 1
