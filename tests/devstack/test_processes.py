"""Nothing outlives its supervisor, and nobody else's process is ever touched."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devstack import jsonfile, processes
from devstack.processes import Process, end_all, end_leftovers, note, spawn


def start(folder: Path, *argv: str, name: str = "sleeper") -> Process:
    """Start a program in the way a supervisor does."""
    return spawn(name, argv, env={"PATH": "/usr/bin:/bin"}, cwd=folder, log=folder / f"{name}.log")


def eventually(true: Callable[[], bool], seconds: float = 5) -> bool:
    """Wait for something to become true."""
    limit = time.monotonic() + seconds
    while not true() and time.monotonic() < limit:
        time.sleep(0.02)
    return true()


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """Somebody else's program."""
    with subprocess.Popen(["sleep", "60"]) as other:
        yield other
        other.kill()


def test_a_leftover_is_ended_by_the_next_start(tmp_path: Path) -> None:
    left = start(tmp_path, "sleep", "60")
    note(tmp_path / "processes.json", [left])
    assert end_leftovers(tmp_path / "processes.json") == ["sleeper"]
    assert left.popen.wait(1) == -signal.SIGTERM


def test_a_leftover_that_will_not_listen_is_killed_with_its_children(tmp_path: Path) -> None:
    left = start(tmp_path, "sh", "-c", 'trap "" TERM; sleep 60 & echo $!; while :; do sleep 0.05; done')
    assert eventually(lambda: processes.last_lines(left.log).isdigit())
    child = int(processes.last_lines(left.log))
    note(tmp_path / "processes.json", [left])
    end_leftovers(tmp_path / "processes.json", grace=0.2)
    assert left.popen.wait(1) == -signal.SIGKILL
    assert eventually(lambda: processes.birth(child) is None)


def test_a_pid_that_now_belongs_to_a_stranger_is_left_alone(tmp_path: Path, stranger: subprocess.Popen[bytes]) -> None:
    noted = {"postgres": {"pid": stranger.pid, "birth": "another boot/123", "signal": int(signal.SIGINT)}}
    jsonfile.write(tmp_path / "processes.json", noted)
    assert end_leftovers(tmp_path / "processes.json") == []
    assert stranger.poll() is None


def test_a_note_that_was_cut_off_harms_nobody(tmp_path: Path) -> None:
    (tmp_path / "processes.json").write_text('{"postgres": {"pid": 12')
    assert end_leftovers(tmp_path / "processes.json") == []


def test_children_end_with_the_program_that_left_them(tmp_path: Path) -> None:
    parent = start(tmp_path, "sh", "-c", "sleep 60 & echo $!")
    assert eventually(lambda: parent.exit_code() is not None)
    child = int(processes.last_lines(parent.log))
    assert eventually(lambda: processes.birth(child) is None)


def test_whoever_ignores_the_wish_to_end_is_killed_after_the_grace(tmp_path: Path) -> None:
    deaf = start(tmp_path, "sh", "-c", 'trap "" TERM; echo deaf; while :; do sleep 0.05; done')
    assert eventually(lambda: "deaf" in processes.last_lines(deaf.log))
    end_all([deaf], grace=0.2, hurry=lambda: False)
    assert deaf.exit_code() == -signal.SIGKILL


def test_in_a_hurry_nobody_is_given_time(tmp_path: Path) -> None:
    deaf = start(tmp_path, "sh", "-c", 'trap "" TERM; echo deaf; while :; do sleep 0.05; done')
    assert eventually(lambda: "deaf" in processes.last_lines(deaf.log))
    began = time.monotonic()
    end_all([deaf], grace=30, hurry=lambda: True)
    assert time.monotonic() - began < 2


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent has died")
def test_a_program_ends_when_its_supervisor_is_killed(tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from devstack.processes import spawn
print(spawn("x", ["sleep", "60"], env={{}}, cwd=Path("."), log=Path({str(tmp_path / "x")!r})).pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        child = int(supervisor.stdout.readline())
        supervisor.kill()
    assert eventually(lambda: processes.birth(child) is None)
