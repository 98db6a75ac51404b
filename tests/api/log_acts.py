"""What calls about the log itself are to leave in it: looks at one event, and erasures. Beside tests/api/acts.py."""

from typing import Any

from django.utils import timezone

from audit import checkpoint, sequencer
from audit.models import Event
from identity import acts, erasures
from tests import factories
from tests.api.acts import REASON, Left, Table, World, entering, name
from tests.people import post

ACTS: Table = []
leaves = entering(ACTS)
IN_BUCKET = ("/proof/", "/audit/log/")  # what these calls show must have been published


def event_of_carol(world: World) -> Event:
    """Something of hers that has its place in the log; with her address, because she did it by a call."""
    world.client(world.carol).get(f"/api/documents/{factories.begun(world.carol.user).pk}/history/")
    while sequencer.sequence():
        pass
    return Event.objects.latest("seq")


def looked_at(world: World, event: Event, rest: str = "") -> Left:
    """rhea looks at it."""
    answer = world.client(world.rhea).get(f"/api/auditlogs/{event.seq}/{rest}")
    return Left(answer, name(world.rhea.user), f"event:{event.seq}", name(world.carol.user))


@leaves("GET /api/auditlogs/<int:seq>/", "log.revealed")
def _(world: World) -> Left:
    return looked_at(world, event_of_carol(world))


@leaves("GET /api/auditlogs/<int:seq>/leaf/", "log.read")
def _(world: World) -> Left:
    return looked_at(world, event_of_carol(world), "leaf/")


@leaves("GET /api/auditlogs/<int:seq>/proof/", "log.read")
def _(world: World) -> Left:
    event = event_of_carol(world)
    checkpoint.publish(now=timezone.now())
    return looked_at(world, event, "proof/")


def asked_for(world: World) -> Any:
    """rhea asks for the erasure of carol, whose account she has deactivated."""
    acts.deactivate(world.rhea.user, world.carol.user, **REASON, now=timezone.now())
    return post(world.client(world.rhea), "erasures/", {"user_id": world.carol.user.pk, **REASON})


def decided(world: World, rest: str) -> Left:
    """ruth decides."""
    asked_for(world)
    ruth, asked = world.person("ruth", "admin"), erasures.requests().get()
    answer, who = post(world.client(ruth), f"erasures/{asked.pk}/{rest}/"), name(world.carol.user)
    return Left(answer, name(ruth.user), who, who)


@leaves("POST /api/erasures/", "erasure.requested")
def _(world: World) -> Left:
    answer, who = asked_for(world), name(world.carol.user)
    return Left(answer, name(world.rhea.user), who, who)


@leaves("POST /api/erasures/<uuid:id>/approve/", "erasure.approved")
def _(world: World) -> Left:
    return decided(world, "approve")


@leaves("POST /api/erasures/<uuid:id>/refuse/", "erasure.refused")
def _(world: World) -> Left:
    return decided(world, "refuse")


_TILES = "hashes or events without their personal part, in bulk, as the lists show them; whoever follows asks for each"
NOTHING = {
    "GET /api/auditlogs/": "a list, without personal parts; to read it would lengthen it",
    "GET /api/audit/log/checkpoint": _TILES,
    "GET /api/audit/log/tile/entries/<path:place>": _TILES,
    "GET /api/audit/log/tile/<str:level>/<path:place>": _TILES,
    "GET /api/erasures/": "a list: it shows what is needed to find one",
}
