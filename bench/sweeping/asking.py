"""What really asks: the reconciler's sweep, the scrub's looks, the list of the stuck, a scrape, an upload that begins.

Nothing here has a query of its own. S3 and the broker are asked as ever; the buckets are empty, so nothing is found.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.utils import timezone
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory, force_authenticate

from api import health, ops
from audit.trail import Ref
from bench.sweeping.rows import CROWDED
from identity.models import ApiToken, Role, TokenKind, User
from pipeline import gone, lifecycle, places, scrub, strays
from pipeline.models import DocumentVersion
from workers import broker, metrics, reconcile
from workers.celery import QUEUES

MOST_MS = 20.0


@dataclass(frozen=True)
class Act:
    """Something that is done again and again; `most` is the limit of each of its queries, in milliseconds."""

    name: str
    do: Callable[[], object]
    rounds: int
    most: float | None = MOST_MS
    rolled_back: bool = True


def acts() -> list[Act]:
    """Return all of them, on the tables as they are now."""
    return [
        Act("sweep", _sweep, 20),
        Act("sweep, broker away", reconcile._say_that_the_queue_is_away, 40),
        Act("scrub", _scrub, 30),
        *(Act(f"list: {name}", partial(_listed, asked), 50) for name, asked in _pages().items()),
        Act("requeue", _requeue, 40),
        Act("readyz", health._pipeline, 40),
        Act("scrape", _scrape, 40, most=None, rolled_back=False),
        Act("begin, the crowded owner", partial(_begin, CROWDED), 60),
        Act("begin, another", partial(_begin, 2), 60),
        Act("places", _places, 60),
    ]


def _sweep() -> None:
    for queue in QUEUES:  # nobody takes from them here, and a full one is gated
        broker.unmark(queue)
    reconcile.sweep()


def _scrub() -> None:
    """All but the reading of objects: there are none."""
    now = timezone.now()
    scrub.due(now=now, leave_out=[])
    scrub.since(now=now)
    gone.look(now=now)
    strays.look_again(now=now)
    for name in strays.WAYS:
        strays.step(name, now=now)


def _pages() -> dict[str, dict[str, str]]:
    """What an admin asks for; the cursor is the one behind a first page."""
    link = urlsplit(_listed({})["Link"].partition("<")[2].partition(">")[0])
    owner = DocumentVersion.objects.over_budget(timezone.now()).values_list("owner_id", flat=True)[0]
    return {
        "first page": {},
        "next page": {"cursor": parse_qs(link.query)["cursor"][0]},
        "stuck": {"kind": "stuck"},
        "late": {"kind": "late"},
        "altered": {"kind": "altered"},
        "of a status": {"status": "clean"},
        "of an owner": {"owner": str(owner)},
        "of an owner with none": {"owner": str(CROWDED)},
    }


def _request(asked: dict[str, str]) -> Any:
    request = APIRequestFactory().get("/api/ops/stuck/", asked, SERVER_NAME="127.0.0.1")
    user = User(pk=0, username="bench", role=Role.ADMIN)
    token: Any = ApiToken(user=user, kind=TokenKind.SESSION, mfa_at=timezone.now())  # the stubs know DRF's own alone
    force_authenticate(request, user, token)
    return request


def _listed(asked: dict[str, str]) -> Response:
    answer = ops.Stuck.as_view()(_request(asked))
    if answer.status_code != 200:
        raise SystemExit(f"the list answered {answer.status_code}: {answer.data}")
    return answer


def _requeue() -> None:
    stuck = DocumentVersion.objects.stuck().filter(status="validated").first()
    if stuck:
        lifecycle.requeue(stuck.pk, by=Ref("system", "bench"))


def _scrape() -> None:
    """In a thread, as the server does, whose connection it closes: but then nobody would see its queries."""
    list(metrics.Pipeline().collect())


def _begin(owner_id: int) -> None:
    owner = User.objects.get(pk=owner_id)
    lifecycle.begin(
        owner,
        name=f"bench {uuid.uuid4()}",
        doc_type="other",
        filename="a.pdf",
        content_type="application/pdf",
        size=1000,
    )


def _places() -> None:
    places.lock(CROWDED)
    places.free(CROWDED)
    places.fill(CROWDED, now=timezone.now())
