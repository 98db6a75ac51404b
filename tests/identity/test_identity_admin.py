"""People in Django's admin: seen by admins, changed by nobody, and no secret among it."""

import re
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.looking import LookOnly
from identity import lockout, mail, mfa
from identity.models import AdminAct, ApiToken, BackupCode, Mail, MfaDevice, RoleRequest, User
from tests import factories
from tests.factories import PASSWORD

MODELS = ["user", "apitoken", "mfadevice", "attempts", "mail", "rolerequest", "adminact"]

pytestmark = pytest.mark.django_db


@pytest.fixture
def people(ada: User, alice: User) -> User:
    """alice with all that there can be of a person; the rows that the pages below show."""
    now = timezone.now()
    alice.set_password(PASSWORD)
    alice.save()
    factories.enrolled(alice)
    factories.token(alice)
    lockout.charge(lockout.second_factor(alice), now=now)
    mail.to(alice, "mfa_enrolled", now=now, address="alice@example.com")
    AdminAct.objects.create(admin=ada, user=alice, kind=AdminAct.Kind.MFA_RESET, at=now)
    RoleRequest.objects.create(user=alice, requested_by=ada, requested_at=now, reason="She takes over.")
    alice.refresh_from_db()
    return alice


def get(browser: Client, path: str) -> Any:
    return browser.get(f"/admin/identity/{path}", secure=True)


def rows() -> list[list[Any]]:
    """Everything that is known of people."""
    models: list[type[Model]] = [User, ApiToken, MfaDevice, BackupCode, Mail, RoleRequest, AdminAct]
    return [list(model._default_manager.order_by("pk").values()) for model in models]


@pytest.mark.parametrize("model", MODELS)
def test_an_admin_sees_the_list(admin_browser: Client, people: User, model: str) -> None:
    page = get(admin_browser, f"{model}/")
    assert page.status_code == 200
    assert 'id="result_list"' in page.content.decode()


@pytest.mark.parametrize("model", ["user", "mfadevice", "mail", "rolerequest", "adminact"])
def test_an_admin_sees_one(admin_browser: Client, people: User, model: str) -> None:
    listed = get(admin_browser, f"{model}/").content.decode()
    [path, *_] = re.findall(rf'href="/admin/identity/({model}/[^/"]+/change/)', listed)
    page = get(admin_browser, path)
    assert page.status_code == 200
    assert 'name="_save"' not in page.content.decode()


@pytest.mark.parametrize("model", MODELS)
def test_search_and_filters_work(admin_browser: Client, people: User, model: str) -> None:
    listed = get(admin_browser, f"{model}/").content.decode()
    filters = re.findall(r'<a href="\?([^"]+)"', listed.partition('id="changelist-filter"')[2])
    for query in ["q=alice", f"q={people.pk}", "q=nobody", "q=%00", "all=", "p=2", *filters]:
        assert get(admin_browser, f"{model}/?{query}").status_code in (200, 302), query


def test_no_secret_is_shown_anywhere(admin_browser: Client, people: User) -> None:
    token, device = ApiToken.objects.get(), MfaDevice.objects.get(user=people)
    secrets = [
        *(token.digest, token.token_key, people.password, mfa.opened(device), bytes(device.secret).decode()),
        *BackupCode.objects.values_list("code_hash", flat=True),
        *(user.password for user in User.objects.all()),
    ]
    paths = [f"{model}/" for model in MODELS]
    paths += re.findall(
        r'href="/admin/identity/(\w+/[^/"]+/change/)', "".join(get(admin_browser, p).content.decode() for p in paths)
    )
    shown = "".join(get(admin_browser, path).content.decode() for path in paths)
    assert people.username in shown
    assert not [secret for secret in secrets if secret in shown]


def test_a_token_has_no_page_of_its_own(admin_browser: Client, people: User) -> None:
    token = ApiToken.objects.get()
    for key in (token.digest, token.id):
        assert get(admin_browser, f"apitoken/{key}/change/")["Location"] == "/admin/"


