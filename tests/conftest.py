"""The cast and the props of every test.

alice owns documents; bob is another investor; eve attacks; ada is an admin; otto an auditor. Servers are
real: `./bin/test` starts PostgreSQL, Valkey, SeaweedFS and clamd and gives their addresses in the
environment.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client, RequestFactory
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from identity import sessions
from identity.models import User
from identity.session_store import SessionStore
from pipeline import breaker
from tests import factories
from tests.audit_bypass import flush_may_empty_the_log as flush_may_empty_the_log


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --all."""
    parser.addoption("--all", action="store_true", help="also run what a bare machine may lack or takes long")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without --all leave out the marked tests; the summary names them."""
    if config.getoption("--all"):
        return
    left_out = [item for item in items if item.get_closest_marker("all_only")]
    config.stash[_LEFT_OUT] = left_out
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("all_only")]


@pytest.fixture(scope="session", autouse=True)
def static_root() -> None:
    """Whitenoise warns of a folder that is not there; pages that need the files collect them."""
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


_LEFT_OUT = pytest.StashKey[list[pytest.Item]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name what was left out, and why."""
    left_out = config.stash.get(_LEFT_OUT, [])
    if not left_out:
        return
    terminalreporter.section("left out; ./bin/test --all runs them")
    for item in left_out:
        marker = item.get_closest_marker("all_only")
        why = marker.args[0] if marker and marker.args else "takes longer"
        terminalreporter.write_line(f"{item.nodeid}: {why}")


@pytest.fixture(autouse=True)
def nothing_is_known_to_be_away() -> None:
    """What one test has met is nothing to the next."""
    breaker.process.forget()


@pytest.fixture
def alice(db: None) -> User:
    """Owns documents."""
    return factories.person("alice", "investor")


@pytest.fixture
def bob(db: None) -> User:
    """Another investor, who may not see alice's."""
    return factories.person("bob", "investor")


@pytest.fixture
def eve(db: None) -> User:
    """An investor who attacks."""
    return factories.person("eve", "investor")


@pytest.fixture
def ada(db: None) -> User:
    """An admin."""
    return factories.person("ada", "admin")


@pytest.fixture
def otto(db: None) -> User:
    """An auditor."""
    return factories.person("otto", "auditor")


@pytest.fixture
def signed_in() -> Callable[[User], APIClient]:
    """Give a client that sends a token of somebody who has shown both factors."""

    def client(user: User) -> APIClient:
        api = APIClient()
        api.credentials(HTTP_AUTHORIZATION=f"Token {factories.token(user).text}")
        return api

    return client


@pytest.fixture
def api(alice: User, signed_in: Callable[[User], APIClient]) -> APIClient:
    """alice's client."""
    return signed_in(alice)


@pytest.fixture
def plain_static_files(settings: Settings) -> None:
    """Pages name their files without the manifest, which collectstatic writes and tests do without."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


@pytest.fixture
def admin_browser(ada: User, plain_static_files: None) -> Client:
    """A browser in which ada has shown both factors. How one gets there is for tests/identity/test_site.py."""
    factories.enrolled(ada)
    request = RequestFactory().post("/admin/login/code/")
    request.session = SessionStore()
    sessions.complete(request, ada, factor="totp", now=timezone.now())
    request.session.save()
    browser = Client()
    browser.cookies[settings.SESSION_COOKIE_NAME] = request.session.session_key or ""
    return browser
