"""/api/investors/mfa/: setup, verify, disable, backup-codes."""

import base64
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from typing import Any

import pyotp
import pytest
import time_machine
from django.utils import timezone
from PIL import Image
from rest_framework.test import APIClient

from identity import mfa
from identity.models import Attempts, BackupCode, MfaDevice
from tests import factories
from tests.people import Person, bearer, post, recorded, refusal

SETUP, VERIFY = "investors/mfa/setup/", "investors/mfa/verify/"
DISABLE, BACKUP_CODES = "investors/mfa/disable/", "investors/mfa/backup-codes/"


def enrol(client: APIClient) -> tuple[str, Any]:
    """Set up and prove; the secret and the answer to the proof."""
    secret = post(client, SETUP).json()["secret"]
    return secret, post(client, VERIFY, {"code": pyotp.TOTP(secret).now()})


def test_setup_shows_a_secret_of_160_bits_as_text_address_and_picture(newton: Person) -> None:
    answer = newton.client().post("/api/investors/mfa/setup/")
    shown = answer.json()
    assert len(base64.b32decode(shown["secret"])) * 8 == 160
    assert pyotp.parse_uri(shown["otpauth_uri"]).secret == shown["secret"]
    kind, _, picture = shown["qr_code"].partition(",")
    assert kind == "data:image/png;base64"
    assert Image.open(BytesIO(base64.b64decode(picture))).format == "PNG"
    assert isinstance(shown["message"], str)
    assert answer["Cache-Control"] == "no-store"


def test_a_second_setup_makes_another_secret_and_the_first_is_dead(newton: Person) -> None:
    client = newton.client()
    first, second = (post(client, SETUP).json()["secret"] for _ in range(2))
    assert refusal(post(client, VERIFY, {"code": pyotp.TOTP(first).now()})) == (400, "invalid_mfa_code")
    assert post(client, VERIFY, {"code": pyotp.TOTP(second).now()}).status_code == 200


def test_the_first_code_opens_the_documents_to_the_same_token(newton: Person) -> None:
    client = newton.client()
    assert client.get("/api/documents/").status_code == 403
    _, answer = enrol(client)
    assert set(answer.json()) == {"message", "backup_codes"}
    assert client.get("/api/documents/").json() == []
    assert client.get("/api/auth/me/").json()["mfa_enabled"] is True


def test_enrolling_ends_every_other_token(newton: Person) -> None:
    other, client = newton.client(), newton.client()
    enrol(client)
    assert refusal(other.get("/api/auth/me/")) == (401, "authentication_failed")


def test_ten_backup_codes_are_shown_and_only_hashes_kept(newton: Person) -> None:
    _, answer = enrol(newton.client())
    codes = answer.json()["backup_codes"]
    assert len(set(codes)) == 10
    kept = list(BackupCode.objects.values_list("code_hash", flat=True))
    assert [text[:7] for text in kept] == ["argon2$"] * 10
    assert refusal(newton.login(mfa_code="AAAAAAAAAAAA")) == (400, "invalid_mfa_code")
    assert newton.login(mfa_code=codes[3]).json()["mfa_enabled"] is True


def test_the_code_that_enrolled_does_not_sign_in(newton: Person) -> None:
    client = newton.client()
    secret = post(client, SETUP).json()["secret"]
    code = pyotp.TOTP(secret).now()
    assert post(client, VERIFY, {"code": code}).status_code == 200
    assert refusal(newton.login(mfa_code=code)) == (400, "invalid_mfa_code")


def test_a_wrong_first_code_enrols_nobody_and_may_be_corrected(newton: Person) -> None:
    client = newton.client()
    secret = post(client, SETUP).json()["secret"]
    assert refusal(post(client, VERIFY, {"code": "000000"})) == (400, "invalid_mfa_code")
    assert not mfa.enrolled(newton.user)
    assert post(client, VERIFY, {"code": pyotp.TOTP(secret).now()}).status_code == 200


def test_guessing_the_first_code_waits(newton: Person) -> None:
    client = newton.client()
    post(client, SETUP)
    statuses = [post(client, VERIFY, {"code": "000000"}).status_code for _ in range(6)]
    assert statuses == [400] * 5 + [429]


def test_there_is_nothing_to_prove_without_a_setup_or_after_its_ten_minutes(newton: Person) -> None:
    client = newton.client()
    assert refusal(post(client, VERIFY, {"code": "000000"})) == (400, "mfa_not_set_up")
    secret = post(client, SETUP).json()["secret"]
    with time_machine.travel(timezone.now() + timedelta(minutes=10, seconds=1)):
        answer = post(client, VERIFY, {"code": pyotp.TOTP(secret).now()})
    assert refusal(answer) == (400, "mfa_not_set_up")


def test_who_is_enrolled_can_neither_set_up_nor_prove_another(carol: Person) -> None:
    client = carol.client()
    assert refusal(post(client, SETUP)) == (400, "mfa_already_enabled")
    assert refusal(post(client, VERIFY, {"code": carol.code()})) == (400, "mfa_already_enabled")


