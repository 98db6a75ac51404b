"""The breaker's plan is the seed's, and its checks can fail: each finds what is planted."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bench.breaking import checks, command
from bench.breaking.carrying import Account
from bench.breaking.checks import DOUBLED, LOST, OUT_OF_ORDER, UNEXPLAINED
from bench.breaking.evidence import Event, Evidence, Row, Seen, Stored
from bench.breaking.kinds import WEIGHTS, Intent, Kind, intent
from bench.breaking.plan import SERVERS, deck, plan
from bench.breaking.stage import part_names

AT = datetime(2026, 11, 24, tzinfo=UTC)
Plant = Callable[[list[Account], Evidence], Evidence]


# --- the plan --------------------------------------------------------------------------------------
def test_the_same_seed_gives_the_same_plan_and_another_another() -> None:
    assert plan(7, 10, part_names()) == plan(7, 10, part_names())
    assert plan(7, 10, part_names()) != plan(8, 10, part_names())


def test_ten_minutes_are_at_least_150_faults_of_every_kind_and_the_last_ends_in_time() -> None:
    for seed in range(20):
        faults = plan(seed, 10, part_names())
        assert len(faults) >= 150
        assert {fault.kind for fault in faults} == {card.kind for card in deck(part_names())}
        assert max(fault.ends for fault in faults) <= 600


def test_no_two_servers_are_broken_at_once_and_no_process_twice() -> None:
    faults = plan(7, 10, part_names())
    for number, one in enumerate(faults):
        for other in faults[number + 1 :]:
            if one.target == other.target or {one.target, other.target} <= {*SERVERS}:
                assert other.at > one.ends


def test_plan_prints_one_line_of_json_a_fault(capsys: pytest.CaptureFixture[str]) -> None:
    for seed in ("7", "7", "8"):
        assert command.main(["--plan", "--minutes", "1", "--seed", seed]) == 0
    lines = capsys.readouterr().out.splitlines()
    count = len(plan(7, 1, part_names()))
    assert lines[:count] == lines[count : 2 * count] != lines[2 * count :]


def test_the_uploads_are_the_seeds_too_and_of_every_kind() -> None:
    uploads = [intent(7, number, 6) for number in range(200)]
    again = [intent(7, number, 6) for number in range(200)]
    assert [(one.kind, one.owner, one.filename) for one in uploads] == [(o.kind, o.owner, o.filename) for o in again]
    assert {upload.kind for upload in uploads} == set(WEIGHTS)
    assert len({upload.filename for upload in uploads}) == 200
    assert max(Counter((upload.owner, upload.name) for upload in uploads).values()) > 2, "no versions of one document"


# --- the checks ------------------------------------------------------------------------------------
def sound() -> tuple[list[Account], Evidence]:
    """Two versions of one document, one infected, one that was never sent, one whose answer was lost; all is well."""
    kinds = (Kind.GOOD, Kind.SILENT, Kind.INFECTED, Kind.ABANDONED)
    accounts = [_account(number, kind) for number, kind in enumerate(kinds)]
    rows = [
        _row(0, "available", arrival=1, number=1),
        _row(1, "available", arrival=2, number=2),
        _row(2, "infected", arrival=3),
        _row(3, "expired"),
        replace(_row(4, "expired"), filename="upload-0.txt"),  # the first request for it, of which nobody heard
    ]
    accounts[0].begun = 1
    available = [row for row in rows if row.number]
    return accounts, Evidence(
        rows=rows,
        events=[event for row in rows for event in _events(row)],
        vault=[Stored(row.vault_key, row.vault_version, row.size) for row in available],
        quarantine=[Stored("incoming/v2", "q2", 9)],
        seen={
            row.id: Seen(row.status, row.number, account.intent.sha256 if row.number else "")
            for row, account in zip(rows, accounts, strict=False)
        },
    )


def _account(number: int, kind: Kind) -> Account:
    meant = Intent(number, kind, 0, "Hot 0", f"upload-{number}.txt", f"body {number}\n".encode())
    sent = "no" if kind is Kind.ABANDONED else "yes"
    return Account(meant, f"v{number}", sent=sent, sent_from=10.0 * number, completed_at=10.0 * number + 5, over=True)


def _row(nth: int, status: str, *, arrival: int | None = None, number: int | None = None) -> Row:
    return Row(
        id=f"v{nth}",
        document="d",
        filename=f"upload-{nth}.txt",
        status=status,
        arrival=arrival,
        number=number,
        received_at=AT + timedelta(seconds=nth) if arrival else None,
        attempts=0,
        stuck_reason="",
        vault_version=f"s{nth}" if number else "",
        size=7,
    )


def _events(row: Row) -> list[Event]:
    path = [*checks.PATHS[row.status][0], "purged"]
    return [Event(row.id, f"version.{name}", AT + timedelta(seconds=n)) for n, name in enumerate(path)]


def _with_row(evidence: Evidence, id_: str, **changes: object) -> Evidence:
    rows = [replace(row, **changes) if row.id == id_ else row for row in evidence.rows]  # type: ignore[arg-type]
    return replace(evidence, rows=rows)


def _without_event(evidence: Evidence, id_: str, action: str) -> Evidence:
    return replace(evidence, events=[e for e in evidence.events if (e.version, e.action) != (id_, action)])


def _late(accounts: list[Account], evidence: Evidence) -> Evidence:
    """Received before the other was sent, by its client's clock; and yet the second to arrive."""
    accounts[1].completed_at, accounts[0].sent_from = 1.0, 2.0
    return evidence


