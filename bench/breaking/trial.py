"""The frame of every run: a stack, its people, an act that breaks things, then settling, evidence and the verdict."""

import argparse
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.breaking import checks, crowd, evidence, leftovers, report, settling, stage
from bench.breaking.checks import UNEXPLAINED, Finding

SETTLES_WITHIN_SECONDS = 90.0
PROGRESS_SECONDS = 15.0


@dataclass(eq=False)
class Trial:
    """A run: the stage, the people who send, what was found and what is told of it."""

    options: argparse.Namespace
    scene: stage.Stage
    people: crowd.Crowd
    tell: report.Teller
    told: dict[str, Any]
    findings: list[Finding] = field(default_factory=list)
    healed_at: float = 0.0
    """When the last fault was over."""


def judged(
    options: argparse.Namespace,
    seed: int,
    act: Callable[[Trial], None],
    *,
    settings: Mapping[str, str] | None = None,
) -> int:
    """Set the stage, have `act` break it, let it settle, check everything and report. Returns the exit code."""
    tell = report.Teller()
    with stage.set_up(tell, settings) as scene, leftovers.watching(scene.data) as watch:
        people = crowd.gathered(scene.running, seed, options.owners, stage.WINDOW_SECONDS)
        trial = Trial(options, scene, people, tell, {"seed": seed, "minutes": options.minutes})
        with _meanwhile(trial):
            act(trial)
        _settle(trial)
        trial.findings += checks.everything(people.accounts, evidence.gather(scene.running, people))
        trial.findings += [Finding(UNEXPLAINED, "orphan", words) for words in watch.orphans()]
        watch.look()
    trial.findings += [Finding(UNEXPLAINED, "it outlived the stack", words) for words in watch.survivors()]
    return _concluded(trial)


def _settle(trial: Trial) -> None:
    trial.healed_at = trial.healed_at or time.monotonic()
    settled = settling.settle(trial.scene.running, trial.people.stop, trial.tell)
    seconds = round(time.monotonic() - trial.healed_at, 1)
    trial.told |= {"settled_seconds": seconds, "ok": settled and seconds <= SETTLES_WITHIN_SECONDS}
    trial.tell(f"{'settled' if settled else 'NOT settled'} {seconds} s after the last fault; looking at everything")


def _concluded(trial: Trial) -> int:
    """Report. The stack's folder stays where something is wrong with it."""
    trial.told |= {**report.of_uploads(trial.people.accounts), **report.of_faults(trial.scene.breaker)}
    keep = bool(trial.findings) or not trial.told["ok"] or trial.options.keep
    code = report.conclude({**trial.told, **({"data": str(trial.scene.data)} if keep else {})}, trial.findings)
    if not keep:
        shutil.rmtree(trial.scene.data.parent, ignore_errors=True)
    return code


@contextmanager
def _meanwhile(trial: Trial) -> Iterator[None]:
    """Tell how it goes for the length of a block; whatever ends the block early ends clients and faults, too."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(PROGRESS_SECONDS):
            begun = list(trial.people.accounts)
            ended = sum(account.over for account in begun)
            trial.tell(f"    {len(begun)} uploads begun, {ended} sent; {len(trial.scene.breaker.done)} faults")

    teller = threading.Thread(target=go_on, name="progress", daemon=True)
    teller.start()
    try:
        yield
    except BaseException:
        trial.people.stop.set()
        trial.scene.breaker.stop.set()
        raise
    finally:
        over.set()
        teller.join()
