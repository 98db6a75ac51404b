"""GET /api/auditlogs/."""

from collections.abc import Callable

import pytest
from rest_framework.test import APIClient

from audit import sequencer
from identity.models import User
from tests import factories

Client = Callable[[User], APIClient]


@pytest.fixture
def logged(alice: User, bob: User) -> None:
    """Something in the log."""
    factories.begun(alice)
    factories.begun(bob)
    while sequencer.sequence():
        pass


@pytest.mark.usefixtures("logged")
def test_rows_say_who_what_and_when(signed_in: Client, ada: User, alice: User) -> None:
    rows = signed_in(ada).get("/api/auditlogs/", {"user_id": alice.pk}).json()
    assert rows
    row = rows[0]
    assert row["user"] == {"id": alice.pk, "username": "alice"}
    assert row["action"] == "version.requested"
    assert isinstance(row["details"], str)
    assert isinstance(row["id"], int)
    assert row["timestamp"]


@pytest.mark.usefixtures("logged")
def test_it_filters_by_the_beginning_of_the_action(signed_in: Client, ada: User) -> None:
    rows = signed_in(ada).get("/api/auditlogs/", {"action": "version."}).json()
    assert {row["action"] for row in rows} == {"version.requested"}


def test_investors_may_not_read_it_and_auditors_may(signed_in: Client, alice: User, otto: User) -> None:
    assert signed_in(alice).get("/api/auditlogs/").status_code == 403
    assert signed_in(otto).get("/api/auditlogs/").status_code == 200


@pytest.mark.parametrize("query", [{"user_id": "abc"}, {"user_id": "-1"}, {"user_id": "9" * 40}, {"colour": "red"}])
def test_a_bad_filter_is_400_with_its_field(signed_in: Client, ada: User, query: dict[str, str]) -> None:
    answer = signed_in(ada).get("/api/auditlogs/", query)
    assert answer.status_code == 400
    assert set(answer.json()["fields"]) == set(query)