@pytest.mark.parametrize(
    "query",
    [
        *("user/?password__startswith=argon2", "user/?password=x", "user/?username__regex=a", "user/?id__gt=0"),
        *("apitoken/?digest__startswith=a", "apitoken/?token_key=a", "apitoken/?user__password__startswith=a"),
        *("mfadevice/?secret=a", "mfadevice/?user__backup_codes__code_hash__startswith=a"),
        *("mail/?facts__link__startswith=a", "rolerequest/?user__mfa_device__secret=a"),
        *("user/?_to_field=password", "user/?_popup=1&_to_field=password"),
    ],
)
def test_what_is_not_shown_cannot_be_asked_for_letter_by_letter(
    admin_browser: Client, people: User, query: str
) -> None:
    assert get(admin_browser, query).status_code == 400


def test_a_page_is_not_found_by_its_secret(admin_browser: Client, people: User) -> None:
    answer = get(admin_browser, f"user/{people.password}/change/?_to_field=password")
    assert answer.status_code == 400


def test_a_list_is_counted_to_ten_thousand_and_costs_the_same_for_many(admin_browser: Client, people: User) -> None:
    def cost() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            get(admin_browser, "mail/")
        counts = [q["sql"] for q in queries if "COUNT(" in q["sql"] and "identity_mail" in q["sql"]]
        assert counts
        assert all("LIMIT 10000" in count for count in counts)
        return len(queries)

    one = cost()
    Mail.objects.bulk_create(Mail(user=people, kind="mfa_enrolled") for _ in range(30))
    assert cost() == one


# --- the ways up -----------------------------------------------------------------------------------
WISHES: dict[str, Any] = {
    **{"username": "eve", "role": "admin", "is_staff": "on", "is_superuser": "on", "is_active": "on"},
    **{"password": "eve's own password", "password1": PASSWORD + "!", "password2": PASSWORD + "!"},
    **{
        "usable_password": "true",
        "email": "eve@example.com",
        "_save": "Save",
        "groups": "1",
        "must_change_password": "",
    },
}


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
@pytest.mark.parametrize("who", ["ada", "alice"])
@pytest.mark.parametrize(
    "page", ["change/", "change/?_popup=1", "password/", "delete/", "history/", "", "../", "../add/", "../?_popup=1"]
)
def test_nobody_is_raised_or_given_a_password_in_the_admin(
    admin_browser: Client, people: User, method: str, who: str, page: str
) -> None:
    before = rows()
    path = f"/admin/identity/user/{User.objects.get(username=who).pk}/{page}".replace(f"{people.pk}/../", "")
    answer = getattr(admin_browser, method)(path, WISHES, secure=True)
    assert answer.status_code < 500
    assert rows() == before


@pytest.mark.parametrize("model", MODELS)
def test_no_page_adds_changes_or_deletes(admin_browser: Client, people: User, model: str) -> None:
    before = rows()
    found = {"user": people, "mfadevice": people.mfa_device}.get(model)
    key = found.pk if found else "1"
    for path, body in {
        "add/": WISHES,
        f"{key}/change/": WISHES,
        f"{key}/delete/": {"post": "yes"},
        "": {"action": "delete_selected", "_selected_action": [key], "post": "yes", "index": "0"},
        "?e=1": {
            "form-TOTAL_FORMS": "1",
            "form-INITIAL_FORMS": "1",
            "form-0-id": key,
            "form-0-role": "admin",
            "_save": "1",
        },
    }.items():
        answer = admin_browser.post(f"/admin/identity/{model}/{path}", body, secure=True)
        assert answer.status_code in (200, 302, 403, 404), path
    assert get(admin_browser, f"{model}/add/").status_code == 403
    assert rows() == before


def test_everything_in_the_admin_is_for_looking(admin_browser: Client) -> None:
    for model, shown in admin.site._registry.items():
        assert isinstance(shown, LookOnly), model
        assert not shown.list_editable
        assert not shown.inlines
        path = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        assert admin_browser.get(path, secure=True).status_code == 200
        assert admin_browser.get(f"{path}add/", secure=True).status_code == 403


@pytest.mark.parametrize("role", ["auditor", "investor"])
def test_the_admin_is_for_admins(role: str) -> None:
    browser = Client()
    browser.force_login(factories.person(role, role))
    assert browser.get("/admin/identity/user/", secure=True).status_code == 302
