"""Of several clamds those that answer are asked; a dead one is left out for a while, a slow one holds up nobody."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from pipeline import clamav, scanner
from pipeline.sandbox import Part
from tests import factories
from tests.pipeline import clamds
from tests.pipeline.clamds import Daemon, dated

BODY = b"an ordinary text"
DEAD = "tcp://127.0.0.1:9"


@pytest.fixture(autouse=True)
def nobody_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The roll belongs to the process, so another test's dead would be on it."""
    monkeypatch.setattr(clamav, "roll", clamav.Roll())


@pytest.fixture
def two() -> Iterator[tuple[Daemon, Daemon]]:
    """Two clamds."""
    with ExitStack() as stack:
        yield stack.enter_context(clamds.serving()), stack.enter_context(clamds.serving())


def scan(body: bytes = BODY) -> scanner.Verdict:
    """Scan it."""
    return scanner.scan([body[:5], body[5:]], size=len(body), sha256=factories.sha256(body))


# --- the roll ------------------------------------------------------------------------------------
def test_an_address_that_fails_is_left_out_for_longer_each_time() -> None:
    roll, now, waits = clamav.Roll(), 100.0, []
    for _ in range(6):
        roll.failed("a", now=now)
        began = now
        while roll.call(["a", "b"], first=0, now=now) == (["b"], ["a"]):
            now += 1
        waits.append(now - began)
    assert waits == [30, 60, 120, 240, 300, 300]


def test_failures_of_one_outage_count_once() -> None:
    roll = clamav.Roll()
    for second in range(29):
        roll.failed("a", now=second)
    assert roll.call(["a"], first=0, now=30) == (["a"], [])


def test_an_answer_ends_it() -> None:
    roll = clamav.Roll()
    roll.failed("a", now=0)
    roll.answered("a")
    assert roll.call(["a"], first=0, now=1) == (["a"], [])
    roll.failed("a", now=2)
    assert roll.call(["a"], first=0, now=32) == (["a"], [])


def test_they_are_asked_in_turn_from_any_on() -> None:
    turns = [clamav.Roll().call(["a", "b", "c"], first=first, now=0)[0] for first in range(4)]
    assert turns == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]]


@pytest.mark.parametrize(
    ("text", "good"),
    [
        *[
            (good, True)
            for good in ("unix:///run/clamd.sock", "tcp://host:3310", "tcp://[::1]:3310", "tcp://10.0.0.1:1")
        ],
        *[
            (bad, False)
            for bad in ("", "clamd", "/run/clamd.sock", "unix://run", "unix:///", "host:3310", "tcp://host")
        ],
        *[(bad, False) for bad in ("tcp://:3310", "tcp://host:port", "tcp://host:70000", "tcp://h:1/p", "http://h:1")],
    ],
)
def test_an_address_is_a_socket_or_a_host_with_a_port(text: str, good: bool) -> None:
    assert clamav.is_address(text) is good


# --- scans ---------------------------------------------------------------------------------------
def test_the_old_name_of_the_setting_holds_where_the_new_one_is_empty(settings: Any) -> None:
    settings.CLAMD_ADDRESSES, settings.CLAMD_ADDRESS = [], DEAD
    assert clamav.addresses() == [DEAD]
    settings.CLAMD_ADDRESSES = ["unix:///a", "unix:///b", "unix:///a"]
    assert clamav.addresses() == ["unix:///a", "unix:///b"]


def test_scans_are_spread_over_all(settings: Any, two: tuple[Daemon, Daemon]) -> None:
    settings.CLAMD_ADDRESSES = [clamd.address for clamd in two]
    for _ in range(40):  # all by one of them: once in a million million
        scan()
    assert sum(len(clamd.streams) for clamd in two) == 40
    assert all(clamd.streams for clamd in two)


def test_a_dead_address_is_passed_over_and_left_out(settings: Any, two: tuple[Daemon, Daemon], tmp_path: Path) -> None:
    settings.CLAMD_ADDRESSES = [f"unix://{tmp_path}/nobody", DEAD, two[0].address]
    for _ in range(20):
        assert scan().clean
    settings.CLAMD_ADDRESSES = [f"unix://{tmp_path}/nobody", DEAD]
    there, left_out = clamav.roll.call(clamav.addresses(), first=0, now=time.monotonic())
    assert (there, set(left_out)) == ([], set(clamav.addresses()))


def test_one_that_is_there_but_says_nothing_is_passed_over_too(
    settings: Any, two: tuple[Daemon, Daemon], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clamav, "CONNECT_SECONDS", 0.3)
    with clamds.silent() as address:
        settings.CLAMD_ADDRESSES = [address, two[0].address]
        began = time.monotonic()
        for _ in range(20):
            assert scan().clean
    assert time.monotonic() - began < 2


def test_when_all_are_left_out_one_that_is_back_is_found_at_once(settings: Any) -> None:
    with clamds.serving() as clamd:
        settings.CLAMD_ADDRESSES = [DEAD, clamd.address]
        for address in settings.CLAMD_ADDRESSES:
            clamav.roll.failed(address, now=time.monotonic())
        assert scan().clean
        assert clamav.roll.call([clamd.address], first=0, now=time.monotonic()) == ([clamd.address], [])


