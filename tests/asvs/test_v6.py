"""OWASP ASVS 5.0, V6 Authentication: one test per requirement that applies, named by its id (docs/security.md)."""

import io
import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.contrib.auth.hashers import get_hashers
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from identity import links, mfa
from identity.models import BackupCode, Mail, User
from identity.passwords import Argon2
from tests import factories
from tests.factories import PASSWORD
from tests.people import Person, bearer, post

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]
NEW = "another long password"
MakePerson = Callable[..., Person]


def changed(client: APIClient, new: str, code: str = "", current: str = PASSWORD) -> Any:
    """Ask for another password."""
    return post(client, "auth/password/change/", {"current_password": current, "new_password": new, "mfa_code": code})


def test_v6_1_1_attempts_are_limited_without_locking_people_out(anna: Person) -> None:
    """By account and address, account, and address; the owner gets in after the wait (see docs/security.md)."""
    statuses = [anna.login(password="wrong", mfa_code="").status_code for _ in range(7)]
    assert statuses == [400] * 5 + [429] * 2
    with time_machine.travel(timezone.now() + timedelta(seconds=31)):
        assert anna.login().status_code == 200


def test_v6_1_3_every_pathway_is_listed_in_the_docs() -> None:
    """The walk over all routes is tests/api/test_open_doors.py; here: what it lists is in the docs."""
    from tests.api.test_open_doors import OPEN

    page = (ROOT / "docs/security.md").read_text()
    assert [route for route in OPEN if f"`{route}`" not in page] == []


@pytest.mark.parametrize(("password", "status"), [("elevenchars", 400), ("twelve chars", 200)])
def test_v6_2_1_twelve_characters_at_least(anna: Person, password: str, status: int) -> None:
    assert changed(anna.client(), password, anna.code()).status_code == status


def test_v6_2_2_people_can_change_their_password(anna: Person) -> None:
    answer = changed(anna.client(), NEW, anna.code())
    assert answer.status_code == 200
    assert bearer(answer.json()["token"]).get("/api/documents/").status_code == 200
    assert anna.login(password=NEW).status_code == 200


def test_v6_2_3_a_change_needs_the_current_password_and_the_second_factor(anna: Person) -> None:
    client = anna.client()
    assert changed(client, NEW, anna.code(), current="wrong password").json()["code"] == "invalid_current_password"
    assert changed(client, NEW).json()["code"] == "mfa_required"
    assert changed(client, NEW, "000000").json()["code"] == "invalid_mfa_code"
    anna.user.refresh_from_db()
    assert anna.user.check_password(PASSWORD)


@pytest.mark.parametrize("password", ["password123456", "123456789012", "qwertyuiop12", "iloveyouiloveyou"])
def test_v6_2_4_common_passwords_are_refused(anna: Person, password: str) -> None:
    answer = changed(anna.client(), password, anna.code())
    assert answer.status_code == 400
    assert "new_password" in answer.json()["fields"]


@pytest.mark.parametrize(
    "password",
    [
        "alllowercasewithoutanything",
        "spaces in between ok",
        "\u4eca\u5929\u5929\u6c14\u5f88\u597d, \u6211\u4eec\u53bb\u722c\u5c71",
    ],
)
def test_v6_2_5_any_composition_is_taken(anna: Person, password: str) -> None:
    assert changed(anna.client(), password, anna.code()).status_code == 200
    assert anna.login(password=password).status_code == 200


def test_v6_2_6_password_fields_hide_what_is_typed(client: Any) -> None:
    for page in ("/admin/login/", "/account/password/"):
        html = client.get(page, secure=True).content.decode()
        assert 'type="password"' in html
        assert 'type="text" name="password"' not in html


def test_v6_2_7_pasting_and_password_managers_are_welcome(client: Any) -> None:
    html = client.get("/admin/login/", secure=True).content.decode()
    assert 'autocomplete="current-password"' in html
    assert "onpaste" not in html


@pytest.mark.parametrize("password", [" leading and trailing ", "Case Matters Here Too"])
def test_v6_2_8_a_password_is_taken_exactly_as_typed(anna: Person, password: str) -> None:
    assert changed(anna.client(), password, anna.code()).status_code == 200
    assert anna.login(password=password.strip().lower(), mfa_code="").status_code == 400
    assert anna.login(password=password).status_code == 200


def test_v6_2_9_128_characters_count_to_the_last(anna: Person) -> None:
    password = ("a long way round " * 8)[:127] + "Z"
    assert changed(anna.client(), password, anna.code()).status_code == 200
    for shorter in (password[:-1], password[:72]):
        assert anna.login(password=shorter, mfa_code="").json()["code"] == "invalid_credentials"
    assert anna.login(password=password).status_code == 200


