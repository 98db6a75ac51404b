"""Browser sessions: what stands in the database opens nothing."""

import pytest
from django.contrib.sessions.models import Session

from identity.session_store import SessionStore

pytestmark = pytest.mark.django_db


def saved(**values: str) -> SessionStore:
    """A session with these values, in the database."""
    session = SessionStore()
    session.update(values)
    session.save()
    return session


def test_the_cookie_finds_its_session_and_the_row_does_not() -> None:
    session = saved(who="root")
    row = Session.objects.get()
    assert session.session_key not in (row.session_key, row.session_data)
    assert SessionStore(session.session_key).load() == {"who": "root"}
    assert SessionStore(row.session_key).load() == {}


def test_a_session_is_changed_and_not_doubled() -> None:
    session = saved(who="root")
    again = SessionStore(session.session_key)
    again["who"] = "ada"
    again.save()
    assert SessionStore(session.session_key)["who"] == "ada"
    assert Session.objects.count() == 1
    assert again.exists(session.session_key or "")


def test_a_new_key_leaves_nothing_under_the_old() -> None:
    session = saved(who="root")
    old = session.session_key
    session.cycle_key()
    assert SessionStore(old).load() == {}
    assert SessionStore(session.session_key).load() == {"who": "root"}
    assert Session.objects.count() == 1
    session.flush()
    assert not Session.objects.exists()


def test_a_key_that_a_visitor_chose_is_not_taken() -> None:
    session = SessionStore("planted" * 5)
    session["who"] = "root"
    session.save()
    assert session.session_key != "planted" * 5
