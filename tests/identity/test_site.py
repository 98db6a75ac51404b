"""The Django admin's door: a password opens the next step and nothing else, and what was opened closes again."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from audit import actions, sequencer
from audit.models import Event
from identity import accounts, mfa, site
from identity.models import MfaDevice, Role, User
from identity.session_store import SessionStore
from tests import factories
from tests.factories import PASSWORD

LOGIN, CODE, ENROL = "/admin/login/", "/admin/login/code/", "/admin/login/enrol/"
INSIDE = [
    *("/admin/", "/admin/identity/user/", "/admin/password_change/", "/admin/password_change/done/"),
    *("/admin/jsi18n/", "/admin/autocomplete/", "/admin/r/1/1/", "/admin/identity/", "/admin/nothing/of/the/kind/"),
]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]


@pytest.fixture
def root() -> User:
    """An admin with a password, who has not enrolled yet."""
    return factories.person("root", "admin", password=PASSWORD)


@pytest.fixture
def secret(root: User) -> str:
    """The secret of root's second factor."""
    return factories.enrolled(root)


@pytest.fixture
def browser() -> Client:
    """A browser that has not been here before."""
    return Client()


def get(browser: Client, address: str) -> Any:
    return browser.get(address, secure=True)


def post(browser: Client, address: str, **fields: str) -> Any:
    return browser.post(address, fields, secure=True)


def password(browser: Client, username: str = "root", text: str = PASSWORD, *, next: str = "") -> Any:
    return post(browser, f"{LOGIN}?next={next}" if next else LOGIN, username=username, password=text)


def sign_in(browser: Client, secret: str) -> Any:
    """Both steps, one after the other."""
    password(browser)
    return post(browser, CODE, code=factories.code(secret))


def is_in(browser: Client) -> bool:
    """Whether the admin opens."""
    answer = get(browser, "/admin/")
    assert answer.status_code == 200 or answer["Location"] == f"{LOGIN}?next=/admin/"
    return bool(answer.status_code == 200)


def key(browser: Client) -> str:
    """The session's."""
    return browser.cookies[settings.SESSION_COOKIE_NAME].value


def text(page: HttpResponse) -> str:
    """The page, without what differs from one rendering to the next."""
    return re.sub(r'(name="csrfmiddlewaretoken" value=)"\w+"', r"\1", page.content.decode())


def events(action: str) -> list[Event]:
    while sequencer.sequence():
        pass
    return list(Event.objects.filter(action=action).order_by("seq"))


# --- the two steps -------------------------------------------------------------------------------
def test_password_and_code_open_the_admin(browser: Client, secret: str) -> None:
    first = password(browser)
    assert (first.status_code, first["Location"]) == (302, CODE)
    assert get(browser, CODE).status_code == 200
    second = post(browser, CODE, code=factories.code(secret))
    assert (second.status_code, second["Location"]) == (302, "/admin/")
    assert is_in(browser)
    [event] = events(actions.AUTH_SIGNED_IN)
    assert event.leaf_values()["facts"] == {"method": "password", "factor": "totp", "door": "admin"}


def test_whoever_is_in_need_not_sign_in_again(browser: Client, secret: str) -> None:
    sign_in(browser, secret)
    assert get(browser, f"{LOGIN}?next=/admin/audit/event/")["Location"] == "/admin/audit/event/"


def test_a_password_alone_opens_nothing(browser: Client, secret: str) -> None:
    password(browser)
    for address in INSIDE:
        answer = get(browser, address)
        assert answer.status_code == 302, address
        assert answer["Location"].startswith(f"{LOGIN}?next="), address
    assert "_auth_user_id" not in browser.session


@pytest.mark.parametrize("address", INSIDE)
def test_a_stranger_is_sent_to_the_first_step(browser: Client, address: str) -> None:
    assert get(browser, address)["Location"].startswith(f"{LOGIN}?next=")


