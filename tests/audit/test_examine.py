"""What is examined of a log: each thing that is wrong is told once, with its place, and nothing hides another."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db.models import F, Value
from django.db.models.functions import Concat
from pytest_django import DjangoDbBlocker, Settings

from audit import bucket, checkpoint, examine, note, tiles, tree, verify
from audit.findings import SHOWN
from audit.models import Batch, Checkpoint, Event, State, Tile
from audit.trail import Ref
from tests.audit import attacks, bucketed
from tests.audit.bucketed import START, bypassed

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("log", "signing")]
SIZE = 700


@pytest.fixture(scope="module")
def log(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Seven hundred events, under two checkpoints."""
    with attacks.log(django_db_blocker, 400, SIZE):
        yield


@pytest.fixture
def signing(settings: Settings) -> None:
    """The log's name and key."""
    for name, value in attacks.SIGNING.items():
        setattr(settings, name, value)


@pytest.fixture
def bucket_kept() -> Iterator[None]:
    """The bucket is put back afterwards."""
    with attacks.bucket_kept():
        yield


def problems() -> list[str]:
    """What is wrong, in alphabetical order; the numbers of the rows of checkpoints are left out."""
    return sorted(re.sub(r"checkpoint \d+ ", "checkpoint ROW ", line) for line in examine.examine().problems)


def owner(act: Callable[[], object]) -> None:
    """Do it as the owner of the database."""
    with bypassed():
        act()


def test_a_log_that_nobody_touched_is_in_order() -> None:
    seen: list[int] = []
    found = examine.examine(progress=seen.append)
    assert (found.count, found.problems, found.remarks) == (0, [], [])
    assert (found.size, found.events, sum(seen)) == (SIZE, SIZE, SIZE)
    assert found.root == bytes(State.objects.get().root)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 512])
def test_a_log_of_any_length_is_in_order(size: int) -> None:
    bucketed.put_back(size)
    found = examine.examine(published=False)
    assert (found.problems, found.size, found.events) == ([], size, size)


