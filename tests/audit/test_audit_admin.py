"""The log in Django's admin: seen by admins, changed by nobody, and never counted to its end."""

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import path

from audit import actions, sequencer, trail
from audit.models import Event
from audit.trail import Ref
from identity import accounts

urlpatterns = [path("admin/", admin.site.urls)]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

_PLAIN = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}


@pytest.fixture
def browser() -> Client:
    """A browser in which an admin is signed in, and two events in the log."""
    client = Client()
    client.force_login(accounts.create(username="root", role="admin", actor=accounts.SYSTEM))
    trail.record(actions.DOCUMENT_READ, actor=Ref("user", "1"), object=Ref("document", "d"), details="Read.")
    sequencer.sequence()
    return client


@override_settings(STORAGES=_PLAIN)
def test_an_admin_reads_the_log(browser: Client) -> None:
    page = browser.get("/admin/audit/event/", {"action": "document.read"}, secure=True)
    assert page.status_code == 200
    assert "Read." in page.content.decode()
    leaf_hash = bytes(Event.objects.get(seq=1).leaf_hash).hex()
    assert leaf_hash in browser.get("/admin/audit/event/1/change/", secure=True).content.decode()


@override_settings(STORAGES=_PLAIN)
def test_the_log_is_counted_no_further_than_ten_thousand(browser: Client) -> None:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        browser.get("/admin/audit/event/", secure=True)
    counts = [q["sql"] for q in queries if "COUNT(" in q["sql"] and "audit_event" in q["sql"]]
    assert counts
    assert all("LIMIT 10000" in count for count in counts)


@override_settings(STORAGES=_PLAIN)
def test_nothing_in_the_log_is_changed_in_the_admin(browser: Client) -> None:
    assert browser.get("/admin/audit/event/add/", secure=True).status_code == 403
    assert browser.post("/admin/audit/event/1/change/", {}, secure=True).status_code == 403
    assert browser.post("/admin/audit/event/1/delete/", {}, secure=True).status_code == 403
    body = {"action": "delete_selected", "_selected_action": ["1"]}
    browser.post("/admin/audit/event/", body, secure=True)
    assert Event.objects.count() == 2
