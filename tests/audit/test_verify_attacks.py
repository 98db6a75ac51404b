"""What somebody who holds the signing key can do to the log, and what an auditor with one old checkpoint finds.

Each attack leaves a log that is in order by itself and signed by the true key: nothing but the old checkpoint shows it.
"""

import pytest

from audit import note, verify
from tests.audit import exports
from tests.audit.exports import KEY, ORIGIN, OTHER, SIGNER

LOG = exports.leaves(600)
NEW = exports.leaves(700, first=1000)  # what the operator would rather have had happened
OLD = exports.checkpoint(LOG[:300])  # the auditor's

ATTACKS = {
    "an event is edited": [*LOG[:70], NEW[0], *LOG[71:]],
    "one letter is edited": [*LOG[:70], LOG[70].replace("again", "Again"), *LOG[71:]],
    "the first event is edited": [NEW[0], *LOG[1:]],
    "the last event that is covered is edited": [*LOG[:299], NEW[0], *LOG[300:]],
    "an event is deleted and the others move up": LOG[:70] + LOG[71:],
    "the first event is deleted": LOG[1:],
    "the last event that is covered is deleted": LOG[:299] + LOG[300:],
    "256 events are deleted": LOG[256:],
    "an event is deleted and another one put in its place": [*LOG[:70], *LOG[71:200], NEW[0], *LOG[200:]],
    "an event is inserted": [*LOG[:70], NEW[0], *LOG[70:]],
    "an event is inserted before all others": [NEW[0], *LOG],
    "an event is doubled": [*LOG[:70], *LOG[69:]],
    "two events are swapped": [*LOG[:70], LOG[71], LOG[70], *LOG[72:]],
    "two events far from each other are swapped": [LOG[299], *LOG[1:299], LOG[0], *LOG[300:]],
    "the log is turned around": LOG[::-1],
    "what is covered is cut off and other events follow": LOG[:250] + NEW[:350],
    "the log is forked from an event on": LOG[:299] + NEW[:301],
    "another history is signed": NEW,
}


def refused(lines: list[bytes], *keys: verify.VerifierKey) -> str:
    """Why, by the auditor's checkpoint."""
    with pytest.raises(verify.Broken) as reason:
        verify.verify_export(lines, keys or [KEY], OLD)
    return str(reason.value)


def test_the_true_log_is_verified_from_the_old_checkpoint_on() -> None:
    assert verify.verify_export(exports.export(LOG), [KEY], OLD) == verify.Report(ORIGIN, 600, 600, 0)


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_was_done_to_what_the_old_checkpoint_covers_is_found(attack: str) -> None:
    lines = exports.export(ATTACKS[attack])
    verify.verify_export(lines, [KEY])  # signed by the true key and in order
    assert refused(lines).startswith("events 0 to 299 are not what they were when your checkpoint of 300 events")


@pytest.mark.parametrize("attack", ATTACKS)
def test_it_is_found_too_where_the_events_concerned_are_withheld(attack: str) -> None:
    lines = exports.export(ATTACKS[attack], shown=[320, 321], against=300)
    verify.verify_export(lines, [KEY])
    assert refused(lines).startswith("events 0 to 299 are not what they were")


def test_a_log_that_was_cut_off_below_the_old_checkpoint_is_found() -> None:
    for size in (0, 1, 250, 299):
        lines = exports.export(LOG[:size])
        verify.verify_export(lines, [KEY])
        assert refused(lines).startswith(f"the log had 300 events, this has {size}: truncated")


def test_another_log_of_the_same_size_is_found() -> None:
    lines = exports.export([*LOG[:70], NEW[0], *LOG[71:300]])
    assert (
        refused(lines) == "events 0 to 299 are not what they were when your checkpoint was signed: there are two logs"
    )


# --- without the key --------------------------------------------------------------------------------------------------
def test_an_export_that_is_altered_after_it_was_signed_is_found_without_any_checkpoint() -> None:
    for attack, log in ATTACKS.items():
        if len(log) == 600:
            lines = exports.export(log, under=exports.checkpoint(LOG))
            with pytest.raises(verify.Broken, match="events 0 to 599 are not what was signed"):
                verify.verify_export(lines, [KEY])
            assert refused(lines), attack


