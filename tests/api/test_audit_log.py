"""/api/audit/log/: the log as C2SP tlog-tiles, as far as it is published."""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from api import rates
from audit import checkpoint, tiles, verify
from audit.models import Checkpoint, Outbox
from identity.models import User
from tests.audit import bucketed
from tests.audit.bucketed import ORIGIN, START
from tests.audit.conftest import log_in_bucket as log_in_bucket
from tests.people import refusal

Client = Callable[[User], APIClient]
SIZE = 256 + 44
LOG = "/api/audit/log/"
pytestmark = pytest.mark.django_db


@pytest.fixture
def published(log_in_bucket: None) -> Checkpoint:
    """A log of 300 events is published; ten more wait for the next checkpoint."""
    bucketed.grow(SIZE)
    newest = checkpoint.publish(now=START)
    assert newest
    bucketed.grow(10)
    return newest


@pytest.fixture
def otto_reads(signed_in: Client, otto: User) -> APIClient:
    """An auditor's client."""
    return signed_in(otto)


def got(client: APIClient, path: str) -> Any:
    """The answer to a path of the log."""
    return client.get(LOG + path)


def test_the_checkpoint_is_the_note_that_was_published(published: Checkpoint, otto_reads: APIClient) -> None:
    answer = got(otto_reads, "checkpoint")
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["Cache-Control"] == "no-store"
    opened = verify.open_checkpoint(answer.content.decode(), bucketed.keys())
    assert (opened.origin, opened.size, opened.root) == (ORIGIN, SIZE, bytes(published.root))


def test_where_nothing_is_published_there_is_nothing(otto_reads: APIClient) -> None:
    assert refusal(got(otto_reads, "checkpoint")) == (404, "not_found")
    assert refusal(got(otto_reads, "tile/0/000")) == (404, "not_found")


@pytest.mark.usefixtures("published")
def test_every_file_is_what_lies_in_the_bucket(otto_reads: APIClient) -> None:
    for path, body in bucketed.files().items():
        answer = got(otto_reads, path)
        assert answer.status_code == 200, path
        assert answer.content == body
        if path != "checkpoint":
            assert answer["Content-Type"] == "application/octet-stream"


@pytest.mark.usefixtures("published")
def test_a_client_rebuilds_the_log_from_its_tiles(published: Checkpoint, otto_reads: APIClient) -> None:
    bundle = got(otto_reads, "tile/entries/000").content + got(otto_reads, "tile/entries/001.p/44").content
    hashes = got(otto_reads, "tile/0/000").content + got(otto_reads, "tile/0/001.p/44").content
    leaves = list(bucketed._unpacked(bundle))
    assert len(leaves) == SIZE
    assert b"".join(map(verify.leaf_hash, leaves)) == hashes
    assert got(otto_reads, "tile/1/000.p/1").content == tiles.hashes(1, 0, 1)


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    "path",
    [
        *("tile/0/001.p/45", "tile/0/001", "tile/0/002", "tile/entries/001.p/45", "tile/entries/001"),  # not published
        *("tile/1/000", "tile/1/000.p/2", "tile/2/000.p/1", "tile/63/000.p/1", "tile/64/000.p/1", "tile/99/000"),
        *("tile/0/0", "tile/0/00", "tile/0/0000", "tile/0/x000/000", "tile/0/x00/000", "tile/0/000/000", "tile/0/"),
        *(
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/1000",
            "tile/0/000.p/",
            "tile/0/000.p",
        ),
        *("tile/00/000", "tile/-1/000", "tile/x/000", "tile/1a/000", "tile/0/-01", "tile/0/abc", "tile/0/000%00"),
        *("tile/0/x001/x234/067", "tile/0/" + "x999/" * 6 + "999", "tile/0/" + "x999/" * 60 + "999", "tile/0"),
        *(
            "tile/0/\u0660\u0660\u0660",
            "tile/\u0660/000",
            "tile/0/000.p/\u0664",
            "tile/entries/",
            "tile/entries/0",
            "tile/entries/000%0a",
        ),
        *("tile/entries/000/", "tile/0/000/", "checkpoint/", "tile/0/000.p/44/", "tile/data/000", ""),
    ],
)
def test_what_is_malformed_or_not_yet_published_is_404(otto_reads: APIClient, path: str) -> None:
    answer = got(otto_reads, path)
    assert refusal(answer) == (404, "not_found")


@pytest.mark.usefixtures("published")
def test_a_full_tile_is_kept_for_ever_and_a_partial_one_is_not(otto_reads: APIClient, settings: Settings) -> None:
    mine, anybodys = (f"{whose}, max-age=31536000, immutable" for whose in ("private", "public"))
    for path in ("tile/0/000", "tile/entries/000"):
        assert got(otto_reads, path)["Cache-Control"] == mine
    for path in ("tile/0/001.p/44", "tile/0/000.p/3", "tile/entries/001.p/44"):
        assert got(otto_reads, path)["Cache-Control"] == "no-store"
    settings.AUDIT_LOG_PUBLIC = True
    assert got(otto_reads, "tile/0/000")["Cache-Control"] == anybodys
    assert got(otto_reads, "tile/entries/000")["Cache-Control"] == mine


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("accepted", ["*/*", "application/octet-stream", "text/plain", "image/png"])
def test_the_files_come_whatever_a_client_accepts(otto_reads: APIClient, accepted: str) -> None:
    for path in ("checkpoint", "tile/0/000", "tile/entries/000"):
        assert otto_reads.get(LOG + path, headers={"Accept": accepted}).status_code == 200


@pytest.mark.usefixtures("published")
def test_only_those_who_read_the_log_may_follow_it(signed_in: Client, alice: User, ada: User) -> None:
    for path in ("checkpoint", "tile/0/000", "tile/entries/000"):
        assert got(APIClient(), path).status_code == 401
        assert got(signed_in(alice), path).status_code == 403
        assert got(signed_in(ada), path).status_code == 200


@pytest.mark.usefixtures("published")
def test_a_public_log_shows_anybody_its_hashes_and_never_its_events(
    signed_in: Client, alice: User, settings: Settings
) -> None:
    settings.AUDIT_LOG_PUBLIC = True
    for client in (APIClient(), signed_in(alice)):
        for path in ("checkpoint", "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"):
            assert got(client, path).status_code == 200
        assert got(client, "tile/entries/000").status_code in {401, 403}


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    ("theirs", "anothers"),
    [(["192.0.2.1"] * 4, "192.0.2.2"), (["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4"], "2001:db8:1::1")],
)
def test_strangers_are_counted_by_their_address(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, theirs: list[str], anothers: str
) -> None:
    settings.AUDIT_LOG_PUBLIC = True
    monkeypatch.setattr(rates, "STRANGERS_PER_MINUTE", 3)
    answers = [APIClient().get(f"{LOG}checkpoint", REMOTE_ADDR=each) for each in theirs]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert int(answers[-1]["Retry-After"]) > 0
    assert APIClient().get(f"{LOG}checkpoint", REMOTE_ADDR=anothers).status_code == 200


@pytest.mark.usefixtures("published")
def test_following_leaves_no_events_which_would_never_end(otto_reads: APIClient) -> None:
    before = Outbox.objects.count()
    for path in ("checkpoint", "tile/0/000", "tile/entries/000"):
        assert got(otto_reads, path).status_code == 200
    assert Outbox.objects.count() == before