@pytest.mark.parametrize("address", [CODE, ENROL])
@pytest.mark.parametrize("method", ["get", "post"])
def test_there_is_no_second_step_without_the_first(browser: Client, root: User, address: str, method: str) -> None:
    answer = getattr(browser, method)(address, {"code": "123456"}, secure=True)
    assert (answer.status_code, answer["Location"]) == (302, LOGIN)
    assert not MfaDevice.objects.exists()


def test_the_second_step_waits_ten_minutes_and_no_longer(browser: Client, secret: str) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        password(browser)
        clock.shift(timedelta(minutes=9, seconds=59))
        assert get(browser, CODE).status_code == 200
        clock.shift(timedelta(seconds=2))
        late = post(browser, CODE, code=factories.code(secret))
        assert late["Location"] == LOGIN
        assert not is_in(browser)


def test_the_session_has_another_key_after_each_step(browser: Client, secret: str) -> None:
    get(browser, LOGIN)
    password(browser)
    pending = key(browser)
    post(browser, CODE, code=factories.code(secret))
    full = key(browser)
    post(browser, "/admin/logout/")
    password(browser)
    assert len({pending, full, key(browser)}) == 3
    assert not SessionStore().exists(pending)
    assert not SessionStore().exists(full)


def test_a_session_that_was_planted_before_the_sign_in_is_worth_nothing(secret: str) -> None:
    eves, victims = Client(), Client()
    planted = eves.session
    planted["planted"] = True
    planted.save()
    for browser in (eves, victims):
        browser.cookies[settings.SESSION_COOKIE_NAME] = planted.session_key or ""
    sign_in(victims, secret)
    assert is_in(victims)
    assert not is_in(eves)
    assert "planted" not in victims.session


def test_a_session_that_was_seen_between_the_steps_is_worth_nothing(secret: str) -> None:
    eves, victims = Client(), Client()
    password(victims)
    eves.cookies[settings.SESSION_COOKIE_NAME] = key(victims)
    post(victims, CODE, code=factories.code(secret))
    assert get(eves, CODE)["Location"] == LOGIN
    assert not is_in(eves)


def test_a_login_by_any_other_code_gains_nothing(browser: Client, root: User, secret: str) -> None:
    browser.force_login(root)
    assert browser.session["_auth_user_id"] == str(root.pk)
    for address in INSIDE:
        assert get(browser, address).status_code == 302, address


def test_an_admins_note_is_worth_nothing_to_somebody_else(browser: Client, secret: str) -> None:
    sign_in(browser, secret)
    session = browser.session
    session["_auth_user_id"] = str(factories.person("eve", "investor").pk)
    session.save()
    assert not is_in(browser)


def test_a_forged_form_is_refused(secret: str) -> None:
    browser = Client(enforce_csrf_checks=True)
    assert password(browser).status_code == 403
    assert settings.SESSION_COOKIE_NAME not in browser.cookies


# --- who is refused at the first step ------------------------------------------------------------
def refusals(*names: str) -> set[tuple[int, str, frozenset[str]]]:
    """What a new browser gets for the right password under each of the names: status, page, headers."""
    answers = [(name, password(Client(), name)) for name in names]
    return {(page.status_code, text(page).replace(name, "..."), frozenset(page.headers)) for name, page in answers}


def test_everybody_else_is_refused_as_a_stranger_is(secret: str) -> None:
    for role in ("investor", "auditor"):
        factories.person(role, role, password=PASSWORD)
    User.objects.filter(pk=factories.person("gone", "admin", password=PASSWORD).pk).update(is_active=False)
    factories.person("wrong", "admin", password=PASSWORD + "!")
    [(status, page, _)] = refusals("nobody", "investor", "auditor", "gone", "wrong")
    assert status == 400
    assert "Wrong user name or password, or not an admin." in page