def test_v6_2_10_passwords_do_not_expire(anna: Person) -> None:
    User.objects.update(date_joined=timezone.now() - timedelta(days=5000))
    assert anna.login().status_code == 200


@pytest.mark.parametrize("password", ["SecureInvestor2026", "Strongroom2026!", "anna@example.test", "annaannaanna"])
def test_v6_2_11_words_of_the_house_and_the_person_are_refused(anna: Person, password: str) -> None:
    assert changed(anna.client(), password, anna.code()).status_code == 400


@pytest.mark.parametrize("password", ["letmeinletmein1", "P@ssw0rd123456", "trustno1trustno1"])
def test_v6_2_12_what_is_known_from_breaches_is_refused(anna: Person, password: str) -> None:
    """Against zxcvbn's lists, which are inside the product: nothing is asked of a service elsewhere."""
    assert changed(anna.client(), password, anna.code()).status_code == 400


@pytest.mark.parametrize("username", ["anna", "nobody"])
def test_v6_3_1_brute_force_meets_growing_waits(anna: Person, username: str) -> None:
    waits = []
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _ in range(5):
            assert anna.login(username=username, password="wrong").status_code == 400
        for _ in range(3):
            refused = anna.login(username=username, password="wrong")
            assert refused.status_code == 429
            assert int(refused["Retry-After"]) == refused.json()["retry_after"]
            waits.append(refused.json()["retry_after"])
            clock.shift(timedelta(seconds=waits[-1]))
            assert anna.login(username=username, password="wrong").status_code == 400
    assert waits == [30, 60, 120]


def test_v6_3_2_there_are_no_default_accounts() -> None:
    assert not User.objects.exists()  # after all migrations
    example = (ROOT / ".env.example").read_text()
    assert not re.search(r"(?i)(admin|root)_?password", example)


def test_v6_3_3_a_password_alone_opens_nothing(somebody: MakePerson) -> None:
    """Every other route and method: tests/api/test_matrix.py."""
    answer = somebody("bert", enrolled=False).login()
    assert answer.json()["mfa_enabled"] is False
    client = bearer(answer.json()["token"])
    for path in ("documents/", "investors/", "auditlogs/", "schema/", "auth/sessions/"):
        refused = client.get(f"/api/{path}")
        assert (refused.status_code, refused.json()["code"]) == (403, "mfa_setup_required")


def test_v6_3_4_no_pathway_is_weaker(anna: Person, root: Person, client: Any) -> None:
    """Both sign-ins of the API, the admin's, a reset, and Flower's door."""
    for path in ("auth/login/", "auth/token/"):
        without = post(APIClient(), path, {"username": "anna", "password": PASSWORD})
        assert "token" not in without.json()
    uid, secret = re.findall(r"uid=(\d+)&secret=(.+)", links.mint(anna.user, "reset"))[0]
    confirmed = post(
        APIClient(), "auth/password/reset/confirm/", {"uid": int(uid), "token": secret, "new_password": NEW}
    )
    assert confirmed.status_code == 200
    assert "token" not in confirmed.json()
    client.post("/admin/login/", {"username": "root", "password": PASSWORD}, secure=True)
    for path in ("/admin/", "/admin/identity/user/"):
        assert client.get(path, secure=True).status_code == 302
    assert client.get("/internal/flower-auth/", secure=True).status_code == 401
    client.force_login(root.user)  # whatever else might sign somebody in to Django
    assert client.get("/admin/", secure=True).status_code == 302
    assert client.get("/api/documents/", secure=True).status_code == 401


@pytest.mark.parametrize("act", ["password", "email", "enrol", "codes", "backup_code", "reset_mfa"])
def test_v6_3_7_people_are_told_of_changes_to_their_sign_in(anna: Person, root: Person, act: str) -> None:
    if act == "password":
        changed(anna.client(), NEW, anna.code())
    elif act == "email":
        body = {"email": "new@example.test", "reason": "asked in person"}
        assert post(root.client(), f"investors/{anna.user.pk}/email/", body).status_code == 200
    elif act == "enrol":
        pass  # the fixture has enrolled her
    elif act == "codes":
        post(anna.client(), "investors/mfa/backup-codes/", {"code": anna.code()})
    elif act == "backup_code":
        [code, *_] = mfa.renew_backup_codes(anna.user, now=timezone.now())
        anna.login(mfa_code=code)
    else:
        post(root.client(), f"investors/{anna.user.pk}/reset_mfa/", {"reason": "lost her phone"})
    kinds = {
        "password": "password_changed",
        "email": "user_email_changed",
        "enrol": "mfa_enrolled",
        "codes": "backup_codes_renewed",
        "backup_code": "backup_code_used",
        "reset_mfa": "mfa_reset",
    }
    assert Mail.objects.filter(user=anna.user, kind=kinds[act]).exists()
    if act == "email":
        assert set(Mail.objects.filter(kind=kinds[act]).values_list("address", flat=True)) == {"anna@example.test", ""}


