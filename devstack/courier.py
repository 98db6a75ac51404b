"""Carries one sample through the service, and judges where it ended.

`carry` is the story of one upload as its sender lives it. It writes what it sees into a `Passage`,
which `board` shows and `demo` reports.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import requests

from devstack.client import Client, Json, Refused
from devstack.samples import Conduct, Sample

ENDED = frozenset({"available", "expired", "rejected", "infected", "recalled"})
STUCK = "stuck"  # stands where it is until an admin acts: as good as an end for whoever waits
STEPS = ("request", "upload", "receive", "validate", "scan", "finalize")
# What the API's moments say of how long each step of the service took.
MOMENTS = {
    "validate": ("received_at", "validated_at"),
    "scan": ("validated_at", "scanned_at"),
    "finalize": ("scanned_at", "available_at"),
}
FAULTS = (requests.RequestException, KeyError, TypeError, ValueError)  # what a wrong answer raises
FIRST_WAIT, LONGEST_WAIT = 0.1, 0.5
PATIENCE_SECONDS = 90
SLOWEST_BYTES_PER_SECOND = 2 * 1024 * 1024


class Stopped(Exception):
    """The demo is being stopped; nobody waits for this upload any more."""


@dataclass(eq=False)
class Passage:
    """How one sample fares. Written by its own thread only, read by whoever shows it."""

    sample: Sample
    status: str = "waiting"
    reason_code: str | None = None
    reason: str = ""
    version: int | None = None
    id: str = ""
    began: float | None = None
    finished: float | None = None
    steps: dict[str, float] = field(default_factory=dict)
    intact: bool | None = None
    over: bool = False
    received: threading.Event = field(default_factory=threading.Event)

    @property
    def seconds(self) -> float:
        """From the first call to the end, as the sender lives it; so far, while it is under way."""
        if self.began is None:
            return 0.0
        return (self.finished or time.monotonic()) - self.began

    def as_expected(self) -> bool:
        """True when it came to the end that its sample names, and its bytes came back unchanged."""
        sample = self.sample
        return (
            self.over
            and self.status == sample.expected
            and sample.reason_code in (None, self.reason_code)
            and sample.version in (None, self.version)
            and (self.status != "available" or self.intact is True)
        )

    def as_json(self) -> Json:
        """Its line of the `--json` report."""
        return {
            "name": self.sample.name,
            "expected": self.sample.expected,
            "status": self.status,
            "reason_code": self.reason_code,
            "version": self.version,
            "seconds": round(self.seconds, 3),
            "steps": {step: round(seconds, 3) for step, seconds in self.steps.items()},
        }


@dataclass(frozen=True)
class Courier:
    """What one upload needs: a client of its own, its turn, a bell to stop, somebody to tell."""

    client: Client
    turns: threading.Semaphore  # how many send at once; the waiting afterwards takes no turn
    stop: threading.Event
    tell: Callable[[Passage], None]

    def carry(self, passage: Passage, after: Passage | None = None) -> None:
        """Take one sample from its announcement to its end; fetch it back where it is available.

        Never raises for what the service does: a refusal is the passage's end, as a fault is.
        """
        try:
            self._wait_for(after)
            with self.turns:
                self._send(passage)
            self._follow(passage)
            self._compare(passage)
        except Refused as refusal:
            self._ended(passage, "refused", refusal.code, str(refusal))
        except FAULTS as fault:
            self._ended(passage, "failed", "fault", f"{type(fault).__name__}: {fault}")
        except Stopped:
            self._ended(passage, "stopped", None, "")
        else:
            self._ended(passage, passage.status, passage.reason_code, passage.reason)

    def _send(self, passage: Passage) -> None:
        """The three calls, in order; a sample that is never sent stops after the first."""
        sample = passage.sample
        passage.began = time.monotonic()
        self._becomes(passage, "requested")
        with clocked(passage, "request"):
            ticket = self.client.begin(announced(sample))
        passage.id = ticket.id
        if sample.conduct is Conduct.NEVER_SENDS:
            return
        self._becomes(passage, "uploading")
        with clocked(passage, "upload"):
            self.client.send(ticket, sample.filename, sample.body, sample.content_type)
        with clocked(passage, "receive"):
            self.client.complete(ticket.id)

    def _follow(self, passage: Passage) -> None:
        """Ask until the version has ended; give up when it takes unreasonably long."""
        patience = PATIENCE_SECONDS + len(passage.sample.body) / SLOWEST_BYTES_PER_SECOND
        give_up = time.monotonic() + patience
        wait = FIRST_WAIT
        while not self._seen(passage, self.client.show(passage.id)):
            if time.monotonic() > give_up:
                raise ValueError(f"still {passage.status} after {patience:.0f} s")
            if self.stop.wait(wait):
                raise Stopped
            wait = min(wait * 1.3, LONGEST_WAIT)

    def _compare(self, passage: Passage) -> None:
        """Fetch what is available, and see whether it is what was sent."""
        passage.finished = time.monotonic()
        if passage.status == "available":
            passage.intact = self.client.fetch(passage.id) == passage.sample.body

    def _seen(self, passage: Passage, told: Json) -> bool:
        """Note what the API says; True when it is the end."""
        passage.steps.update(stage_seconds(told))
        passage.reason_code = told.get("reason_code") or None
        passage.reason = told.get("reason") or ""
        passage.version = told.get("version")
        self._becomes(passage, str(told["status"]))
        if passage.status != "pending":
            passage.received.set()
        return passage.status in ENDED or passage.reason_code == STUCK

    def _becomes(self, passage: Passage, status: str) -> None:
        if passage.status != status:
            passage.status = status
            self.tell(passage)

    def _ended(self, passage: Passage, status: str, code: str | None, words: str) -> None:
        passage.reason_code, passage.reason = code, words
        passage.finished = passage.finished or time.monotonic()
        passage.over = True
        passage.received.set()  # whoever follows must not wait for ever
        self._becomes(passage, status)

    def _wait_for(self, after: Passage | None) -> None:
        while after and not after.received.wait(0.1):
            if self.stop.is_set():
                raise Stopped


@contextmanager
def clocked(passage: Passage, step: str) -> Iterator[None]:
    """Note how long the block took as that step of the passage, on the client's clock."""
    began = time.monotonic()
    yield
    passage.steps[step] = time.monotonic() - began


def announced(sample: Sample) -> Json:
    """What the sender says of a sample beforehand; the liar gives the hash of other bytes."""
    honest = sample.conduct is not Conduct.OTHER_BYTES
    return {
        "name": sample.name,
        "doc_type": sample.doc_type,
        "filename": sample.filename,
        "content_type": sample.content_type,
        "size": len(sample.body),
        "sha256": hashlib.sha256(sample.body if honest else b"other bytes").hexdigest(),
    }


def stage_seconds(told: Json) -> dict[str, float]:
    """How long the service's own steps took, by the moments in its answer; the ended ones only."""
    moment = datetime.fromisoformat
    return {
        step: (moment(told[end]) - moment(told[start])).total_seconds()
        for step, (start, end) in MOMENTS.items()
        if told.get(start) and told.get(end)
    }