def test_an_investors_right_password_is_counted_as_a_wrong_one(root: User) -> None:
    """Else the missing wait would tell that it was right."""
    factories.person("alice", "investor", password=PASSWORD)
    answers = {name: [password(Client(), name).status_code for _ in range(7)] for name in ("alice", "nobody")}
    assert answers["alice"] == answers["nobody"] == [400] * 5 + [429] * 2


def test_a_refused_sign_in_leaves_no_session(browser: Client, root: User) -> None:
    password(browser, text="wrong")
    assert settings.SESSION_COOKIE_NAME not in browser.cookies
    assert get(browser, CODE)["Location"] == LOGIN


@pytest.mark.parametrize("odd", ["", "\x00", "\ud800", "x" * 10_000, "٣" * 40, "<script>alert(1)</script>"])
def test_odd_names_and_passwords_are_wrong_and_no_more(browser: Client, root: User, odd: str) -> None:
    body = odd.encode("utf-8", "surrogatepass")
    for fields in ({"username": body, "password": b"x"}, {"username": b"root", "password": body}):
        page = browser.post(LOGIN, fields, secure=True)
        assert page.status_code == 400
        assert "<script>alert" not in page.content.decode()


def test_who_tries_too_often_is_told_how_long_to_wait(browser: Client, root: User) -> None:
    for _ in range(5):
        assert password(browser, text="wrong").status_code == 400
    page = password(browser)
    assert page.status_code == 429
    assert 0 < int(page["Retry-After"]) <= 30
    assert re.search(r"Too many attempts\. Wait \d+ seconds, then try again\.", text(page))


def test_who_ceases_to_be_an_admin_between_the_steps_gets_no_further(browser: Client, root: User, secret: str) -> None:
    password(browser)
    User.objects.filter(pk=root.pk).update(role=Role.INVESTOR)
    assert post(browser, CODE, code=factories.code(secret))["Location"] == LOGIN
    assert not is_in(browser)


# --- the code ------------------------------------------------------------------------------------
def test_a_wrong_code_opens_nothing_and_may_be_corrected(browser: Client, secret: str) -> None:
    password(browser)
    page = post(browser, CODE, code="000000")
    assert page.status_code == 400
    assert "This code is wrong or was used already." in text(page)
    assert not is_in(browser)
    post(browser, CODE, code=factories.code(secret))
    assert is_in(browser)


def test_a_spent_code_opens_nothing(secret: str) -> None:
    code = factories.code(secret)
    first, second = Client(), Client()
    for browser in (first, second):
        password(browser)
        post(browser, CODE, code=code)
    assert is_in(first)
    assert not is_in(second)


def test_a_backup_code_opens_the_admin_once(root: User, secret: str) -> None:
    backup_code = mfa.renew_backup_codes(root, now=timezone.now())[0]
    first, second = Client(), Client()
    for browser in (first, second):
        password(browser)
        post(browser, CODE, code=backup_code)
    assert is_in(first)
    assert not is_in(second)


def test_wrong_codes_must_wait_and_a_right_password_does_not_shorten_it(browser: Client, secret: str) -> None:
    for _ in range(5):
        password(browser)
        assert post(browser, CODE, code="000000").status_code == 400
    password(browser)
    page = post(browser, CODE, code=factories.code(secret))
    assert page.status_code == 429
    assert 0 < int(page["Retry-After"]) <= 60
    assert not is_in(browser)


def test_a_locked_factor_is_named_and_opens_nothing(browser: Client, root: User, secret: str) -> None:
    mfa.lock(root, now=timezone.now())
    password(browser)
    page = post(browser, CODE, code=factories.code(secret))
    assert page.status_code == 403
    assert "An admin can unlock it." in text(page)
    assert not is_in(browser)


# --- enrolment -----------------------------------------------------------------------------------
def shown_secret(page: HttpResponse) -> str:
    found = re.search(r'id="secret"[^>]*>([A-Z2-7]{32})<', text(page))
    assert found
    return found[1]


