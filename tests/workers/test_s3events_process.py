"""The process that S3's queue is read by: it starts, works, waits out an outage and stops when it is told to."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from moto.server import ThreadedMotoServer
from pytest_django import Settings

from devstack.places import ROOT
from identity.models import User
from pipeline import arrivals
from pipeline.models import Status
from tests import factories
from tests.workers.arriving import greeted, left, posted, put, status, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("cloud")]

Process = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def process(settings: Settings) -> Iterator[Process]:
    """Start `python -m workers.s3events` on the tests' own database; whatever becomes of it, it ends."""
    started = []

    def start(**changes: str) -> "subprocess.Popen[str]":
        here: dict[str, Any] = connection.settings_dict
        names = ("S3_ENDPOINT_URL", "S3_EVENTS_ENDPOINT_URL", "S3_EVENTS_QUEUE_URL", "S3_EVENTS_DEAD_QUEUE_URL")
        login = f"{here['USER']}:{here['PASSWORD']}@{here['HOST']}:{here['PORT']}"
        database = {"DATABASE_URL": f"postgres://{login}/{here['NAME']}"}
        env = {**os.environ, **{name: getattr(settings, name) for name in names}, **database, **changes}
        argv = [sys.executable, "-m", "workers.s3events"]
        begun = subprocess.Popen(argv, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)
        started.append(begun)
        return begun

    yield start
    for one in started:
        one.kill()
        one.communicate()


def stopped(running: "subprocess.Popen[str]") -> tuple[int, str]:
    """SIGTERM; its exit code and last words, which it has seconds for."""
    running.terminate()
    _, said = running.communicate(timeout=5)
    return running.returncode, said


def test_the_process_receives_and_stops_in_the_middle_of_a_long_poll(alice: User, process: Process) -> None:
    running = process()
    version = factories.begun(alice)
    posted(version)
    until(lambda: status(version) == Status.RECEIVED)
    until(lambda: left() == (0, 0))
    code, said = stopped(running)
    assert (code, "s3events_stopped" in said, "Traceback" in said) == (0, True, False)


def test_told_to_stop_it_finishes_what_it_has_in_hand(alice: User, process: Process) -> None:
    greeted()
    versions = [factories.begun(alice, name=str(i)) for i in range(arrivals.BATCH)]
    for version in versions:
        put(version)
    running = process()
    until(lambda: Status.RECEIVED in {status(version) for version in versions})
    assert stopped(running)[0] == 0
    waiting, in_hand = left()
    received = sum(status(version) == Status.RECEIVED for version in versions)
    assert (in_hand, received + waiting) == (0, len(versions))


def free_port() -> int:
    """One at which nothing listens."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


@contextmanager
def served_at(port: int) -> Iterator[None]:
    """The same cloud at a second address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    yield
    server.stop()


def test_while_s3_is_away_it_takes_nothing_and_then_goes_on(alice: User, process: Process) -> None:
    greeted()
    versions = [factories.begun(alice, name=str(i)) for i in range(3)]
    for version in versions:
        put(version)
    port = free_port()
    running = process(S3_ENDPOINT_URL=f"http://127.0.0.1:{port}")
    assert running.stderr is not None
    waits = (line for line in running.stderr if '"s3events_waits"' in line)
    next(waits), next(waits)  # once with a message in hand, once having looked first
    assert sum(left()) == 3
    with served_at(port):
        until(lambda: {status(version) for version in versions} == {Status.RECEIVED}, 40)
        assert stopped(running)[0] == 0


def test_without_a_queue_it_says_so_and_ends(process: Process) -> None:
    running = process(S3_EVENTS_QUEUE_URL="")
    _, said = running.communicate(timeout=30)
    assert running.returncode == 1
    assert said.startswith("s3events: S3_EVENTS_QUEUE_URL is empty.")


def test_an_interrupt_from_the_keyboard_ends_it_too(process: Process) -> None:
    running = process()
    assert running.stderr is not None
    assert any("s3events_started" in line for line in running.stderr)
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=5) == 0
