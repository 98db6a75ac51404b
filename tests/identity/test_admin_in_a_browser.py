"""The admin's pages in a real browser: none breaks its own Content-Security-Policy."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.sessions.models import Session
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from config import urls
from identity.models import User
from identity.session_store import SessionStore
from pipeline.models import DocumentVersion
from tests import factories
from tests.browser import Browser, browser


def inline(request: HttpRequest) -> HttpResponse:
    """A page with a script and a style that the policy forbids."""
    return HttpResponse("<!doctype html><p style='color: red'>x</p><script>document.title = 'ran'</script>")


urlpatterns = [path("inline/", inline), path("", include(urls))]

pytestmark = [
    pytest.mark.all_only("needs Chromium"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls(__name__),
]


@pytest.fixture(autouse=True)
def _plain_static_files(settings: Settings) -> None:
    """The manifest is written by collectstatic, which the tests do without."""
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[Browser]:
    """A tab of a new browser."""
    with browser(tmp_path) as opened:
        yield opened


@pytest.fixture
def root(transactional_db: None) -> User:
    """An admin with a password, and no second factor yet."""
    return factories.person("root", "admin", password=factories.PASSWORD)


def pages(user: User) -> list[str]:
    """A list and a page of each kind."""
    models = [
        *("identity/user", "identity/apitoken", "identity/mfadevice", "identity/attempts", "identity/mail"),
        *("identity/rolerequest", "identity/adminact", "audit/event", "pipeline/documentversion"),
        "pipeline/alarm",
    ]
    return [*(f"{model}/" for model in models), f"identity/user/{user.pk}/change/", "identity/user/?q=root"]


def test_the_browser_reports_what_breaks_a_policy(tab: Browser, live_server: LiveServer) -> None:
    tab.open(f"{live_server.url}/inline/")
    assert len(tab.violations) == 2
    assert tab.run("document.title") == ""


def test_no_page_of_the_admin_breaks_its_policy(tab: Browser, live_server: LiveServer, root: User) -> None:
    tab.open(f"{live_server.url}/admin/")
    tab.look("password")
    tab.submit(username="root", password="wrong")
    tab.look("refused")
    tab.submit(username="root", password=factories.PASSWORD)
    tab.look("enrol")
    secret = tab.run("document.getElementById('secret').textContent")
    tab.submit(code="no code")
    tab.look("enrol-refused")
    tab.submit(code=factories.code(secret))
    tab.look("backup-codes")
    backup_code = tab.run("document.querySelector('.codes code').textContent")
    tab.follow("a.go")
    assert tab.run("location.pathname") == "/admin/"
    tab.look("index")
    for page in pages(root):
        tab.open(f"{live_server.url}/admin/{page}")
        assert tab.run("document.querySelector('#logout-form') !== null"), page
        tab.look(page.strip("/").replace("/", "-"))
    tab.follow("#logout-form button")
    tab.look("signed-out")
    tab.open(f"{live_server.url}/admin/")
    tab.submit(username="root", password=factories.PASSWORD)
    tab.look("code")
    tab.submit(code=backup_code)
    assert tab.run("document.querySelector('#logout-form') !== null")
    assert tab.violations == []


def test_what_stands_is_requeued_by_a_button_once_the_second_factor_was_shown_again(
    tab: Browser, live_server: LiveServer, root: User
) -> None:
    secret = factories.enrolled(root)
    version = factories.begun(factories.person("alice", "investor"))
    DocumentVersion.objects.filter(pk=version.pk).update(stuck_reason="Cut off for a test.")
    page = f"{live_server.url}/admin/pipeline/documentversion/{version.pk}/change/"
    tab.open(page)
    tab.submit(username="root", password=factories.PASSWORD)
    tab.submit(code=factories.code(secret, steps=-1))
    tab.look("stuck")
    signed_in_long_ago(Session.objects.get())
    tab.follow("form[action*=documentversion] button")
    assert tab.run("location.pathname") == "/admin/step-up/"
    tab.look("step-up")
    tab.submit(code=factories.code(secret))
    assert tab.run("location.search") == f"?q={version.pk}"
    tab.open(page)
    tab.follow("form[action*=documentversion] button")
    tab.look("requeued")
    version.refresh_from_db()
    assert version.stuck_reason == ""
    assert tab.violations == []


def signed_in_long_ago(session: Session) -> None:
    """The second factor of a browser's session was shown twenty minutes ago; the session itself is in use."""
    said = session.get_decoded()
    said["strongroom_mfa"]["at"] -= 20 * 60
    session.session_data = SessionStore().encode(said)
    session.save()


def test_a_sign_in_leads_on_to_flower_at_an_address_of_its_own(
    tab: Browser, live_server: LiveServer, root: User, settings: Settings
) -> None:
    settings.FLOWER_URL = live_server.url.replace("localhost", "127.0.0.1") + "/healthz"  # to a browser, another origin
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
    secret = factories.enrolled(root)
    tab.open(f"{live_server.url}/admin/login/?next=/flower/")
    tab.submit(username="root", password=factories.PASSWORD)
    tab.submit(code=factories.code(secret))
    assert tab.run("location.href") == settings.FLOWER_URL
    assert tab.violations == []