ROWS: dict[str, tuple[Callable[[], object], str]] = {
    "its text": (
        lambda: Event.objects.filter(seq=300).update(leaf=Concat(F("leaf"), Value(" "))),
        "event 300: its text is not the one that its hash was made of",
    ),
    "its text made unreadable": (
        lambda: Event.objects.filter(seq=300).update(leaf="{}"),
        "event 300: its text is not the one that its hash was made of\nevent 300: its text is no leaf",
    ),
    "its hash": (
        lambda: Event.objects.filter(seq=300).update(leaf_hash=bytes(32)),
        "event 300: its text is not the one that its hash was made of\n"
        "event 300: not the one that the tree was grown over",
    ),
    "its actor": (
        lambda: Event.objects.filter(seq=300).update(actor="user:9"),
        "event 300: beside its text stands another actor",
    ),
    "all that it is searched by": (
        lambda: Event.objects.filter(seq=300).update(
            action="x", object="x:y", subject="x:y", outcome="failure", occurred_at=F("occurred_at") - timedelta(days=1)
        ),
        "event 300: beside its text stands another occurred_at and action and object and subject and outcome\n"
        "event 300: it occurred outside the time that the map has for it",
    ),
    "when it got its place": (
        lambda: Event.objects.filter(seq=300).update(sequenced_at=F("sequenced_at") - timedelta(days=1)),
        "event 300: it got its place before the event before it did (sequenced_at)",
    ),
    "gone": (lambda: Event.objects.filter(seq=300).delete(), "event 300: missing"),
    "several gone": (
        lambda: Event.objects.filter(seq__gte=300, seq__lt=310).delete(),
        "events 300 to 309: missing",
    ),
    "the end gone": (
        lambda: Event.objects.filter(seq__gte=500).delete(),
        "events 500 to 699: missing\n"
        "the checkpoint in the bucket is of 700 events, the log has 500: cut off, or an old backup\n"
        "the tree over events 0 to 499 is not what was noted when it grew (audit_state)",
    ),
    "all gone": (
        lambda: Event.objects.all().delete(),
        "events 0 to 699: missing\n"
        "the checkpoint in the bucket is of 700 events, the log has 0: cut off, or an old backup\n"
        "the tree over no events is not what was noted when it grew (audit_state)",
    ),
    "an end far away": (
        lambda: State.objects.update(size=2**50),
        f"events 700 to {2**50 - 1}: missing\nthe map of times does not end with the log, at {2**50 - 1}",
    ),
    "one too many": (
        lambda: Event.objects.bulk_create([_copy(699, 702)]),
        "events 700 to 702: beyond the log's end",
    ),
    "a tile lost": (lambda: Tile.objects.filter(number=1).delete(), "events 256 to 511: tile 0/1 is missing"),
    "a tile's root": (
        lambda: Tile.objects.filter(number=1).update(root=bytes(32)),
        "events 256 to 511: the root of tile 0/1 is not that of its hashes",
    ),
    "a tile too many": (
        lambda: Tile.objects.create(level=0, number=2, hashes=bytes(8192), root=bytes(32)),
        "tile 0/2 is beyond the log's end",
    ),
    "the noted root": (
        lambda: State.objects.update(root=bytes(32)),
        "the tree over events 0 to 699 is not what was noted when it grew (audit_state)",
    ),
    "the noted end": (
        lambda: State.objects.all().delete(),
        "the row that says where the log ends (audit_state) is missing\n"
        "the tree over events 0 to 699 is not what was noted when it grew (audit_state)",
    ),
    "the map of times": (
        lambda: Batch.objects.update(latest=START - timedelta(days=1)),
        "events 0 to 699: it occurred outside the time that the map has for it",
    ),
    "the map of times lost": (
        lambda: Batch.objects.all().delete(),
        "the map of times does not end with the log, at 699\nevents 0 to 699: the map of times does not know it",
    ),
    "the map of times with a hole": (
        lambda: Batch.objects.update(low=100),
        "events 0 to 99: the map of times does not know it",
    ),
    "the map of times going back": (
        lambda: Batch.objects.create(low=1, high=699, earliest=START, latest=START - timedelta(days=1)),
        "the map of times goes back at event 1",
    ),
    "a checkpoint's root": (
        lambda: Checkpoint.objects.filter(size=400).update(root=bytes(32)),
        "checkpoint ROW over 400 events: its row says something else than its signed note\n"
        "events 0 to 399: not those that checkpoint ROW over 400 events was signed over",
    ),
    "a checkpoint of another size": (
        lambda: Checkpoint.objects.filter(size=700).update(size=900),
        "a checkpoint over 900 events was signed, the log has 700: cut off",
    ),
    "a checkpoint that nobody signed": (
        lambda: Checkpoint.objects.filter(size=400).update(note=note.body(bucketed.ORIGIN, 400, bytes(32)) + "\n"),
        "checkpoint ROW over 400 events: this is not a signed note: a text, an empty line, signature lines, each with "
        "its line end",
    ),
}


def _copy(seq: int, to: int) -> Event:
    event = Event.objects.get(seq=seq)
    event.seq = to
    return event


@pytest.mark.parametrize("what", ROWS)
def test_what_was_altered_is_told_and_nothing_else(what: str) -> None:
    act, words = ROWS[what]
    owner(act)
    assert problems() == sorted(words.split("\n"))


def test_many_things_are_told_at_once() -> None:
    for act, _ in (ROWS[what] for what in ("its actor", "a tile lost", "the map of times with a hole")):
        owner(act)
    attacks.edit(20)
    owner(lambda: Event.objects.filter(seq=600).delete())
    told = "\n".join(problems())
    assert "event 300: beside its text stands another actor" in told
    assert "events 256 to 511: tile 0/1 is missing" in told
    assert "events 0 to 99: the map of times does not know it" in told
    assert "event 20: not the one that the tree was grown over" in told
    assert "event 600: missing" in told