def test_a_line_that_breaks_in_the_middle_is_no_verdict_and_the_next_try_goes_elsewhere(
    settings: Any, two: tuple[Daemon, Daemon]
) -> None:
    breaking, sound = two
    breaking.breaks_after = 5
    settings.CLAMD_ADDRESSES = [breaking.address]
    with pytest.raises(scanner.Unavailable):
        scan()
    settings.CLAMD_ADDRESSES = [breaking.address, sound.address]
    asked = len(breaking.commands)
    for _ in range(10):
        assert scan().clean
    assert len(breaking.commands) == asked


def test_a_clamd_whom_we_kept_waiting_is_not_called_dead(settings: Any) -> None:
    with clamds.serving(b"COMMAND READ TIMED OUT\n") as clamd:
        settings.CLAMD_ADDRESSES = [clamd.address]
        with pytest.raises(scanner.Unavailable):
            scan()
        assert clamav.roll.call([clamd.address], first=0, now=time.monotonic())[1] == []


def test_nobody_there_at_all_is_unavailable(settings: Any) -> None:
    settings.CLAMD_ADDRESSES = [DEAD, "tcp://127.0.0.1:10"]
    with pytest.raises(scanner.Unavailable):
        scan()
    with pytest.raises(scanner.Unavailable):
        scanner.check()


def test_a_slow_scan_holds_up_nobody(settings: Any, two: tuple[Daemon, Daemon]) -> None:
    settings.CLAMD_ADDRESSES = [clamd.address for clamd in two]
    begun, go_on = threading.Barrier(3, timeout=10), threading.Event()

    def slow(stream: bytes) -> bytes:
        if stream == b"slow one":
            begun.wait()
            go_on.wait(10)
        return clamds.OK

    for clamd in two:
        clamd.reply = slow
    verdicts: list[scanner.Verdict] = []
    waiting = [threading.Thread(target=lambda: verdicts.append(scan(b"slow one"))) for _ in range(2)]
    for thread in waiting:
        thread.start()
    begun.wait()  # both are with clamd now
    assert all(scan().clean for _ in range(10))
    assert verdicts == []
    go_on.set()
    for thread in waiting:
        thread.join(10)
    assert [verdict.clean for verdict in verdicts] == [True, True]


def test_one_scan_keeps_to_one_clamd(settings: Any, two: tuple[Daemon, Daemon]) -> None:
    settings.CLAMD_ADDRESSES = [clamd.address for clamd in two]
    attachments = [Part("attachment", iter([b"attachment"])) for _ in range(20)]
    scanner.scan([BODY], size=len(BODY), sha256=factories.sha256(BODY), parts=attachments)
    assert sorted(len(clamd.streams) for clamd in two) == [0, 21]


# --- signatures ----------------------------------------------------------------------------------
def test_one_with_stale_signatures_is_left_out_while_another_has_fresh_ones(
    settings: Any, two: tuple[Daemon, Daemon]
) -> None:
    settings.SCANNER_TEST_SIGNATURES = False
    settings.CLAMD_ADDRESSES = [clamd.address for clamd in two]
    old, new = two
    old.version, new.version = dated(10), dated(0)
    for _ in range(20):
        assert scan().clean
    assert (len(old.streams), len(new.streams)) == (0, 20)
    assert "VERSION" in old.commands
    old.version, new.version = dated(0), dated(10)  # nobody has to wait until it is asked again
    assert scan().clean
    assert len(old.streams) == 1


def test_all_stale_is_stale_even_if_others_are_dead(
    settings: Any, two: tuple[Daemon, Daemon], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SCANNER_TEST_SIGNATURES = False
    settings.CLAMD_ADDRESSES = [DEAD, *(clamd.address for clamd in two)]
    for clamd in two:
        clamd.version = dated(10)
    for _ in range(20):  # the dead one is met first in a third of them
        monkeypatch.setattr(clamav, "roll", clamav.Roll())
        with pytest.raises(scanner.Stale):
            scan()
    with pytest.raises(scanner.Stale):
        scanner.check()
    assert [clamd.streams for clamd in two] == [[], []]


# --- health --------------------------------------------------------------------------------------
def test_the_check_says_how_many_of_how_many_can_scan(settings: Any, two: tuple[Daemon, Daemon]) -> None:
    settings.SCANNER_TEST_SIGNATURES = False
    settings.CLAMD_ADDRESSES = [DEAD, *(clamd.address for clamd in two)]
    old, new = two
    old.version = new.version = dated(0)
    standing = scanner.check()
    assert (standing.answering, standing.addresses, standing.engine.name) == (2, 3, "clamd")
    old.version = dated(10)
    standing = scanner.check()
    assert (standing.answering, standing.addresses) == (1, 3)


@pytest.mark.django_db
def test_the_health_page_says_so_too(client: Client, settings: Any, two: tuple[Daemon, Daemon]) -> None:
    settings.CLAMD_ADDRESSES = [DEAD, *(clamd.address for clamd in two)]
    said = client.get("/readyz").json()["checks"]["scanner"]
    assert (said["ok"], said["answering"], said["addresses"]) == (True, 2, 3)


def test_the_stand_in_is_one_of_one(settings: Any) -> None:
    settings.SCANNER = "builtin"
    standing = scanner.check()
    assert (standing.answering, standing.addresses, standing.engine.name) == (1, 1, "builtin")