def test_the_first_sign_in_enrols_a_second_factor(browser: Client, root: User) -> None:
    assert password(browser)["Location"] == ENROL
    page = get(browser, ENROL)
    assert 'src="data:image/png;base64,' in text(page)
    done = post(browser, ENROL, code=factories.code(shown_secret(page)))
    codes = re.findall(r"<li><code>([A-Z0-9-]+)</code></li>", text(done))
    assert len(set(codes)) == 10
    assert 'href="/admin/"' in text(done)
    assert mfa.enrolled(root)
    assert is_in(browser)


def test_a_backup_code_that_was_shown_at_enrolment_works(browser: Client, root: User) -> None:
    password(browser)
    done = post(browser, ENROL, code=factories.code(shown_secret(get(browser, ENROL))))
    [backup_code, *_] = re.findall(r"<li><code>([A-Z0-9-]+)</code></li>", text(done))
    other = Client()
    password(other)
    post(other, CODE, code=backup_code)
    assert is_in(other)


def test_a_wrong_first_code_enrols_nobody_and_may_be_corrected(browser: Client, root: User) -> None:
    password(browser)
    shown = shown_secret(get(browser, ENROL))
    page = post(browser, ENROL, code="000000")
    assert page.status_code == 400
    assert shown not in text(page)
    assert not mfa.enrolled(root)
    assert not is_in(browser)
    post(browser, ENROL, code=factories.code(shown))
    assert is_in(browser)


def test_who_is_enrolled_cannot_enrol_another_phone_with_the_password_alone(browser: Client, secret: str) -> None:
    password(browser)
    for method in ("get", "post"):
        answer = getattr(browser, method)(ENROL, {"code": factories.code(secret)}, secure=True)
        assert answer["Location"] == CODE
    assert not is_in(browser)


def test_a_setup_that_has_run_out_begins_anew(browser: Client, root: User) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        password(browser)
        shown = shown_secret(get(browser, ENROL))
        clock.shift(timedelta(minutes=9))
        password(browser)
        clock.shift(timedelta(minutes=2))
        assert post(browser, ENROL, code=factories.code(shown))["Location"] == ENROL
        assert not mfa.enrolled(root)


@pytest.mark.parametrize(("step", "sent"), [(CODE, LOGIN), (ENROL, ENROL)])
def test_a_second_factor_that_comes_or_goes_meanwhile_is_no_failure(
    browser: Client, root: User, monkeypatch: pytest.MonkeyPatch, step: str, sent: str
) -> None:
    """As when an admin resets it, or another window enrols, between the look at it and its use."""
    secret = factories.enrolled(root) if step == ENROL else "A" * 32
    password(browser)
    monkeypatch.setattr(mfa, "enrolled", lambda user: step == CODE)
    answer = post(browser, step, code=factories.code(secret))
    assert (answer.status_code, answer["Location"]) == (302, sent)
    assert not is_in(browser)


# --- a password that somebody else chose ---------------------------------------------------------
@pytest.mark.parametrize("enforced", [True, False])
def test_a_password_that_somebody_else_chose_must_be_changed_first(
    browser: Client, root: User, secret: str, settings: Settings, enforced: bool
) -> None:
    settings.ENFORCE_INITIAL_PASSWORD_CHANGE = enforced
    User.objects.filter(pk=root.pk).update(must_change_password=True)
    password(browser)
    page = post(browser, CODE, code=factories.code(secret))
    assert is_in(browser) is not enforced
    if enforced:
        assert page.status_code == 403
        assert 'href="/account/password/"' in text(page)
        assert get(browser, CODE)["Location"] == LOGIN


def test_who_must_change_the_password_can_enrol_but_not_enter(browser: Client, root: User, settings: Settings) -> None:
    settings.ENFORCE_INITIAL_PASSWORD_CHANGE = True
    User.objects.filter(pk=root.pk).update(must_change_password=True)
    password(browser)
    done = post(browser, ENROL, code=factories.code(shown_secret(get(browser, ENROL))))
    assert "Your backup codes" in text(done)
    assert mfa.enrolled(root)
    assert not is_in(browser)


