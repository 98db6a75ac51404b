"""Versions and alarms in Django's admin: seen, and requeued by an admin with a fresh second factor."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from identity.models import User
from pipeline.models import Alarm, DocumentVersion
from tests import factories
from tests.api.site_acts import inside
from tests.people import recorded

VERSIONS = "/admin/pipeline/documentversion/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def stuck(alice: User) -> DocumentVersion:
    """One that stands."""
    version = factories.begun(alice)
    now = timezone.now()
    DocumentVersion.objects.filter(pk=version.pk).update(stuck_reason="Cut off for a test.", stuck_at=now, attempts=6)
    return version


def get(browser: Client, path: str) -> str:
    """A page's text."""
    page = browser.get(path, secure=True)
    assert page.status_code == 200
    return page.content.decode()


def requeue(browser: Client, *versions: DocumentVersion, path: str = VERSIONS) -> Any:
    """Choose them in the list, and the act."""
    body = {"action": "requeue", "index": "0", "_selected_action": [str(version.pk) for version in versions]}
    return browser.post(path, body, secure=True)


def stands(version: DocumentVersion) -> bool:
    """Whether it is still stuck."""
    version.refresh_from_db()
    return bool(version.stuck_reason)


def test_the_list_says_why_it_stands_and_finds_it(admin_browser: Client, stuck: DocumentVersion, bob: User) -> None:
    other = factories.begun(bob)
    assert "Cut off for a test." in get(admin_browser, VERSIONS)
    found = get(admin_browser, f"{VERSIONS}?stalled=stuck")
    assert str(stuck.pk) in found
    assert str(other.pk) not in found


@pytest.mark.parametrize(
    ("query", "changes"),
    [
        ("late", {"late_at": timezone.now() - timedelta(hours=1)}),
        ("queueing", None),
    ],
)
def test_the_late_and_the_waiting_are_found(
    admin_browser: Client, alice: User, settings: Any, query: str, changes: dict[str, Any] | None
) -> None:
    settings.OWNER_PLACES = 1
    first = factories.received(alice)
    version = factories.received(alice, name="Second")
    if changes:
        DocumentVersion.objects.filter(pk=version.pk).update(entered_at=timezone.now(), **changes)
    found = get(admin_browser, f"{VERSIONS}?stalled={query}")
    assert str(version.pk) in found
    assert str(first.pk) not in found


def test_an_admin_requeues_the_chosen(admin_browser: Client, ada: User, stuck: DocumentVersion, bob: User) -> None:
    ordinary = factories.begun(bob)
    answer = requeue(admin_browser, stuck, ordinary)
    assert (answer.status_code, answer["Location"]) == (302, VERSIONS)
    assert not stands(stuck)
    (leaf,) = recorded("version.requeued")
    assert leaf["actor"] == {"kind": "user", "uid": str(ada.pk)}
    assert leaf["object"]["uid"] == str(stuck.pk)
    assert "1 requeued. 1 neither stood still nor were late." in get(admin_browser, VERSIONS)


def test_the_page_of_a_version_that_stands_has_a_button_and_another_has_none(
    admin_browser: Client, stuck: DocumentVersion, bob: User
) -> None:
    address = f"{VERSIONS}?q={stuck.pk}"
    page = get(admin_browser, f"{VERSIONS}{stuck.pk}/change/")
    assert f'action="{address}"' in page
    assert ">Requeue</button>" in page
    assert ">Requeue</button>" not in get(admin_browser, f"{VERSIONS}{factories.begun(bob).pk}/change/")
    assert requeue(admin_browser, stuck, path=address).status_code == 302
    assert not stands(stuck)


def test_it_takes_a_fresh_second_factor(admin_browser: Client, ada: User, stuck: DocumentVersion) -> None:
    secret = factories.enrolled(ada)
    later = timezone.now() + timedelta(minutes=16)
    with time_machine.travel(later, tick=False):
        browser = _signed_in(ada, since=later - timedelta(minutes=15))
        asked = requeue(browser, stuck)
        assert asked["Location"] == f"/admin/step-up/?next={VERSIONS.replace('/', '%2F')}"
        assert stands(stuck)
        shown = browser.post(asked["Location"], {"code": factories.code(secret)}, secure=True)
        assert (shown.status_code, shown["Location"]) == (302, VERSIONS)
        assert requeue(browser, stuck).status_code == 302
    assert not stands(stuck)


def _signed_in(user: User, *, since: Any) -> Client:
    """A browser in which somebody has shown both factors at that moment."""
    with time_machine.travel(since, tick=False):
        return inside(user)


def test_nothing_else_is_changed_there(admin_browser: Client, stuck: DocumentVersion) -> None:
    before = DocumentVersion.objects.filter(pk=stuck.pk).values().get()
    body = {"action": "delete_selected", "index": "0", "_selected_action": [str(stuck.pk)], "post": "yes"}
    admin_browser.post(VERSIONS, body, secure=True)
    assert admin_browser.post(f"{VERSIONS}{stuck.pk}/change/", {"stuck_reason": ""}, secure=True).status_code == 403
    assert admin_browser.get(f"{VERSIONS}add/", secure=True).status_code == 403
    assert DocumentVersion.objects.filter(pk=stuck.pk).values().get() == before


def test_alarms_are_seen_and_found_by_whether_they_stand(admin_browser: Client, stuck: DocumentVersion) -> None:
    now = timezone.now()
    altered = Alarm.objects.create(kind="altered", object="documents/a/1", version=stuck, words="Another hash.")
    Alarm.objects.create(kind="stray", object="documents/b/2", words="Nobody's.", resolved_at=now)
    standing = get(admin_browser, "/admin/pipeline/alarm/?stands=yes")
    assert "documents/a/1" in standing
    assert "documents/b/2" not in standing
    assert "documents/b/2" in get(admin_browser, "/admin/pipeline/alarm/?stands=no")
    assert "Another hash." in get(admin_browser, f"/admin/pipeline/alarm/{altered.pk}/change/")
    assert admin_browser.post(f"/admin/pipeline/alarm/{altered.pk}/change/", {}, secure=True).status_code == 403
    assert recorded("document.read")[-1]["object"] == {"kind": "version", "uid": str(stuck.pk)}


def test_a_look_at_a_stray_is_recorded_too(admin_browser: Client) -> None:
    stray = Alarm.objects.create(kind="stray", object="documents/b/2", words="Nobody's.")
    get(admin_browser, f"/admin/pipeline/alarm/{stray.pk}/change/")
    assert recorded("document.read")[-1]["object"] == {"kind": "alarm", "uid": str(stray.pk)}
