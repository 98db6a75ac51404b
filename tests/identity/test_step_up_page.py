"""The second factor once more, in the admin: asked for before an act, good for 15 minutes, in this browser alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.contrib.admin import site
from django.test import Client, RequestFactory
from django.utils import timezone

from identity import lockout, sessions
from identity.models import Attempts, User
from identity.session_store import SessionStore
from tests import factories
from tests.api.site_acts import inside
from tests.people import recorded

PAGE = "/admin/step-up/"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=15)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]


@pytest.fixture
def secret(ada: User) -> str:
    """The secret of ada's second factor."""
    return factories.enrolled(ada)


@pytest.fixture
def browser(ada: User, secret: str) -> Client:
    """A browser in which she showed it at noon."""
    with time_machine.travel(NOON, tick=False):
        return inside(ada)


def asked_again(browser: Client) -> bool:
    """Whether an act in this browser is sent to the page first."""
    request = RequestFactory().post("/admin/pipeline/documentversion/?q=x")
    request.session = SessionStore(browser.cookies[settings.SESSION_COOKIE_NAME].value)
    answer = site.ask_again(request)  # type: ignore[attr-defined]  # identity.site.MfaAdminSite's
    if answer is None:
        return False
    assert answer["Location"] == f"{PAGE}?next=%2Fadmin%2Fpipeline%2Fdocumentversion%2F%3Fq%3Dx"
    return True


def show(browser: Client, code: str, onward: str = "") -> Any:
    """Post a code."""
    return browser.post(PAGE + (f"?next={onward}" if onward else ""), {"code": code}, secure=True)


def test_the_sign_in_itself_is_fresh_for_a_quarter_of_an_hour(browser: Client) -> None:
    with time_machine.travel(LATER - timedelta(seconds=1), tick=False):
        assert not asked_again(browser)
    with time_machine.travel(LATER, tick=False):
        assert asked_again(browser)


@time_machine.travel(LATER, tick=False)
def test_a_code_is_good_for_another_and_leads_back(browser: Client, secret: str) -> None:
    before = browser.cookies[settings.SESSION_COOKIE_NAME].value
    answer = show(browser, factories.code(secret), "/admin/pipeline/alarm/")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/pipeline/alarm/")
    assert not asked_again(browser)
    assert browser.cookies[settings.SESSION_COOKIE_NAME].value != before  # ASVS 7.2.4
    assert not SessionStore(before).exists(before)
    (leaf,) = recorded("auth.stepped_up")
    assert leaf["facts"] == {"factor": "totp", "door": "admin"}


@time_machine.travel(LATER, tick=False)
def test_it_does_not_lengthen_the_session(browser: Client, ada: User, secret: str) -> None:
    show(browser, factories.code(secret))
    request = RequestFactory().get("/")
    request.session = SessionStore(browser.cookies[settings.SESSION_COOKIE_NAME].value)
    end = NOON + timedelta(hours=settings.ADMIN_SESSION_HOURS)
    with time_machine.travel(end, tick=False):
        assert sessions.holder(request, now=timezone.now()) is None


@time_machine.travel(LATER, tick=False)
def test_a_wrong_code_is_refused_and_counted(browser: Client) -> None:
    answer = show(browser, "000000")
    assert answer.status_code == 400
    assert 'role="alert"' in answer.content.decode()
    assert asked_again(browser)
    assert recorded("mfa.failed")[-1]["actor"]["kind"] == "user"


@time_machine.travel(LATER, tick=False)
def test_a_code_is_good_once(browser: Client, secret: str) -> None:
    assert show(browser, factories.code(secret)).status_code == 302
    assert show(browser, factories.code(secret)).status_code == 400


@time_machine.travel(LATER, tick=False)
def test_too_many_wrong_codes_make_one_wait(browser: Client, ada: User) -> None:
    key = lockout.second_factor(ada)[0].key
    lockout.charge(lockout.second_factor(ada), now=timezone.now())
    Attempts.objects.filter(key=key).update(not_before=timezone.now() + timedelta(minutes=1))
    answer = show(browser, "000000")
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0


@time_machine.travel(LATER, tick=False)
def test_it_leads_to_no_other_host(browser: Client, secret: str) -> None:
    assert show(browser, factories.code(secret), "https://evil.example/")["Location"] == "/admin/"


def test_a_stranger_is_sent_to_the_sign_in(db: None) -> None:
    answer = Client().get(PAGE, secure=True)
    assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, "/admin/login/")


@time_machine.travel(LATER, tick=False)
def test_another_browser_of_the_same_person_is_asked_all_the_same(browser: Client, ada: User, secret: str) -> None:
    with time_machine.travel(NOON, tick=False):
        other = inside(ada)
    show(browser, factories.code(secret))
    assert asked_again(other)
