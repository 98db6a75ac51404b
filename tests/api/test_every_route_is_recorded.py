"""Every route, by every method: a call that changes something or shows something sensitive leaves its event.

The tables (tests/api/acts.py, log_acts.py, site_acts.py) say which event, and have each call; a route that is in none
of them fails here.
"""

import json
from typing import Any
from uuid import uuid4

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from audit import actions, checkpoint, private, sequencer
from audit.models import Event, Outbox
from tests import factories
from tests.api import acts, log_acts, site_acts
from tests.api.acts import Act, World
from tests.audit.conftest import log_in_bucket as log_in_bucket
from tests.people import Person, bearer

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]

ALL = [*acts.ACTS, *log_acts.ACTS, *site_acts.ACTS]
NOTHING = {**acts.NOTHING, **log_acts.NOTHING, **site_acts.NOTHING}
FILLED_IN = {"<str:doc_type>": "statement", "<str:level>": "0", "<path:place>": "000.p/1"}
PERSONAL = ("@", "127.0.0.1", "carol", "rhea", "statement.pdf", "Statement", "asked for it")


@pytest.fixture
def world(somebody: Any, request: pytest.FixtureRequest) -> World:
    """The cast; and a bucket without a log, for calls about what is published."""
    if any(part in request.node.callspec.params["call"] for part in log_acts.IN_BUCKET):
        request.getfixturevalue("log_in_bucket")
    return World(somebody)


def calls(of: URLResolver | None = None, before: str = "/") -> set[str]:
    """Each method of each route of the API, and each route outside it by GET."""
    found = set()
    for pattern in (of or get_resolver()).url_patterns:
        route = before + str(pattern.pattern).removeprefix("^").removesuffix("$")
        if isinstance(pattern, URLResolver):
            found |= calls(pattern, route)
        elif isinstance(pattern, URLPattern):
            found |= {f"{method} {route}" for method in _methods(pattern)}
    return found


def _methods(pattern: URLPattern) -> list[str]:
    view = getattr(pattern.callback, "cls", None)
    if view is None:
        return ["GET"]
    return [method.upper() for method in view.http_method_names if method != "options" and hasattr(view, method)]


def leaves_of(action: str = "") -> list[dict[str, Any]]:
    """What is recorded, of this action."""
    found = [json.loads(row.leaf) for row in Outbox.objects.order_by("id")]
    return [leaf for leaf in found if action in ("", leaf["action"])]


def test_every_call_of_the_site_is_in_a_table() -> None:
    recorded = {call for call, _, _ in ALL} | set(site_acts.REFUSED)
    posts_outside = {call for call in recorded if not call.startswith("GET") and " /api/" not in call}
    # Only to be posted to: their GET is refused as a method.
    only_posted = {"GET /admin/logout/"}
    assert calls() - only_posted == (recorded - posts_outside) | set(NOTHING)
    assert not {call for call in NOTHING if call in recorded}


@pytest.mark.parametrize(("call", "action", "act"), ALL, ids=[f"{call} {action}" for call, action, _ in ALL])
def test_the_call_leaves_its_event(world: World, call: str, action: str, act: Act) -> None:
    left = act(world)
    assert left.answer.status_code < (500 if left.outcome == "failure" or action in SAID_NO else 400)
    event = leaves_of(action)[-1]
    told = {key: f"{event[key]['kind']}:{event[key]['uid']}" for key in ("actor", "object", "subject") if key in event}
    assert told == {
        "actor": left.actor,
        "object": left.object,
        **({"subject": left.subject} if left.subject else {}),
    }
    assert event["outcome"] == left.outcome
    assert event["request_id"] == left.answer["X-Request-ID"]
    assert event["private"]  # the address, at least
    for leaf in leaves_of():
        line = leaf["details"]
        assert line
        assert line.splitlines() == [line]
        assert not [word for word in PERSONAL if word in json.dumps(leaf)], leaf


def test_the_address_and_the_browser_are_in_the_personal_part(carol: Person) -> None:
    client, seen = bearer(factories.token(carol.user).text), {"ip": "192.0.2.7", "user_agent": "Firefox"}
    client.get(f"/api/documents/{uuid4()}/", REMOTE_ADDR=seen["ip"], HTTP_USER_AGENT=seen["user_agent"])
    while sequencer.sequence():
        pass
    event = Event.objects.latest("seq")
    assert event.action == "access.denied"
    assert private.reveal(event) == seen
    assert not [value for value in seen.values() if value in event.leaf]


SAID_NO = {"auth.password_accepted", "mfa.locked"}  # of which the answer is a refusal, or a demand for more


@pytest.mark.parametrize("call", [*acts.NOTHING, *log_acts.NOTHING])
def test_what_is_said_to_leave_nothing_leaves_nothing(world: World, call: str) -> None:
    client, path = world.client(world.rhea), call.removeprefix("GET ")
    for argument, value in FILLED_IN.items():
        path = path.replace(argument, value)
    if "/audit/log/" in path:
        sequencer.sequence()
        checkpoint.publish(now=timezone.now())
    before = Outbox.objects.count()
    assert client.get(path).status_code == 200
    assert Outbox.objects.count() == before


def test_the_tables_name_known_actions_alone() -> None:
    assert {action for _, action, _ in ALL} <= actions.ALL
