"""Setting a password by a link, in a real browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from identity import links
from identity.models import Mail, User
from tests import factories
from tests.browser import Browser, browser

PAGE = "/account/password/"

pytestmark = [
    pytest.mark.all_only("needs Chromium"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("plain_static_files"),
]


@pytest.fixture(autouse=True)
def _this_server(settings: Settings, live_server: LiveServer) -> None:
    """Links lead to the server under test, and nobody is woken."""
    settings.PUBLIC_URL = live_server.url
    settings.AUDIT_WAKE = settings.MAIL_WAKE = ""


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[Browser]:
    """A tab of a new browser."""
    with browser(tmp_path) as opened:
        yield opened
        assert opened.violations == []


@pytest.fixture
def alice(transactional_db: None) -> User:
    """Has forgotten her password."""
    return factories.person("alice", "investor", password=factories.PASSWORD, email="alice@example.com")


def fill(tab: Browser, form: str, **fields: str) -> None:
    for name, text in fields.items():
        tab.run(f"document.getElementById({name!r}).value = {text!r}")
    tab.run(f"document.querySelector('#{form} button').click()")


def said(tab: Browser) -> str:
    """What the page says when its call has been answered."""
    tab.wait_for("document.getElementById('said').textContent !== ''")
    return str(tab.run("document.getElementById('said').textContent"))


def wrong(tab: Browser, field: str) -> str:
    return str(tab.run(f"document.getElementById('{field}-wrong').textContent"))


def shown(tab: Browser) -> list[str]:
    """The forms that can be seen."""
    found: list[str] = tab.run("[...document.forms].filter((form) => !form.hidden).map((form) => form.id)")
    return found


def test_a_link_sets_a_password_once(tab: Browser, live_server: LiveServer, alice: User) -> None:
    link = links.mint(alice, "reset")
    tab.open(link)
    assert tab.run("location.href") == f"{live_server.url}{PAGE}"
    assert shown(tab) == ["set"]
    tab.look("account-set")

    fill(tab, "set", new_password="purple otter cabinet", again="purple otter")
    assert wrong(tab, "again") == "This is not the same as above."
    fill(tab, "set", new_password="short", again="short")
    assert "below" in said(tab)
    assert "12 to 128 characters" in wrong(tab, "new_password")
    assert tab.run("document.activeElement.id") == "new_password"
    tab.look("account-refused")

    fill(tab, "set", new_password="purple otter cabinet", again="purple otter cabinet")
    tab.wait_for("!document.getElementById('next').hidden")
    assert said(tab) == "The password is set. Sign in with it."
    assert shown(tab) == []
    tab.look("account-done")
    alice.refresh_from_db()
    assert alice.check_password("purple otter cabinet")

    tab.open(f"{live_server.url}/")
    tab.open(link)
    fill(tab, "set", new_password="another otter cabinet", again="another otter cabinet")
    assert "not good any more" in said(tab)
    assert shown(tab) == ["ask"]
    tab.look("account-spent")


@pytest.mark.parametrize("fragment", ["", "#uid=x&secret=y", "#uid=1", "#secret=y", "#content"])
def test_without_a_link_one_can_ask_for_one(tab: Browser, live_server: LiveServer, alice: User, fragment: str) -> None:
    tab.open(f"{live_server.url}{PAGE}{fragment}")
    assert shown(tab) == ["ask"]
    fill(tab, "ask", email="alice@example")
    said(tab)
    assert wrong(tab, "email")
    fill(tab, "ask", email=" alice@example.com ")
    tab.wait_for("document.getElementById('ask').hidden")
    assert "a mail with a link is on its way" in said(tab)
    tab.look("account-asked")
    assert Mail.objects.get().kind == "password_reset_link"


def test_a_link_that_is_opened_over_the_open_page_is_taken(tab: Browser, live_server: LiveServer, alice: User) -> None:
    tab.open(f"{live_server.url}{PAGE}")
    tab.run(f"location.href = {links.mint(alice, 'invitation')!r}")
    tab.wait_for("!document.getElementById('set').hidden")
    assert tab.run("location.hash") == ""


def test_the_secret_is_neither_in_a_log_nor_in_the_browsers_history(
    tab: Browser, live_server: LiveServer, alice: User, caplog: pytest.LogCaptureFixture
) -> None:
    link = links.mint(alice, "reset")
    tab.open(link)
    tab.wait_for("!document.getElementById('set').hidden")
    tab.open(f"{live_server.url}/")
    assert tab.run("document.referrer") == ""
    visited = [entry["url"] for entry in tab.call("Page.getNavigationHistory")["entries"]]
    assert visited[1:] == [f"{live_server.url}{PAGE}", f"{live_server.url}/"]
    assert "GET /account/password/" in caplog.text
    assert link.rpartition("secret=")[2] not in caplog.text