def test_an_event_that_is_left_out_or_put_in_is_named() -> None:
    lines = exports.export(LOG)
    assert refused(lines[:71] + lines[72:]) == "event 70 is missing: in its place stands event 71"
    assert refused([*lines[:71], *lines[70:]]) == "event 70 is missing: in its place stands event 69"


def test_events_that_were_deleted_cannot_be_passed_off_as_withheld() -> None:
    """There is no hash that would lead to the signed root but theirs."""
    shorter = LOG[:64] + LOG[128:]
    honest = exports.export(LOG, shown=[*range(64), *range(128, 600)])
    gap = next(place for place, each in enumerate(honest) if b'"skip"' in each)
    invented = exports.line(exports.withheld(exports.reader(shorter), 6, 1))
    assert "not what they were" in refused([*honest[:gap], invented, *honest[gap + 1 :]])


def test_a_log_signed_by_another_key_is_refused_also_under_the_true_name() -> None:
    lines = exports.export(LOG, under=exports.checkpoint(LOG, OTHER))
    assert refused(lines).startswith("the note is not signed by any key that you named")


def test_a_log_whose_signature_was_moved_from_another_checkpoint_is_refused() -> None:
    signature = exports.checkpoint(LOG).note.partition("\n\n")[2]
    for log in (LOG[:-1], NEW, ATTACKS["one letter is edited"]):
        said = note.body(ORIGIN, len(log), exports.checkpoint(log).root)
        under = verify.Checkpoint(ORIGIN, len(log), exports.checkpoint(log).root, f"{said}\n{signature}")
        assert refused(exports.export(log, under=under)).startswith(f"the signature of {KEY} is wrong")


def test_the_key_of_another_log_does_not_sign_for_this_one() -> None:
    other = note.Signer("rooms.example/log-2", OTHER.seed)
    text = note.signed(note.body(ORIGIN, 600, exports.checkpoint(LOG).root), [other])
    lines = exports.export(LOG, under=verify.Checkpoint(ORIGIN, 600, exports.checkpoint(LOG).root, text))
    assert "speaks for 'rooms.example/log'" in refused(lines, KEY, verify.VerifierKey.parse(other.vkey))


def test_a_log_begun_anew_is_not_taken_for_the_old_one() -> None:
    anew = note.Signer("rooms.example/log-2", SIGNER.seed)
    lines = exports.export(LOG, under=exports.checkpoint(LOG, anew))
    assert "begun anew" in refused(lines, KEY, verify.VerifierKey.parse(anew.vkey))


# --- what cannot be found ---------------------------------------------------------------------------------------------
UNFOUND = {
    "an event is edited": [*LOG[:450], NEW[0], *LOG[451:]],
    "the first event that is not covered is edited": [*LOG[:300], NEW[0], *LOG[301:]],
    "an event is deleted": LOG[:450] + LOG[451:],
    "an event is inserted": [*LOG[:300], NEW[0], *LOG[300:]],
    "two events are swapped": [*LOG[:450], LOG[451], LOG[450], *LOG[452:]],
    "the log is cut off": LOG[:350],
    "everything that is not covered is cut off": LOG[:300],
    "the log is forked": LOG[:300] + NEW[:300],
}


@pytest.mark.parametrize("attack", UNFOUND)
def test_what_was_done_to_what_is_newer_than_the_checkpoint_cannot_be_found(attack: str) -> None:
    """The docs say so: protection begins when a checkpoint leaves the operator's hands."""
    log = UNFOUND[attack]
    assert verify.verify_export(exports.export(log), [KEY], OLD).size == len(log)


@pytest.mark.parametrize("attack", UNFOUND)
def test_a_newer_checkpoint_would_have_found_it(attack: str) -> None:
    with pytest.raises(verify.Broken):
        verify.verify_export(exports.export(UNFOUND[attack]), [KEY], exports.checkpoint(LOG[:500]))
