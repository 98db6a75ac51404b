"""/api/investors/: people, as admins see them, and what admins do to accounts."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from identity import lockout, mfa
from identity.models import ApiToken, InvestorProfile, Mail, MfaDevice, Role, RoleRequest, User
from pipeline.models import DocumentVersion
from tests import factories
from tests.people import Person, bearer, post, recorded, refusal

REASON = "She has lost her phone."
CREATE = "investors/create_user/"
NEW = {"username": "dora", "password": "a sentence of hers", "email": "dora@example.test"}
# Everything that is done to one account: path, body, the event, the mail.
ACTS = {
    "reset_mfa": ({}, "mfa.reset"),
    "revoke_sessions": ({}, "user.sessions_revoked"),
    "unlock": ({}, "user.unlocked"),
    "deactivate": ({}, "user.deactivated"),
    "email": ({"email": "new@example.test"}, "user.email_changed"),
    "role": ({"role": "auditor"}, "user.role_changed"),
}
each_act = pytest.mark.parametrize("act", ACTS)


@pytest.fixture
def admin(rhea: Person) -> APIClient:
    """rhea's client."""
    return bearer(factories.token(rhea.user).text)


def act_on(admin: APIClient, user: User, act: str, **changes: Any) -> Any:
    """Do it."""
    return post(admin, f"investors/{user.pk}/{act}/", {"reason": REASON, **ACTS.get(act, ({}, ""))[0], **changes})


# --- looking -----------------------------------------------------------------------------------
def test_the_list_is_an_array_of_accounts_the_newest_first(admin: APIClient, rhea: Person, carol: Person) -> None:
    rows = admin.get("/api/investors/").json()
    assert [row["username"] for row in rows] == ["carol", "rhea"]
    assert rows[0] == {
        "id": carol.user.pk,
        "username": "carol",
        "email": "carol@example.test",
        "role": "investor",
        "is_active": True,
        "mfa_enabled": True,
        "mfa_locked": False,
        "password_change_required": False,
        "created_at": carol.user.date_joined.isoformat().replace("+00:00", "Z"),
        "last_login": None,
    }


def test_one_account_says_whether_it_can_be_used(admin: APIClient, newton: Person, carol: Person) -> None:
    MfaDevice.objects.filter(user=carol.user).update(disabled_at=timezone.now())
    mfa.setup(newton.user, now=timezone.now())
    rows = [admin.get(f"/api/investors/{person.user.pk}/").json() for person in (newton, carol)]
    assert [(row["mfa_enabled"], row["mfa_locked"]) for row in rows] == [(False, False), (True, True)]


def test_the_list_is_filtered_by_role_activity_and_a_part_of_the_name(
    admin: APIClient, carol: Person, newton: Person, otto: User
) -> None:
    User.objects.filter(pk=newton.user.pk).update(is_active=False)

    def names(**asked: str) -> set[str]:
        return {row["username"] for row in admin.get("/api/investors/", asked).json()}

    assert names(role="auditor") == {"otto"}
    assert names(active="false") == {"newton"}
    assert names(active="true", role="investor") == {"carol"}
    assert names(q="CARO") == names(q="rol@exam") == {"carol"}
    assert names(q="%") == names(q="_") == set()


def test_the_list_comes_in_pages(admin: APIClient) -> None:
    for number in range(5):
        factories.person(f"p{number}", "investor")
    seen, url = [], "/api/investors/?limit=2"
    while url:
        answer = admin.get(url)
        seen += [row["id"] for row in answer.json()]
        following = [part for part in answer.get("Link", "").split(", ") if part.endswith('rel="next"')]
        url = following[0][1 : following[0].index(">")] if following else ""
    assert len(seen) == len(set(seen)) == User.objects.count()
    assert seen == sorted(seen, reverse=True)


def test_a_long_list_costs_as_many_queries_as_a_short_one(admin: APIClient) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as caught:
            admin.get("/api/investors/")
        return len(caught)

    few = queries()
    for number in range(10):
        factories.person(f"p{number}", "investor")
    assert queries() == few