def test_v6_3_8_nobody_learns_who_has_an_account(anna: Person, somebody: MakePerson) -> None:
    """Status, body, headers, and the work that is done (its time: bench/login_timing.py)."""
    User.objects.filter(pk=somebody("gone").user.pk).update(is_active=False)
    somebody("bert", enrolled=False)
    answers = [
        anna.login(username=username, password=password, mfa_code="123456")
        for username, password in (("nobody", PASSWORD), ("anna", "wrong"), ("gone", PASSWORD), ("bert", "wrong"))
    ]
    bodies = [{**answer.json(), "request_id": ""} for answer in answers]
    headers = [
        {name: value for name, value in answer.items() if name not in {"X-Request-ID", "Date"}} for answer in answers
    ]
    assert all(body == bodies[0] for body in bodies)
    assert all(header == headers[0] for header in headers)
    assert {answer.status_code for answer in answers} == {400}
    assert all(user.password.startswith("argon2$argon2id$") for user in User.objects.all())
    assert [type(hasher) for hasher in get_hashers()] == [Argon2]


def test_v6_3_8_a_reset_tells_nobody_either(anna: Person) -> None:
    answers = [
        post(APIClient(), "auth/password/reset/", {"email": email})
        for email in ("anna@example.test", "nobody@example.test")
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()


def test_v6_4_1_initial_secrets_are_short_lived_and_must_be_changed(root: Person, settings: Settings) -> None:
    settings.ENFORCE_INITIAL_PASSWORD_CHANGE = True
    created = post(
        root.client(),
        "investors/create_user/",
        {"username": "dora", "password": PASSWORD, "email": "dora@example.test"},
    )
    assert created.status_code == 200
    dora = Person(User.objects.get(username="dora"), "")
    answer = dora.login()
    assert answer.json()["password_change_required"] is True
    client = bearer(answer.json()["token"])
    secret = post(client, "investors/mfa/setup/").json()["secret"]
    post(client, "investors/mfa/verify/", {"code": factories.code(secret)})
    assert client.get("/api/documents/").json()["code"] == "password_change_required"
    fresh = changed(client, NEW, factories.code(secret, steps=1)).json()["token"]
    assert bearer(fresh).get("/api/documents/").status_code == 200
    other = factories.person("late", "investor", password=PASSWORD, initial=True)
    with time_machine.travel(timezone.now() + timedelta(hours=72, seconds=1)):
        assert Person(other, "").login().json()["code"] == "invalid_credentials"


def test_v6_4_2_there_are_no_hints_and_secret_questions() -> None:
    names = {field.name for field in User._meta.get_fields()}
    assert not {name for name in names if "hint" in name or "question" in name}


def test_v6_4_3_a_reset_goes_round_no_second_factor(anna: Person) -> None:
    old = anna.client()
    post(APIClient(), "auth/password/reset/", {"email": "ANNA@example.test"})
    assert Mail.objects.get(kind="password_reset_link").user == anna.user
    uid, secret = re.findall(r"uid=(\d+)&secret=(.+)", links.mint(anna.user, "reset"))[0]
    body = {"uid": int(uid), "token": secret, "new_password": NEW}
    assert post(APIClient(), "auth/password/reset/confirm/", body).status_code == 200
    assert post(APIClient(), "auth/password/reset/confirm/", body).json()["code"] == "bad_link"
    assert old.get("/api/documents/").status_code == 401
    assert anna.login(password=NEW, mfa_code="").json()["mfa_required"] is True


def test_v6_4_4_a_lost_factor_is_replaced_by_an_admin_for_a_reason(anna: Person, root: Person) -> None:
    hers, admin = anna.client(), root.client()
    path = f"investors/{anna.user.pk}/reset_mfa/"
    assert post(admin, path, {}).status_code == 400
    assert post(hers, path, {"reason": "lost my phone"}).json()["code"] == "admin_only"
    assert post(admin, path, {"reason": "lost her phone"}).status_code == 200
    assert hers.get("/api/documents/").status_code == 401
    anna.secret = ""
    again = bearer(anna.login().json()["token"])
    assert again.get("/api/documents/").json()["code"] == "mfa_setup_required"
    assert Mail.objects.filter(user=anna.user, kind="mfa_reset").exists()


def test_v6_4_5_nothing_needs_a_reminder_because_no_factor_expires(anna: Person) -> None:
    with time_machine.travel(timezone.now() + timedelta(days=3650)):
        assert anna.login().status_code == 200


def test_v6_4_6_admins_set_nobodys_password(anna: Person, root: Person) -> None:
    """They make accounts, or have a link sent; there is no route that takes a password for somebody else."""
    admin = root.client()
    for method in (admin.patch, admin.put, admin.post):
        answer = method(f"/api/investors/{anna.user.pk}/", {"password": NEW}, format="json")
        assert answer.status_code == 405
    anna.user.refresh_from_db()
    assert anna.user.check_password(PASSWORD)


def test_v6_5_1_a_code_is_good_once(anna: Person) -> None:
    code = anna.code()
    assert anna.login(mfa_code=code).status_code == 200
    for again in (code, f" {code} "):
        assert anna.login(mfa_code=again).json()["code"] == "invalid_mfa_code"
    client = anna.client()
    assert post(client, "investors/mfa/disable/", {"code": code}).json()["code"] == "invalid_mfa_code"
    [backup, *_] = mfa.renew_backup_codes(anna.user, now=timezone.now())
    assert anna.login(mfa_code=backup).status_code == 200
    assert anna.login(mfa_code=backup).json()["code"] == "invalid_mfa_code"


def test_v6_5_2_backup_codes_are_hashed_like_passwords(anna: Person) -> None:
    answer = post(anna.client(), "investors/mfa/backup-codes/", {"code": anna.code()})
    codes = answer.json()["backup_codes"]
    assert all(row.code_hash.startswith("argon2$argon2id$") for row in BackupCode.objects.all())
    dump = io.StringIO()
    call_command("dumpdata", "identity", "audit", stdout=dump)
    assert not any(part in dump.getvalue() for code in codes for part in (code, code.replace("-", "")[2:]))


def test_v6_5_3_secrets_come_from_a_random_generator_for_secrets() -> None:
    """The linter's S311 keeps `random` out of everything but tests; the secret has 160 bits."""
    assert '"S"' in (ROOT / "pyproject.toml").read_text()
    secret = mfa.setup(factories.person("bert", "investor"), now=timezone.now()).secret
    assert len(secret) * 5 >= 160


def test_v6_5_4_backup_codes_have_more_than_20_bits(anna: Person) -> None:
    codes = mfa.renew_backup_codes(anna.user, now=timezone.now())
    assert all(re.fullmatch(r"[A-Z2-9]{5}-[A-Z2-9]{3}-[A-Z2-9]{4}", code) for code in codes)
    assert len(set(codes)) == 10


@pytest.mark.parametrize(("steps", "status"), [(-2, 400), (-1, 200), (0, 200), (1, 200), (2, 400)])
def test_v6_5_5_a_code_lives_a_step_either_way_and_no_longer(anna: Person, steps: int, status: int) -> None:
    with time_machine.travel(timezone.now(), tick=False):
        code = factories.code(anna.secret, steps=steps)
        assert anna.login(mfa_code=code).status_code == status


def test_v6_5_6_a_factor_can_be_revoked_at_once(anna: Person, root: Person) -> None:
    client = anna.client()
    post(root.client(), f"investors/{anna.user.pk}/reset_mfa/", {"reason": "phone was stolen"})
    assert client.get("/api/auth/me/").status_code == 401
    assert anna.login().json()["mfa_enabled"] is False  # the stolen app's code is no factor any more


def test_v6_5_8_the_time_is_the_servers(anna: Person) -> None:
    late = timezone.now() + timedelta(hours=3)
    code = factories.code(anna.secret, now=late)
    answer = APIClient().post(
        "/api/auth/login/",
        {"username": "anna", "password": PASSWORD, "mfa_code": code},
        format="json",
        headers={"Date": late.strftime("%a, %d %b %Y %H:%M:%S GMT")},
    )
    assert answer.json()["code"] == "invalid_mfa_code"


def test_v6_6_1_no_code_is_ever_sent_by_mail_or_phone(anna: Person) -> None:
    anna.client()
    assert set(Mail.objects.values_list("kind", flat=True)) == {"mfa_enrolled"}
    texts = [path.read_text() for path in (ROOT / "identity/templates/identity/mail").glob("*.txt")]
    assert not any("{{ code" in text for text in texts)


def test_v6_8_and_7_6_there_is_no_identity_provider_yet() -> None:
    """6.8.1 to 6.8.4, 7.6.1, 7.6.2 do not apply: no route takes the word of anybody else."""
    from api import urls

    assert not [route for route in urls.urlpatterns if re.search(r"sso|oidc|saml|callback", str(route.pattern))]
    assert settings.AUTHENTICATION_BACKENDS == ["django.contrib.auth.backends.ModelBackend"]


def test_nothing_secret_is_in_the_log_of_what_happened(anna: Person) -> None:
    """ASVS 16.2.5, the part that belongs here."""
    code = anna.code()
    token = anna.login(mfa_code=code).json()["token"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT leaf FROM audit_outbox")
        leaves = json.dumps(cursor.fetchall())
    assert not any(secret in leaves for secret in (PASSWORD, code, token, anna.secret, "anna"))