def _many(accounts: list[Account], evidence: Evidence) -> Evidence:
    accounts[0].begun = 0
    return evidence


def _odd(accounts: list[Account], evidence: Evidence) -> Evidence:
    accounts[0].odd.append("refused: 409 bytes_missing")
    return evidence


def _unsent(accounts: list[Account], evidence: Evidence) -> Evidence:
    accounts.pop()
    return evidence


def _doubled_number(_: list[Account], evidence: Evidence) -> Evidence:
    return _with_row(evidence, "v1", number=1)


PLANTED: dict[str, tuple[str, Plant]] = {
    "a version that is not there": (LOST, lambda a, e: replace(e, rows=[r for r in e.rows if r.id != "v1"])),
    "a good one that expired": (LOST, lambda a, e: _with_row(e, "v1", status="expired")),
    "a good one that was rejected": (LOST, lambda a, e: _with_row(e, "v0", status="rejected")),
    "an infected one in the vault": (UNEXPLAINED, lambda a, e: _with_row(e, "v2", status="available")),
    "a row more than was asked for": (DOUBLED, _many),
    "a lost answer's row that became something": (UNEXPLAINED, lambda a, e: _with_row(e, "v4", status="rejected")),
    "one upload available twice": (DOUBLED, lambda a, e: _with_row(e, "v4", status="available")),
    "a row that nobody sent": (UNEXPLAINED, _unsent),
    "a client turned away": (UNEXPLAINED, _odd),
    "one that never ends": (UNEXPLAINED, lambda a, e: _with_row(e, "v1", status="clean")),
    "one that is stuck": (UNEXPLAINED, lambda a, e: _with_row(e, "v1", stuck_reason="Cut off too often.")),
    "a number twice": (DOUBLED, _doubled_number),
    "a gap in the numbers": (OUT_OF_ORDER, lambda a, e: _with_row(e, "v1", number=3)),
    "a gap in the arrivals": (OUT_OF_ORDER, lambda a, e: _with_row(e, "v2", arrival=4)),
    "numbers against the order of arrival": (
        OUT_OF_ORDER,
        lambda a, e: _with_row(_with_row(e, "v0", number=2), "v1", number=1),
    ),
    "arrivals dated backwards": (OUT_OF_ORDER, lambda a, e: _with_row(e, "v1", received_at=AT - timedelta(days=1))),
    "arrivals against the order of sending": (OUT_OF_ORDER, _late),
    "an event twice": (DOUBLED, lambda a, e: replace(e, events=[*e.events, e.events[2]])),
    "an event missing": (LOST, lambda a, e: _without_event(e, "v0", "version.scanned")),
    "an event of something else": (
        UNEXPLAINED,
        lambda a, e: replace(e, events=[*e.events, Event("v3", "version.infected", AT)]),
    ),
    "events in another order": (
        OUT_OF_ORDER,
        lambda a, e: replace(e, events=[replace(v, at=AT - (v.at - AT)) for v in e.events]),
    ),
    "events of no version": (
        UNEXPLAINED,
        lambda a, e: replace(e, events=[*e.events, Event("gone", "version.requested", AT)]),
    ),
    "bytes not in the vault": (LOST, lambda a, e: replace(e, vault=e.vault[1:])),
    "another S3 version in the vault": (LOST, lambda a, e: _with_row(e, "v0", vault_version="another")),
    "an object written twice": (DOUBLED, lambda a, e: replace(e, vault=[*e.vault, replace(e.vault[0], version="x")])),
    "an object of nobody": (UNEXPLAINED, lambda a, e: replace(e, vault=[*e.vault, Stored("documents/d/x", "x", 1)])),
    "something left in quarantine": (
        UNEXPLAINED,
        lambda a, e: replace(e, quarantine=[*e.quarantine, Stored("incoming/v0", "q", 7)]),
    ),
    "other bytes": (LOST, lambda a, e: replace(e, seen={**e.seen, "v0": Seen("available", 1, "0" * 64)})),
    "another number told": (
        UNEXPLAINED,
        lambda a, e: replace(e, seen={**e.seen, "v0": replace(e.seen["v0"], number=2)}),
    ),
    "a log that does not verify": (UNEXPLAINED, lambda a, e: replace(e, log="NOT VERIFIED: 1 wrong")),
}


def test_where_all_is_well_nothing_is_found() -> None:
    accounts, evidence = sound()
    assert checks.everything(accounts, evidence) == []


@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_planted_is_found(planted: str) -> None:
    sort, plant = PLANTED[planted]
    accounts, evidence = sound()
    found = checks.everything(accounts, plant(accounts, evidence))
    assert sort in {finding.sort for finding in found}, found


def test_of_an_upload_whose_sending_was_cut_off_both_ends_are_right() -> None:
    accounts, evidence = sound()
    accounts[1].sent = "maybe"
    ends = _with_row(evidence, "v1", status="expired", arrival=None, number=None, received_at=None)
    assert not list(checks.accounted_for(accounts, evidence.rows))
    assert not list(checks.accounted_for(accounts, ends.rows))