@pytest.mark.parametrize(
    "query",
    [
        {"role": "king"},
        {"role": "\ud800"},
        {"active": "perhaps"},
        {"q": "a\x00b"},
        {"q": "x" * 151},
        {"limit": "0"},
        {"limit": "x"},
        {"colour": "red"},
    ],
)
def test_a_bad_filter_is_400_with_its_field(admin: APIClient, query: dict[str, str]) -> None:
    address = "/api/investors/?" + "&".join(f"{name}={_quoted(value)}" for name, value in query.items())
    answer = admin.get(address)
    assert refusal(answer) == (400, "invalid")
    assert set(answer.json()["fields"]) == set(query)


def _quoted(value: str) -> str:
    return "".join(f"%{byte:02x}" for byte in value.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("id_", [0, 10**8, 2**31, 2**63 - 1, 2**63, 10**30])
def test_nobody_has_this_number(admin: APIClient, id_: int) -> None:
    assert refusal(admin.get(f"/api/investors/{id_}/")) == (404, "not_found")
    assert refusal(post(admin, f"investors/{id_}/deactivate/", {"reason": REASON})) == (404, "not_found")


@pytest.mark.parametrize("method", ["put", "patch", "delete", "post"])
def test_an_account_is_neither_written_nor_deleted(admin: APIClient, carol: Person, method: str) -> None:
    before = User.objects.values().get(pk=carol.user.pk)
    for path in (f"/api/investors/{carol.user.pk}/", "/api/investors/"):
        answer = getattr(admin, method)(path, {"mfa_enabled": True, "role": "admin"}, format="json")
        assert refusal(answer) == (405, "method_not_allowed")
    assert User.objects.values().get(pk=carol.user.pk) == before


# --- making accounts ---------------------------------------------------------------------------
def test_an_account_with_a_password_must_change_it_at_the_first_sign_in(admin: APIClient) -> None:
    answer = post(admin, CREATE, NEW)
    assert answer.status_code == 200
    dora = User.objects.get(username="dora")
    said = answer.json()
    assert {name: said[name] for name in ("user_id", "username", "email", "role")} == {
        "user_id": dora.pk,
        "username": "dora",
        "email": "dora@example.test",
        "role": "investor",
    }
    assert isinstance(said["message"], str)
    assert NEW["password"] not in answer.content.decode()
    login = post(APIClient(), "auth/login/", {"username": "dora", "password": NEW["password"]}).json()
    assert (login["password_change_required"], login["mfa_enabled"]) == (True, False)
    assert InvestorProfile.objects.filter(user=dora).exists()
    assert [mail.kind for mail in Mail.objects.filter(user=dora)] == ["account_created"]


def test_an_account_without_a_password_gets_an_invitation(admin: APIClient) -> None:
    post(admin, CREATE, {"username": "dora", "email": "dora@example.test", "role": "auditor"})
    dora = User.objects.get(username="dora")
    assert (dora.role, dora.has_usable_password(), dora.must_change_password) == (Role.AUDITOR, False, False)
    assert [mail.kind for mail in Mail.objects.filter(user=dora)] == ["invitation"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"username": ""}, "username"),
        ({"username": "d\u00f6ra"}, "username"),
        ({"username": "dora dora"}, "username"),
        ({"username": "d" * 151}, "username"),
        ({"username": "RHEA"}, "username"),
        ({"username": 7}, "username"),
        ({"email": "nonsense"}, "email"),
        ({"email": "RHEA@example.test"}, "email"),
        ({"email": "", "password": ""}, "email"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 10_000}, "password"),
        ({"password": "a\x00bcdefghijklmnop"}, "password"),
        ({"role": "admin"}, "role"),
        ({"role": "king"}, "role"),
        ({"role": "\ud800"}, "role"),
        ({"is_superuser": True}, "is_superuser"),
        ({"mfa_enabled": True}, "mfa_enabled"),
    ],
)
def test_a_bad_account_is_refused_by_its_field_and_none_is_made(
    admin: APIClient, changes: dict[str, Any], field: str
) -> None:
    before = User.objects.count()
    answer = admin.post(f"/api/{CREATE}", json.dumps({**NEW, **changes}), content_type="application/json")
    assert refusal(answer) == (400, "invalid")
    assert set(answer.json()["fields"]) == {field}
    assert "Constraint" not in answer.json()["error"]
    assert (User.objects.count(), InvestorProfile.objects.count()) == (before, 0)


