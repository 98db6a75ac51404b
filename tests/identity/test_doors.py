"""Flower's door asks whose session it is; only an admin's with both factors passes, and once it is on the record."""

import json
import threading
from datetime import timedelta

import pytest
import time_machine
from django.conf import settings
from django.db import connections
from django.test import Client, RequestFactory
from django.utils import timezone
from pytest_django import Settings

from audit import actions
from audit.models import Outbox
from identity import sessions
from identity.models import User
from identity.session_store import SessionStore
from tests import factories

ASK = "/internal/flower-auth/"

pytestmark = pytest.mark.django_db


def ask(browser: Client) -> int:
    return browser.get(ASK, secure=True).status_code


def entries() -> int:
    """How often somebody's entry is on the record."""
    return sum(
        json.loads(leaf)["action"] == actions.FLOWER_ENTERED for leaf in Outbox.objects.values_list("leaf", flat=True)
    )


def complete(user: User) -> Client:
    """A browser with a session of both factors, whoever it is: later the console gives them to others too."""
    factories.enrolled(user)
    request = RequestFactory().get("/")
    request.session = SessionStore()
    sessions.complete(request, user, factor="totp", now=timezone.now())
    request.session.save()
    browser = Client()
    browser.cookies[settings.SESSION_COOKIE_NAME] = request.session.session_key or ""
    return browser


def test_an_admin_passes_and_is_recorded_once_per_session(admin_browser: Client, ada: User) -> None:
    assert [ask(admin_browser) for _ in range(3)] == [204] * 3
    assert entries() == 1
    leaf = json.loads(Outbox.objects.latest("id").leaf)
    assert (leaf["actor"], leaf["outcome"]) == ({"kind": "user", "uid": str(ada.pk)}, "success")


def test_another_session_of_the_same_admin_is_recorded_again(admin_browser: Client, ada: User) -> None:
    ask(admin_browser)
    assert ask(complete(factories.person("ada2", "admin"))) == 204
    assert entries() == 2


def test_a_stranger_is_nobody() -> None:
    assert ask(Client()) == 401
    browser = Client()
    browser.cookies[settings.SESSION_COOKIE_NAME] = "x" * 32
    assert ask(browser) == 401


def test_a_password_alone_is_nobody(plain_static_files: None) -> None:
    root = factories.person("root", "admin", password=factories.PASSWORD)
    browser = Client()
    browser.post("/admin/login/", {"username": "root", "password": factories.PASSWORD}, secure=True)
    assert ask(browser) == 401
    factories.enrolled(root)
    browser.post("/admin/login/", {"username": "root", "password": factories.PASSWORD}, secure=True)
    assert ask(browser) == 401


def test_a_login_by_any_other_code_is_nobody(ada: User) -> None:
    browser = Client()
    browser.force_login(ada)
    assert ask(browser) == 401


@pytest.mark.parametrize("role", ["investor", "auditor"])
def test_somebody_who_is_no_admin_is_refused(role: str) -> None:
    assert ask(complete(factories.person(role, role))) == 403
    assert entries() == 0


def test_a_token_is_no_session(ada: User) -> None:
    assert (
        Client().get(ASK, secure=True, headers={"authorization": f"Token {factories.token(ada).text}"}).status_code
        == 401
    )


@pytest.mark.parametrize("change", [{"role": "investor"}, {"is_active": False}, {"email": "new@example.com"}])
def test_what_ends_the_session_closes_the_door_at_the_next_request(
    admin_browser: Client, ada: User, change: dict[str, object]
) -> None:
    assert ask(admin_browser) == 204
    User.objects.filter(pk=ada.pk).update(**change)
    assert ask(admin_browser) == 401


def test_an_unused_session_closes_the_door(admin_browser: Client) -> None:
    with time_machine.travel(timezone.now() + timedelta(minutes=31), tick=False):
        assert ask(admin_browser) == 401


def test_signing_out_closes_the_door(admin_browser: Client) -> None:
    assert ask(admin_browser) == 204
    admin_browser.post("/admin/logout/", secure=True)
    assert ask(admin_browser) == 401


def test_the_answer_is_empty_and_in_no_cache(admin_browser: Client) -> None:
    for browser in (admin_browser, Client()):
        answer = browser.get(ASK, secure=True)
        assert answer.content == b""
        assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize("method", ["post", "put", "delete", "options"])
def test_the_door_only_asks(admin_browser: Client, method: str) -> None:
    assert getattr(admin_browser, method)(ASK, secure=True).status_code == 405


@pytest.mark.django_db(transaction=True)
def test_many_requests_at_once_are_one_entry(admin_browser: Client) -> None:
    """A page of Flower asks for its files at the same time."""
    cookie = admin_browser.cookies[settings.SESSION_COOKIE_NAME].value
    start, answers = threading.Barrier(8), []

    def asks() -> None:
        browser = Client()
        browser.cookies[settings.SESSION_COOKIE_NAME] = cookie
        start.wait()
        answers.append(ask(browser))
        connections.close_all()

    threads = [threading.Thread(target=asks) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [204] * 8
    assert entries() == 1


def test_flower_is_found_where_the_settings_say(settings: Settings) -> None:
    settings.FLOWER_URL = "http://127.0.0.1:5555/flower/"
    answer = Client().get("/flower/", secure=True)
    assert (answer.status_code, answer["Location"]) == (302, settings.FLOWER_URL)
    assert Client().post("/flower/", secure=True).status_code == 405


@pytest.mark.parametrize("path", ["/flower/", "/flower/api/workers", "/flower/metrics"])
def test_where_a_proxy_is_the_door_there_is_nothing_here(settings: Settings, path: str) -> None:
    settings.FLOWER_URL = ""
    assert Client().get(path, secure=True).status_code == 404
