"""One thing broken in one way: what was promised of it is measured, beside all that is checked anyway."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Thread
from types import MappingProxyType

from bench.breaking import faults
from bench.breaking.checks import LOST, UNEXPLAINED, Finding
from bench.breaking.evidence import query
from bench.breaking.trial import Trial
from devstack import holding

AT_ONCE = 500
RECOVERS_WITHIN_SECONDS = 30.0
OLD_SECONDS = 5
PATIENCE_SECONDS = 240.0
LOOKS = 12
_UNDER_WAY = "status in ('received', 'validated', 'clean') and stuck_reason = ''"


def clamd_down(trial: Trial) -> None:
    """No clamd for the first half: no attempt is burnt. In the second all go through."""
    half = trial.options.minutes * 30
    holding.hold(trial.scene.data, "clamd")
    trial.people.send(trial.options.rate, half)
    burnt = _burnt(trial)
    trial.findings += [Finding(LOST, id_, "an attempt was burnt while there was no clamd") for id_ in burnt]
    waiting = _count(trial, "status = 'validated'")
    trial.told |= {"waited": waiting, "attempts_burnt": len(burnt)}
    trial.tell(f"clamd comes back; {waiting} wait for it, {len(burnt)} have lost an attempt")
    holding.resume(trial.scene.data, "clamd")
    trial.healed_at, back = time.monotonic(), time.time()
    sending = Thread(target=trial.people.send, args=(trial.options.rate, half))
    sending.start()
    _until(trial, lambda: not _count(trial, f"{_UNDER_WAY} and received_at < to_timestamp({back})"))
    trial.told["all_through_seconds"] = _since(trial.healed_at)
    trial.tell(f"all that waited are through {trial.told['all_through_seconds']} s after clamd began to start")
    sending.join()
    trial.healed_at = time.monotonic()
    _within(trial, "clamd-down", "all_through_seconds", half)


def flushall(trial: Trial) -> None:
    """The broker is emptied with 500 versions under way: all end."""
    holding.hold(trial.scene.data, "validate")  # or the first would have ended before the last have come
    while (under_way := _count(trial, _UNDER_WAY)) < AT_ONCE:
        trial.people.send(1000, 600, at_most=AT_ONCE - under_way + 10)
    holding.resume(trial.scene.data, "validate")
    _until(trial, lambda: _count(trial, "status in ('validated', 'clean')") > 0)
    trial.told["under_way"] = _count(trial, _UNDER_WAY)
    faults.flush(trial.scene.breaker.broker_url)
    trial.healed_at, at = time.monotonic(), time.time()
    trial.tell(f"the broker is emptied with {trial.told['under_way']} versions under way")
    _until(trial, lambda: _count(trial, f"status_at > to_timestamp({at + 1}) and status <> 'pending'") > 0)
    trial.told["moves_again_seconds"] = _since(trial.healed_at)
    _until(trial, lambda: not _count(trial, _UNDER_WAY))
    trial.told["recovered_seconds"] = _since(trial.healed_at)
    trial.tell(f"all have ended {trial.told['recovered_seconds']} s after")
    trial.healed_at = time.monotonic()


def half_open(trial: Trial) -> None:
    """Every connection to the broker stands still and stays so: work goes on by new ones within 30 seconds.

    It goes on when an upload that came after has passed every stage; what had piled up takes longer.
    """
    third = trial.options.minutes * 20
    sending = Thread(target=trial.people.send, args=(trial.options.rate, 3 * third))
    sending.start()
    trial.people.stop.wait(third)
    held = trial.scene.breaker.gates["valkey"].hold()
    began, at = time.monotonic(), time.time()
    trial.tell(f"{len(held)} connections to the broker are half-open")
    try:
        _until(trial, lambda: _count(trial, f"status = 'available' and received_at > to_timestamp({at})") > 0)
        trial.told["recovered_seconds"] = _since(began)
        trial.tell(f"work goes on after {trial.told['recovered_seconds']} s")
        _until(trial, lambda: not _count(trial, f"{_UNDER_WAY} and received_at < now() - interval '{OLD_SECONDS} s'"))
        trial.told["caught_up_seconds"] = _since(began)
        trial.tell(f"nothing older than {OLD_SECONDS} s is under way after {trial.told['caught_up_seconds']} s")
    finally:
        sending.join()
        trial.scene.breaker.gates["valkey"].free(held, reset=True)
        trial.healed_at = time.monotonic()
    _within(trial, "half-open", "recovered_seconds", RECOVERS_WITHIN_SECONDS)


@dataclass(frozen=True)
class Scenario:
    """What is done, and the settings that it needs."""

    act: Callable[[Trial], None]
    settings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


BY_NAME = {
    "clamd-down": Scenario(clamd_down),
    "flushall": Scenario(flushall, {"OWNER_PLACES": str(AT_ONCE)}),  # all of them in the queue, not before it
    "half-open": Scenario(half_open),
}


def _within(trial: Trial, scenario: str, figure: str, most: float) -> None:
    if trial.told[figure] > most:
        trial.findings.append(Finding(UNEXPLAINED, scenario, f"{figure}: {trial.told[figure]}, at most {most:g}"))


def _burnt(trial: Trial) -> list[str]:
    """Return whose attempts are counted at every look: one that is just being made is given back."""
    found: set[str] | None = None
    for _ in range(LOOKS):
        sql = "select id::text from pipeline_documentversion where attempts > 0"
        now = {id_ for (id_,) in query(trial.scene.running, sql)}
        found = now if found is None else found & now
        trial.people.stop.wait(0.7)
    return sorted(found or ())


def _count(trial: Trial, where: str) -> int:
    return int(query(trial.scene.running, f"select count(*) from pipeline_documentversion where {where}")[0][0])


def _until(trial: Trial, true: Callable[[], bool]) -> None:
    limit = time.monotonic() + PATIENCE_SECONDS
    while not true() and time.monotonic() < limit and not trial.people.stop.wait(0.3):
        pass


def _since(began: float) -> float:
    return round(time.monotonic() - began, 1)
