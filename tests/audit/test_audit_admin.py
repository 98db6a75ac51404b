"""The log in Django's admin: seen by admins, changed by nobody, and never counted to its end."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit import actions, sequencer, trail
from audit.models import Event
from audit.trail import Ref

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(admin_browser: Client) -> Client:
    """A browser in which an admin is signed in, and an event of a document in the log."""
    trail.record(actions.DOCUMENT_READ, actor=Ref("user", "1"), object=Ref("document", "d"), details="Read.")
    sequencer.sequence()
    return admin_browser


def test_an_admin_reads_the_log(browser: Client) -> None:
    page = browser.get("/admin/audit/event/", {"action": "document.read"}, secure=True)
    assert page.status_code == 200
    assert "Read." in page.content.decode()
    event = Event.objects.get(action="document.read")
    page = browser.get(f"/admin/audit/event/{event.seq}/change/", secure=True)
    assert bytes(event.leaf_hash).hex() in page.content.decode()


def test_the_log_is_counted_no_further_than_ten_thousand(browser: Client) -> None:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        browser.get("/admin/audit/event/", secure=True)
    counts = [q["sql"] for q in queries if "COUNT(" in q["sql"] and "audit_event" in q["sql"]]
    assert counts
    assert all("LIMIT 10000" in count for count in counts)


def test_nothing_in_the_log_is_changed_in_the_admin(browser: Client) -> None:
    assert browser.get("/admin/audit/event/add/", secure=True).status_code == 403
    assert browser.post("/admin/audit/event/1/change/", {}, secure=True).status_code == 403
    assert browser.post("/admin/audit/event/1/delete/", {}, secure=True).status_code == 403
    body = {"action": "delete_selected", "_selected_action": ["1"]}
    before = list(Event.objects.order_by("seq").values())
    browser.post("/admin/audit/event/", body, secure=True)
    assert list(Event.objects.order_by("seq").values()) == before