def test_of_each_kind_the_first_are_told_and_all_are_counted() -> None:
    owner(lambda: Event.objects.filter(seq__gte=0).annotate(odd=F("seq") % 2).filter(odd=1).update(actor="user:9"))
    owner(lambda: Event.objects.filter(seq=8).update(subject="user:9"))
    found = examine.examine()
    assert 250 < found.count <= 351
    assert len(found.problems) == SHOWN + 2
    assert found.problems[0] == "event 1: beside its text stands another actor"
    assert found.problems[SHOWN].startswith(f"and {found.count - SHOWN - 1} more: ")
    assert found.problems[-1] == "event 8: beside its text stands another subject"


def test_what_is_removed_and_renumbered_is_told_as_one_run() -> None:
    attacks.remove(100)
    assert "events 100 to 511: not the one that the tree was grown over" in problems()
    assert "event 699: missing" in problems()


def test_a_log_that_was_made_anew_differs_from_what_was_signed_since_the_last_root_that_fits() -> None:
    attacks.edit(500)
    attacks.made_anew(signed=False)
    assert problems() == [
        "events 400 to 699: not those that checkpoint ROW over 700 events was signed over",
        "events 400 to 699: not those that the checkpoint in the bucket was signed over",
    ]


@pytest.mark.usefixtures("bucket_kept")
def test_signed_anew_it_shows_in_a_checkpoint_that_was_kept_and_nowhere_else() -> None:
    old = bucketed.in_bucket()
    attacks.edit(500)
    attacks.made_anew()
    assert problems() == []
    assert examine.examine(old=old).problems == [
        "events 0 to 699: not those that the checkpoint that you gave was signed over"
    ]


@pytest.mark.usefixtures("bucket_kept")
def test_a_log_that_was_cut_off_and_made_anew_is_shorter_than_what_was_signed() -> None:
    old = bucketed.in_bucket()
    attacks.cut(450)
    attacks.made_anew(signed=False)
    assert problems() == [
        "a checkpoint over 700 events was signed, the log has 450: cut off",
        "the checkpoint in the bucket is of 700 events, the log has 450: cut off, or an old backup",
    ]
    attacks.resigned()
    assert problems() == []
    assert "is of 700 events, the log has 450" in "\n".join(examine.examine(old=old).problems)


@pytest.mark.parametrize("size", [1, 256, 300, 512, 700])
def test_from_a_checkpoint_on_only_what_is_newer_is_read(size: int) -> None:
    start = at(size)
    found = examine.examine(start=start)
    assert (found.problems, found.events, found.size, found.root) == ([], SIZE - size, SIZE, at(SIZE).root)
    owner(lambda: Event.objects.filter(seq__in=[0, 699]).update(actor="user:9"))
    told = examine.examine(start=start).problems
    assert told == (["event 699: beside its text stands another actor"] if size < SIZE else [])


def at(size: int) -> verify.Checkpoint:
    """What a checkpoint of that size says."""
    return verify.Checkpoint(bucketed.ORIGIN, size, tree.root(size, tiles.reader()), "")


def test_a_start_that_the_tree_does_not_lead_to_is_told() -> None:
    start = verify.Checkpoint(bucketed.ORIGIN, 300, bytes(32), "")
    assert "events 0 to 299: not those that the checkpoint that you gave was signed over" in "\n".join(
        examine.examine(start=start).problems
    )


def test_a_start_must_continue_a_still_older_checkpoint() -> None:
    start = at(500)
    assert examine.examine(start=start, old=at(300)).problems == []
    false = verify.Checkpoint(bucketed.ORIGIN, 300, bytes(32), "")
    assert examine.examine(start=start, old=false).problems == [
        "events 0 to 299: not those that the checkpoint that you gave was signed over"
    ]


def test_a_start_is_of_no_use_where_the_tree_before_it_has_a_hole() -> None:
    start = at(600)
    owner(lambda: Tile.objects.filter(number=0).delete())
    owner(lambda: Event.objects.filter(seq=10).delete())
    assert "the tree over events 0 to 599 has a hole: examine the whole log" in examine.examine(start=start).problems


@pytest.mark.usefixtures("bucket_kept")
def test_a_log_that_grows_meanwhile_is_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "_PAGE", 256)

    def more(_: int) -> None:
        bucketed.grow(100)
        checkpoint.publish(now=START)

    found = examine.examine(progress=more)
    assert (found.problems, found.size) == ([], SIZE)


