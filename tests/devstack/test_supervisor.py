"""Order, restarts and the end, with small programs in place of the servers."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from devstack import supervisor as module
from devstack.parts import CannotStart, Command, Part
from devstack.supervisor import PartFailed, Supervisor

News = list[tuple[str, str]]
ENV = {"PATH": "/usr/bin:/bin"}


def chore(name: str, script: str, *needs: str) -> Part:
    """A part that is ready when it has ended."""
    return Part(name, lambda: Command(("sh", "-c", script), ENV), needs=needs)


def server(name: str, script: str, *needs: str, ready: Callable[[], bool] = lambda: True) -> Part:
    """A part that is meant to stay."""
    return Part(name, lambda: Command(("sh", "-c", f"exec {script}"), ENV), ready, needs=needs, server=True)


class Stage:
    """A supervisor over some parts, and what it has told."""

    def __init__(self, folder: Path, *parts: Part) -> None:
        self.news: News = []
        (folder / "logs").mkdir(exist_ok=True)
        self.supervisor = Supervisor(parts, data=folder, cwd=folder, say=lambda n, s, _: self.news.append((n, s)))

    def until(self, true: Callable[[], bool], seconds: float = 10) -> None:
        """Step until something is true."""
        limit = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < limit, self.news
            self.supervisor.step()
            time.sleep(0.01)

    def until_complete(self) -> None:
        """Step until all is ready."""
        self.until(lambda: self.supervisor.complete)

    def stop(self) -> None:
        """End it all."""
        self.supervisor.stop(lambda: False)


def test_a_part_starts_when_what_it_needs_is_ready(tmp_path: Path) -> None:
    stage = Stage(
        tmp_path, chore("migrate", "true", "db"), server("web", "sleep 60", "migrate"), server("db", "sleep 60")
    )
    stage.until_complete()
    stage.stop()
    order = [event for event in stage.news if event[0] != "stack"]
    assert order.index(("db", "ready")) < order.index(("migrate", "starting"))
    assert order.index(("migrate", "ready")) < order.index(("web", "starting"))


def test_what_needs_nothing_starts_at_once_beside_the_slow(tmp_path: Path) -> None:
    stage = Stage(tmp_path, server("slow", "sleep 60", ready=lambda: False), server("quick", "sleep 60"))
    stage.until(lambda: ("quick", "ready") in stage.news)
    stage.stop()
    assert ("slow", "starting") in stage.news


def test_a_part_that_has_nothing_to_run_is_ready(tmp_path: Path) -> None:
    stage = Stage(tmp_path, Part("initdb", lambda: None))
    stage.until_complete()
    stage.stop()
    assert ("initdb", "starting") not in stage.news


def test_a_chore_that_fails_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    stage = Stage(tmp_path, chore("migrate", "echo no such table; exit 3"))
    with pytest.raises(PartFailed, match=r"migrate: ended with 3\nno such table"):
        stage.until_complete()
    stage.stop()


def test_a_server_that_dies_before_all_is_ready_is_a_failure(tmp_path: Path) -> None:
    stage = Stage(tmp_path, server("s3", "false", ready=lambda: False))
    with pytest.raises(PartFailed, match="s3: ended with 1"):
        stage.until_complete()
    stage.stop()


def test_a_part_that_takes_too_long_is_a_failure(tmp_path: Path) -> None:
    slow = Part("s3", lambda: Command(("sleep", "60"), ENV), lambda: False, seconds=0.1)
    stage = Stage(tmp_path, slow)
    with pytest.raises(PartFailed, match="s3: not ready after 0 s"):
        stage.until_complete()
    stage.stop()


def test_a_part_that_cannot_run_here_says_why(tmp_path: Path) -> None:
    def nothing() -> Command:
        raise CannotStart("there is none for this platform")

    stage = Stage(tmp_path, Part("s3", nothing, lambda: True))
    with pytest.raises(PartFailed, match="none for this platform"):
        stage.until_complete()
    stage.stop()


def test_a_server_that_is_killed_later_is_started_again_and_its_pid_told_anew(tmp_path: Path) -> None:
    stage = Stage(tmp_path, server("valkey", "sleep 60"), server("s3", "sleep 60"))
    stage.until_complete()
    first = dict(stage.supervisor.pids())
    os.kill(first["valkey"], signal.SIGKILL)
    stage.until(lambda: stage.news.count(("valkey", "ready")) == 2)
    second = dict(stage.supervisor.pids())
    stage.stop()
    assert second["valkey"] != first["valkey"]
    assert second["s3"] == first["s3"]


def test_one_that_keeps_dying_waits_longer_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.1)
    alive = tmp_path / "alive"
    alive.touch()
    stage = Stage(tmp_path, server("flaky", f"sh -c 'while [ -e {alive} ]; do sleep 0.02; done'"))
    stage.until_complete()
    alive.unlink()
    began = time.monotonic()
    stage.until(lambda: stage.news.count(("flaky", "restarting")) == 4)
    stage.stop()
    assert time.monotonic() - began > 0.1 + 0.2 + 0.4


def test_our_own_processes_end_before_the_servers_do(tmp_path: Path) -> None:
    told = tmp_path / "told"
    speak = "exec sh -c 'trap \"echo {0} >> {1}; exit\" TERM; while :; do sleep 0.02; done'"
    own = Part("web", lambda: Command(("sh", "-c", speak.format("web", told)), ENV), lambda: True)
    db = Part("db", lambda: Command(("sh", "-c", speak.format("db", told)), ENV), lambda: True, server=True)
    stage = Stage(tmp_path, db, own)
    stage.until_complete()
    time.sleep(0.3)  # until the shells have set their traps
    stage.stop()
    assert told.read_text().split() == ["web", "db"]


def test_after_the_end_nothing_is_noted_as_running(tmp_path: Path) -> None:
    stage = Stage(tmp_path, server("db", "sleep 60"))
    stage.until_complete()
    assert (tmp_path / "processes.json").exists()
    stage.stop()
    assert not (tmp_path / "processes.json").exists()


def test_a_held_part_is_stopped_and_stays_so_until_it_is_resumed(tmp_path: Path) -> None:
    stage = Stage(tmp_path, server("db", "sleep 60"), server("web", "sleep 60", "db"))
    stage.until_complete()
    (tmp_path / "held").mkdir()
    (tmp_path / "held" / "db").touch()
    stage.until(lambda: ("db", "held") in stage.news)
    for _ in range(20):
        stage.supervisor.step()
    assert set(stage.supervisor.pids()) == {"web"}
    (tmp_path / "held" / "db").unlink()
    stage.until(lambda: set(stage.supervisor.pids()) == {"db", "web"})
    stage.stop()


def test_a_held_part_that_will_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SERVER_GRACE", 0.2)
    stage = Stage(
        tmp_path,
        Part("db", lambda: Command(("sh", "-c", "trap '' TERM; sleep 60 & wait; sleep 60"), ENV), lambda: True),
    )
    stage.until_complete()
    (tmp_path / "held").mkdir()
    (tmp_path / "held" / "db").touch()
    stage.until(lambda: ("db", "held") in stage.news)
    stage.stop()