# --- where one is sent afterwards ----------------------------------------------------------------
@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        ("/admin/audit/event/", "/admin/audit/event/"),
        ("/flower/", "/flower/"),
        ("https://testserver/flower/", "https://testserver/flower/"),
        ("//evil.example", "/admin/"),
        ("https://evil.example/", "/admin/"),
        ("http://testserver/admin/", "/admin/"),  # out of HTTPS
        ("/\\evil.example", "/admin/"),
        ("///evil.example", "/admin/"),
        ("javascript:alert(1)", "/admin/"),
        (" //evil.example", "/admin/"),
    ],
)
def test_nobody_is_led_to_another_host(browser: Client, secret: str, wanted: str, sent: str) -> None:
    there = browser.post(LOGIN, {"username": "root", "password": PASSWORD}, query_params={"next": wanted}, secure=True)
    arrived = browser.post(there["Location"], {"code": factories.code(secret)}, secure=True)
    assert arrived["Location"] == sent
    again = browser.get(LOGIN, query_params={"next": wanted}, secure=True)
    assert again["Location"] == sent


def test_the_way_to_enrolment_keeps_where_one_wants_to_go(browser: Client, root: User) -> None:
    there = password(browser, next="/flower/")["Location"]
    assert there == f"{ENROL}?next=%2Fflower%2F"
    done = post(browser, there, code=factories.code(shown_secret(get(browser, there))))
    assert 'href="/flower/"' in text(done)


# --- the end of a session ------------------------------------------------------------------------
def test_signing_out_ends_the_session_for_good(browser: Client, secret: str) -> None:
    sign_in(browser, secret)
    old = key(browser)
    assert get(browser, "/admin/logout/").status_code == 405
    assert is_in(browser)
    page = post(browser, "/admin/logout/")
    assert (page.status_code, "Signed out" in text(page)) == (200, True)
    browser.cookies[settings.SESSION_COOKIE_NAME] = old
    assert not is_in(browser)
    assert len(events(actions.AUTH_SIGNED_OUT)) == 1


def test_a_session_that_lies_unused_ends(browser: Client, secret: str) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        sign_in(browser, secret)
        clock.shift(timedelta(minutes=29))
        assert is_in(browser)
        clock.shift(timedelta(minutes=29))
        assert is_in(browser)
        clock.shift(timedelta(minutes=31))
        assert not is_in(browser)


def test_a_session_ends_after_eight_hours_however_busy(browser: Client, secret: str) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        sign_in(browser, secret)
        for _ in range(24):
            assert is_in(browser)
            clock.shift(timedelta(minutes=20))
        assert not is_in(browser)


def save(user: User, **changes: Any) -> None:
    for name, value in changes.items():
        setattr(user, name, value)
    user.save(update_fields=list(changes))


def update(user: User, **changes: Any) -> None:
    User.objects.filter(pk=user.pk).update(**changes)


def sql(user: User, **changes: Any) -> None:
    with connection.cursor() as cursor:
        for name, value in changes.items():
            cursor.execute(f"UPDATE identity_user SET {name} = %s WHERE id = %s", [value, user.pk])


CHANGES: dict[str, dict[str, Any]] = {
    "password": {"password": "argon2$another"},
    "e-mail": {"email": "new@example.com"},
    "role": {"role": "auditor"},
    "activity": {"is_active": False},
}


@pytest.mark.parametrize("how", [save, update, sql])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_who_somebody_is_ends_the_session_at_the_next_request(
    browser: Client, root: User, secret: str, change: dict[str, Any], how: Callable[..., None]
) -> None:
    sign_in(browser, secret)
    assert is_in(browser)
    how(root, **change)
    assert not is_in(browser)


