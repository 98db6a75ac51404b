"""The whole stack in the background, by the commands that a person types."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from devstack import launch
from devstack.places import ROOT

pytestmark = [
    pytest.mark.all_only("starts every process of the stack, several times"),
    pytest.mark.timeout(400),
]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for a stack, which is stopped afterwards."""
    for name in ("WEB_PORT", "DOOR_PORT", "S3_PORT", "POSTGRES_PORT", "VALKEY_PORT", "METRICS_PORT"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path / "stack"
    stack("down", tmp_path / "stack")


def stack(command: str, data: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Type `bin/stack ...`."""
    argv = [str(ROOT / "bin" / "stack"), command, "--data", str(data), *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)


def family(pid: int) -> list[psutil.Process]:
    """A process and all below it."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def still_running(everything: list[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended. One that has, and that nobody has fetched yet, is no trouble."""
    return [process for process in everything if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def test_up_is_ready_when_it_returns_and_again_says_that_it_is_up_and_down_leaves_nothing(data: Path) -> None:
    first = stack("up", data)
    assert first.returncode == 0, first.stderr
    details = json.loads((data / "stack.json").read_text())
    assert {"postgres", "valkey", "s3", "web", "validate", "finalize", "reconcile"} <= details["pids"].keys()
    everything = family(launch.supervisor_pid(data) or 0)

    again = stack("up", data)
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, "already up")
    told = stack("status", data).stdout
    assert "web" in told
    assert details["flower"] in told
    assert details["flower"] in first.stdout
    assert not [
        s
        for account in details["accounts"].values()
        for s in (account["password"], account["totp_secret"])
        if s in told
    ]
    assert Path(details["mails"]).stat().st_mode & 0o077 == 0

    began = time.monotonic()
    assert stack("down", data).returncode == 0
    assert time.monotonic() - began < 15
    assert not still_running(everything)
    assert stack("down", data).returncode == 0
    assert stack("status", data).returncode == 3


def test_the_supervisor_killed_leaves_none_of_the_stack(data: Path) -> None:
    assert stack("up", data).returncode == 0
    supervisor = launch.supervisor_pid(data) or 0
    everything = family(supervisor)
    assert len(everything) > 14
    os.kill(supervisor, signal.SIGKILL)
    limit = time.monotonic() + 15
    while still_running(everything) and time.monotonic() < limit:
        time.sleep(0.1)
    assert not still_running(everything)


@pytest.mark.parametrize("moment", [0.5, 2.5, 4.0, 6.0, 9.0])
def test_ctrl_c_while_it_starts_leaves_nothing(data: Path, moment: float) -> None:
    command = [str(ROOT / "bin" / "stack"), "up", "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as up:
        time.sleep(moment)
        everything = family(up.pid)
        up.send_signal(signal.SIGINT)
        assert up.wait(20) != 0
    assert not still_running(everything)


def test_of_two_ups_at_once_both_find_it_up(data: Path) -> None:
    command = [str(ROOT / "bin" / "stack"), "up", "--data", str(data)]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in "ab"]
    assert [up.wait(200) for up in both] == [0, 0]


def test_a_process_that_fails_ends_the_start_with_its_last_words(data: Path, tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("web: sh -c 'echo the moon is gone; exit 4'\n")
    failed = stack("up", data, "--procfile", str(tmp_path / "Procfile"))
    assert failed.returncode == 1
    assert "web: ended with 4\nthe moon is gone" in failed.stderr
    assert launch.supervisor_pid(data) is None