def test_nothing_shows_the_secret_again(newton: Person, rhea: Person) -> None:
    client = newton.client()
    secret, _ = enrol(client)
    admin = rhea.client()
    paths = ["auth/me/", "auth/sessions/", "investors/", f"investors/{newton.user.pk}/", "schema/"]
    shown = "".join(api.get(f"/api/{path}").content.decode() for path in paths for api in (client, admin))
    assert secret not in shown
    assert "otpauth://" not in shown


@pytest.mark.parametrize("by", ["totp", "backup code"])
def test_disabling_takes_a_code_and_leaves_a_token_that_can_but_enrol(carol: Person, by: str) -> None:
    code = carol.code() if by == "totp" else mfa.renew_backup_codes(carol.user, now=timezone.now())[0]
    other, client = (bearer(factories.token(carol.user).text) for _ in range(2))
    answer = post(client, DISABLE, {"code": code})
    assert set(answer.json()) == {"message"}
    assert refusal(client.get("/api/documents/")) == (403, "mfa_setup_required")
    assert refusal(other.get("/api/auth/me/")) == (401, "authentication_failed")
    assert not BackupCode.objects.exists()
    assert enrol(client)[1].status_code == 200
    assert client.get("/api/documents/").status_code == 200


def test_a_wrong_code_disables_nothing(carol: Person) -> None:
    client = carol.client()
    assert refusal(post(client, DISABLE, {"code": "000000"})) == (400, "invalid_mfa_code")
    assert mfa.enrolled(carol.user)


@pytest.mark.parametrize("role", ["admin", "auditor"])
def test_admins_and_auditors_cannot_disable_theirs_and_no_code_is_spent(
    somebody: Callable[..., Person], role: str
) -> None:
    person = somebody("mandy", role)
    client, code = bearer(factories.token(person.user).text), person.code()
    assert refusal(post(client, DISABLE, {"code": code})) == (403, "mfa_mandatory")
    assert not Attempts.objects.exists()
    assert person.login(mfa_code=code).status_code == 200


def test_backup_codes_are_renewed_by_a_code_and_the_old_ones_are_dead(carol: Person) -> None:
    old = mfa.renew_backup_codes(carol.user, now=timezone.now())[0]
    client = carol.client()
    new = post(client, BACKUP_CODES, {"code": carol.code()}).json()["backup_codes"]
    assert len(new) == 10
    assert refusal(carol.login(mfa_code=old)) == (400, "invalid_mfa_code")
    assert carol.login(mfa_code=new[0]).status_code == 200
    assert client.get("/api/auth/me/").json()["backup_codes_left"] == 9


def test_backup_codes_are_not_renewed_by_a_wrong_code(carol: Person) -> None:
    client = carol.client()
    before = list(BackupCode.objects.values())
    assert refusal(post(client, BACKUP_CODES, {"code": "000000"})) == (400, "invalid_mfa_code")
    assert list(BackupCode.objects.values()) == before


def test_without_a_second_factor_there_is_nothing_to_disable_or_renew(newton: Person) -> None:
    client = newton.client()
    for path in (DISABLE, BACKUP_CODES):
        assert refusal(post(client, path, {"code": "000000"})) == (403, "mfa_setup_required")


@pytest.mark.parametrize("path", [VERIFY, DISABLE, BACKUP_CODES])
@pytest.mark.parametrize("body", ["[1]", "7", "null", "{", "{}", '{"code": 123456}', '{"code": ["1"]}', '{"code": ""}'])
def test_bad_bodies_are_400_and_no_attempt(carol: Person, path: str, body: str) -> None:
    client = bearer(factories.token(carol.user).text)
    answer = client.post(f"/api/{path}", body, content_type="application/json")
    assert refusal(answer)[0] == 400
    assert not Attempts.objects.exists()


@pytest.mark.parametrize("path", [DISABLE, BACKUP_CODES])
@pytest.mark.parametrize("code", ["\u0661\u0662\u0663\u0664\u0665\u0666", "a\x00b", "1" * 10_000])
def test_codes_that_can_never_be_right_are_attempts(carol: Person, path: str, code: str) -> None:
    client = bearer(factories.token(carol.user).text)
    assert refusal(post(client, path, {"code": code})) == (400, "invalid_mfa_code")
    assert Attempts.objects.get(key=f"code:{carol.user.pk}").failures == 1


def test_everything_is_recorded_without_the_secret(newton: Person) -> None:
    client = newton.client()
    secret, _ = enrol(client)
    code = factories.code(secret, steps=1)
    post(client, DISABLE, {"code": code})
    for action in ("mfa.setup_started", "mfa.enrolled", "mfa.disabled"):
        events = recorded(action)
        assert len(events) == 1
        assert secret not in str(events)
        assert code not in str(events)
    assert not MfaDevice.objects.exists()