@pytest.mark.django_db(transaction=True)
def test_of_six_who_make_one_account_at_once_one_does(rhea: Person) -> None:
    text = factories.token(rhea.user).text

    def make(_: int) -> Any:
        try:
            return post(bearer(text), CREATE, NEW)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(make, range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 5
    assert {refusal(answer) for answer in answers if answer.status_code != 200} == {(400, "invalid")}
    assert User.objects.filter(username="dora").count() == 1


@pytest.mark.parametrize("body", ["[1]", "7", "null", "{", '"x"', ""])
def test_bodies_that_are_not_objects_are_400(admin: APIClient, body: str) -> None:
    assert refusal(admin.post(f"/api/{CREATE}", body, content_type="application/json"))[0] == 400


# --- acts --------------------------------------------------------------------------------------
@each_act
def test_an_act_is_done_recorded_and_mailed(admin: APIClient, rhea: Person, carol: Person, act: str) -> None:
    answer = act_on(admin, carol.user, act)
    assert answer.status_code == 200
    assert isinstance(answer.json()["message"], str)
    action = ACTS[act][1]
    (event,) = recorded(action)
    assert (event["actor"]["uid"], event["object"]["uid"]) == (str(rhea.user.pk), str(carol.user.pk))
    assert REASON not in str(event), "the reason is somebody's words about a person: it is not in clear"
    assert Mail.objects.filter(user=carol.user, kind=action.replace(".", "_")).exists()


@each_act
def test_an_act_wants_a_reason(admin: APIClient, carol: Person, act: str) -> None:
    before = (User.objects.values().get(pk=carol.user.pk), MfaDevice.objects.count())
    bad: list[Any] = [None, "", "  ", "no", "x" * 501, "a\nb", "a\x00b", 7, ["x"]]
    for given in ({}, *({"reason": reason} for reason in bad)):
        answer = post(admin, f"investors/{carol.user.pk}/{act}/", {**ACTS[act][0], **given})
        assert refusal(answer) == (400, "invalid")
        assert set(answer.json()["fields"]) == {"reason"}
    assert (User.objects.values().get(pk=carol.user.pk), MfaDevice.objects.count()) == before


@each_act
def test_an_act_wants_a_fresh_second_factor(rhea: Person, carol: Person, act: str) -> None:
    stale = bearer(factories.token(rhea.user, age=timedelta(minutes=15)).text)
    assert refusal(act_on(stale, carol.user, act)) == (403, "step_up_required")


@pytest.mark.parametrize("act", sorted(set(ACTS) - {"revoke_sessions", "unlock"}))
def test_nobody_does_it_to_themselves(admin: APIClient, rhea: Person, act: str) -> None:
    assert refusal(act_on(admin, rhea.user, act)) == (403, "on_yourself")


@pytest.mark.parametrize("act", ["reset_mfa", "revoke_sessions", "deactivate", "email", "role"])
def test_an_act_ends_the_persons_sessions(admin: APIClient, carol: Person, act: str) -> None:
    hers = carol.client()
    act_on(admin, carol.user, act)
    assert refusal(hers.get("/api/auth/me/")) == (401, "authentication_failed")


def test_after_a_reset_the_person_can_but_enrol(admin: APIClient, carol: Person) -> None:
    act_on(admin, carol.user, "reset_mfa")
    login = post(APIClient(), "auth/login/", {"username": "carol", "password": factories.PASSWORD}).json()
    assert login["mfa_enabled"] is False
    assert refusal(bearer(login["token"]).get("/api/documents/")) == (403, "mfa_setup_required")
    assert refusal(act_on(admin, carol.user, "reset_mfa")) == (409, "unchanged")


def test_a_deactivated_account_opens_nothing_and_loses_nothing(admin: APIClient, carol: Person) -> None:
    version = factories.begun(carol.user)
    act_on(admin, carol.user, "deactivate")
    assert refusal(carol.login()) == (400, "invalid_credentials")
    assert DocumentVersion.objects.filter(pk=version.pk).exists()
    assert admin.get("/api/investors/", {"active": "false"}).json()[0]["username"] == "carol"
    assert refusal(act_on(admin, carol.user, "deactivate")) == (409, "unchanged")
    assert act_on(admin, carol.user, "reactivate").status_code == 200
    assert carol.login().status_code == 200
    assert refusal(act_on(admin, carol.user, "reactivate")) == (409, "unchanged")


def test_unlocking_lets_a_locked_factor_be_used_again(admin: APIClient, carol: Person) -> None:
    for _ in range(5):
        carol.login(password="wrong", mfa_code="")
    MfaDevice.objects.filter(user=carol.user).update(disabled_at=timezone.now())
    assert refusal(carol.login(mfa_code=""))[1] == "throttled"
    act_on(admin, carol.user, "unlock")
    assert carol.login().status_code == 200


def test_a_new_address_is_taken_by_nobody_else(admin: APIClient, carol: Person, newton: Person) -> None:
    for email in ("newton@example.test", "NEWTON@EXAMPLE.TEST", "nonsense", "", None):
        answer = act_on(admin, carol.user, "email", email=email)
        assert refusal(answer) == (400, "invalid")
        assert set(answer.json()["fields"]) == {"email"}
        assert "Constraint" not in answer.json()["error"]
    assert refusal(act_on(admin, carol.user, "email", email="carol@example.test")) == (409, "unchanged")


def test_another_role_is_given_at_once(admin: APIClient, carol: Person) -> None:
    answer = act_on(admin, carol.user, "role")
    assert (answer.status_code, answer.json()["role_request"]) == (200, None)
    carol.user.refresh_from_db()
    assert carol.user.role == Role.AUDITOR
    assert refusal(act_on(admin, carol.user, "role")) == (409, "unchanged")
    answer = act_on(admin, carol.user, "role", role="king")
    assert (refusal(answer), set(answer.json()["fields"])) == ((400, "invalid"), {"role"})


def test_the_admin_role_is_asked_for_and_not_given(admin: APIClient, carol: Person) -> None:
    answer = act_on(admin, carol.user, "role", role="admin")
    assert answer.status_code == 202
    assert answer.json()["role_request"]["id"] == str(RoleRequest.objects.get().pk)
    carol.user.refresh_from_db()
    assert carol.user.role == Role.INVESTOR


def test_the_last_admin_stays_one(somebody: Callable[..., Person], rhea: Person) -> None:
    other = somebody("other", "admin")
    admin = bearer(factories.token(rhea.user).text)
    User.objects.filter(pk=rhea.user.pk).update(is_active=True)
    assert act_on(admin, other.user, "role", role="investor").status_code == 200
    assert refusal(act_on(admin, rhea.user, "deactivate")) == (403, "on_yourself")
    assert User.objects.filter(role=Role.ADMIN, is_active=True).count() == 1


def test_ending_ones_own_sessions_as_an_admin_ends_this_one_too(admin: APIClient, rhea: Person) -> None:
    assert act_on(admin, rhea.user, "revoke_sessions").status_code == 200
    assert not ApiToken.objects.exists()


def test_a_wait_after_wrong_codes_is_forgotten_too(admin: APIClient, carol: Person) -> None:
    for _ in range(5):
        carol.login(mfa_code="000000")
    assert lockout.failures(lockout.second_factor(carol.user)) == 5
    act_on(admin, carol.user, "unlock")
    assert carol.login().status_code == 200