@pytest.mark.usefixtures("bucket_kept")
def test_a_checkpoint_gone_from_the_bucket_is_told_if_it_is_looked_for() -> None:
    bucket.delete_prefix("audit/")
    assert problems() == ["the published checkpoint is gone from the bucket"]
    assert examine.examine(published=False).count == 0


@pytest.mark.usefixtures("bucket_kept")
@pytest.mark.parametrize(
    ("origin", "key", "words"),
    [(bucketed.ORIGIN, 1, "is not signed by any key"), ("other.example/log", 0, "is not signed by any key")],
)
def test_a_strange_checkpoint_in_the_bucket_is_told(settings: Settings, origin: str, key: int, words: str) -> None:
    settings.AUDIT_SIGNING_KEYS = bucketed.KEYS[key : key + 1]
    text = note.signed(note.body(origin, 1, bytes(32)), note.signers(origin))
    settings.AUDIT_SIGNING_KEYS = bucketed.KEYS[:1]
    bucket.delete_prefix("audit/")
    bucket.put("audit/1/checkpoint", text.encode(), if_none_match="*", lock=False)
    assert words in "\n".join(problems())


@pytest.mark.usefixtures("bucket_kept")
def test_keys_that_were_changed_are_known_from_the_log_itself(settings: Settings) -> None:
    for keys in (bucketed.KEYS[:2], bucketed.KEYS[1:2]):
        settings.AUDIT_SIGNING_KEYS = keys
        bucketed.grow(1)
        checkpoint.publish(now=START)
        bucketed.grow(0)
    assert problems() == []


def test_a_key_that_the_log_does_not_know_must_be_named(settings: Settings) -> None:
    keys = bucketed.keys()
    settings.AUDIT_SIGNING_KEYS = bucketed.KEYS[1:2]
    found = examine.examine(published=False)
    assert len(found.problems) == 2
    assert "(name an older key with --key)" in found.problems[0]
    assert examine.examine(published=False, keys=keys).problems == []
    settings.AUDIT_SIGNING_KEYS = []
    assert examine.examine(keys=keys).problems == []
    with pytest.raises(note.NoSigningKey):
        examine.examine()


@pytest.mark.usefixtures("bucket_kept")
def test_what_was_signed_under_an_earlier_name_may_differ_and_is_remarked() -> None:
    attacks.edit(500)
    attacks.made_anew(signed=False)
    bucketed.grow(1)
    with pytest.raises(checkpoint.Forked):
        checkpoint.publish(now=START)
    checkpoint.restart(reason="edited", actor=Ref("system", "test"), now=START)
    bucketed.grow(1)
    checkpoint.publish(now=START)
    found = examine.examine()
    assert found.problems == []
    assert len(found.remarks) == 1
    assert "events 400 to 699" in found.remarks[0]
    assert "under an earlier name of the log" in found.remarks[0]


def test_an_event_far_away_does_not_make_the_walk_endless() -> None:
    owner(lambda: Event.objects.bulk_create([_copy(699, 2**50)]))
    owner(lambda: State.objects.update(size=2**50 + 1))
    told = examine.examine().problems
    assert "events 700 to 8191: missing" in told
    assert "events 8192 to 16383: missing, and what follows was not examined" in told
    assert "and 10 more: tiles that are missing" in told


def test_rows_that_make_no_sense_are_told_and_do_not_stop_the_examination() -> None:
    attacks.columns(10, leaf="[" * 9000)
    attacks.columns(20, leaf="{}", action="log.restarted")
    owner(lambda: Checkpoint.objects.filter(size=400).update(origin="a b"))
    found = examine.examine()
    assert [line for line in found.problems if "no leaf" in line] == [
        "event 10: its text is no leaf",
        "event 20: its text is no leaf",
    ]
    assert "over 400 events: " in found.remarks[0]


def test_an_empty_log_is_in_order() -> None:
    bucketed.put_back(0)
    assert examine.examine(published=False).problems == []
    owner(lambda: State.objects.all().delete())
    assert examine.examine(published=False).problems == []