def test_a_role_that_was_taken_and_given_back_leaves_the_old_session_dead(
    browser: Client, root: User, secret: str
) -> None:
    sign_in(browser, secret)
    update(root, role="investor")
    update(root, role="admin")
    assert not is_in(browser)


def reset_by_orm(device: MfaDevice) -> None:
    device.delete()


def replaced(device: MfaDevice) -> None:
    mfa.enrol_with(device.user, "A" * 32, by=accounts.SYSTEM, now=timezone.now())


def reset_by_update(device: MfaDevice) -> None:
    MfaDevice.objects.filter(pk=device.pk).update(confirmed_at=None)


def reset_by_sql(device: MfaDevice) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM identity_mfadevice WHERE user_id = %s", [device.user_id])


@pytest.mark.parametrize("how", [reset_by_orm, replaced, reset_by_update, reset_by_sql])
def test_a_change_of_the_second_factor_ends_the_session_at_the_next_request(
    browser: Client, secret: str, how: Callable[[MfaDevice], None]
) -> None:
    sign_in(browser, secret)
    how(MfaDevice.objects.get())
    assert not is_in(browser)


# --- the pages themselves ------------------------------------------------------------------------
def test_nothing_of_the_admin_is_kept_in_a_cache(browser: Client, secret: str) -> None:
    answers = [get(browser, LOGIN), password(browser, text="x"), password(browser), get(browser, CODE)]
    answers += [get(browser, address) for address in INSIDE]
    answers += [post(browser, CODE, code=factories.code(secret))]
    answers += [get(browser, address) for address in ("/admin/", "/admin/identity/user/", "/admin/jsi18n/")]
    for answer in answers:
        assert "no-store" in answer["Cache-Control"], answer


def test_the_admin_changes_no_passwords(browser: Client, secret: str) -> None:
    sign_in(browser, secret)
    for address in ("/admin/password_change/", "/admin/password_change/done/"):
        assert get(browser, address).status_code == 404
        assert post(browser, address, old_password=PASSWORD, new_password1="x", new_password2="x").status_code == 404
    assert "password_change" not in text(get(browser, "/admin/"))


def test_the_admin_bears_our_name(browser: Client, secret: str) -> None:
    assert "<title>Sign in | Strongroom</title>" in text(get(browser, LOGIN))
    sign_in(browser, secret)
    assert "Django" not in text(get(browser, "/admin/"))


@pytest.mark.parametrize(
    ("step", "field", "autocomplete"),
    [("login", "username", "username"), ("login", "password", "current-password"), ("code", "code", "one-time-code")],
)
def test_a_reader_by_keyboard_or_ear_is_served(
    browser: Client, secret: str, step: str, field: str, autocomplete: str
) -> None:
    refused = password(browser, text="wrong")
    if step == "code":
        password(browser)
        refused = post(browser, CODE, code="000000")
    page = text(refused)
    assert "<title>Error: " in page
    assert re.search(r'<p [^>]*id="refusal" role="alert">', page)
    assert f'<label for="{field}">' in page
    [tag] = re.findall(rf'<input id="{field}"[^>]*>', page)
    assert f'autocomplete="{autocomplete}"' in tag
    assert "refusal" in re.findall(r'aria-describedby="([^"]*)"', tag)[0].split()
    assert page.count(" autofocus") == 1
    assert page.count("<h1>") == 1


@pytest.mark.parametrize("method", ["put", "patch", "delete", "options"])
@pytest.mark.parametrize("address", [LOGIN, CODE, ENROL])
def test_the_steps_know_no_other_methods(browser: Client, address: str, method: str) -> None:
    assert getattr(browser, method)(address, secure=True).status_code == 405


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "a second"), (30, "30 seconds"), (119, "119 seconds"), (120, "2 minutes"), (3541, "60 minutes")],
)
def test_a_wait_is_told_in_words(seconds: int, words: str) -> None:
    assert site.span(seconds) == words
