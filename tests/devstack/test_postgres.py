"""What an earlier PostgreSQL may have left behind."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack import processes
from devstack.postgres import binary, clear_stale_pid


@pytest.fixture
def stranger() -> Iterator[int]:
    """The pid of some other program."""
    with subprocess.Popen(["sleep", "60"]) as other:
        yield other.pid
        other.kill()


@pytest.fixture
def namesake(tmp_path: Path) -> Iterator[int]:
    """The pid of a program called postgres."""
    program = tmp_path / "postgres"
    shutil.copy(shutil.which("sleep") or "sleep", program)
    with subprocess.Popen([program, "60"]) as other:
        while processes.program(other.pid) != "postgres":  # the kernel renames it a moment after it runs
            pass
        yield other.pid
        other.kill()


def test_a_pid_file_that_names_a_stranger_is_removed_and_the_stranger_lives(tmp_path: Path, stranger: int) -> None:
    (tmp_path / "postmaster.pid").write_text(f"{stranger}\n/data\n")
    clear_stale_pid(tmp_path)
    assert not (tmp_path / "postmaster.pid").exists()
    assert Path(f"/proc/{stranger}").exists()


def test_a_pid_file_of_a_postgres_that_runs_stays(tmp_path: Path, namesake: int) -> None:
    (tmp_path / "postmaster.pid").write_text(f"{namesake}\n/data\n")
    clear_stale_pid(tmp_path)
    assert (tmp_path / "postmaster.pid").exists()


@pytest.mark.parametrize("content", ["", "not a number\n", "999999999\n/data\n"])
def test_a_pid_file_that_names_nobody_is_removed(tmp_path: Path, content: str) -> None:
    (tmp_path / "postmaster.pid").write_text(content)
    clear_stale_pid(tmp_path)
    assert not (tmp_path / "postmaster.pid").exists()


def test_no_pid_file_is_no_trouble(tmp_path: Path) -> None:
    clear_stale_pid(tmp_path)


def test_the_servers_program_is_found_without_the_wheels_python() -> None:
    assert binary("postgres").exists()
