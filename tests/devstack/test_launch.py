"""Real servers under a real supervisor: Ctrl-C and kill -9 at any moment, data that lasts, two at once."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg2
import pytest

from devstack import jsonfile, launch, processes
from devstack.launch import AlreadyRunning, StackFailed, running
from devstack.places import ROOT

RUN = (sys.executable, "-m", "devstack", "run")


@pytest.fixture(autouse=True)
def own_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """These stacks choose for themselves, whatever the one around the tests was told."""
    for name in ("WEB_PORT", "S3_PORT", "POSTGRES_PORT", "VALKEY_PORT", "METRICS_PORT"):
        monkeypatch.delenv(name, raising=False)


def noted(data: Path) -> dict[str, dict[str, object]]:
    """What the supervisor in `data` has written down of its processes."""
    return jsonfile.read(data / "processes.json")


def living(entries: dict[str, dict[str, object]]) -> list[str]:
    """Those that still run."""
    return [name for name, entry in entries.items() if processes.birth(int(str(entry["pid"]))) == entry["birth"]]


def touching(data: Path) -> list[str]:
    """Every process on the machine that has a file of `data` open or its path on its command line."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace")
            files = [str(link.readlink()) for link in (process / "fd").iterdir()]
        except OSError:
            continue
        if int(process.name) != os.getpid() and (str(data) in words or any(f.startswith(str(data)) for f in files)):
            found.append(words.replace("\0", " "))
    return found


def none_left(data: Path, seconds: float = 12) -> bool:
    """Wait until nothing touches `data`."""
    limit = time.monotonic() + seconds
    while touching(data) and time.monotonic() < limit:
        time.sleep(0.1)
    return not touching(data)


@contextmanager
def command(data: Path, *words: str) -> Iterator["subprocess.Popen[str]"]:
    """`devstack run` in `data`, as from a terminal."""
    argv = [*RUN, "--data", str(data), "--", *words]
    child = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    with child:
        yield child


def test_the_servers_serve_and_their_data_lasts_until_it_is_forgotten(tmp_path: Path) -> None:
    def tables(url: str) -> list[str]:
        connection = psycopg2.connect(url)
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            found = [row[0] for row in cursor.fetchall()]
            cursor.execute("CREATE TABLE IF NOT EXISTS kept ()")
        connection.close()
        return found

    seen = []
    for fresh in (False, False, True):
        with running(tmp_path, fresh=fresh, processes=False) as stack:
            seen.append(tables(stack.env["DATABASE_URL"]))
            assert stack.path.stat().st_mode & 0o777 == 0o600
    assert seen == [[], ["kept"], []]
    assert none_left(tmp_path)


def test_two_stacks_run_side_by_side_and_one_folder_has_one_stack(tmp_path: Path) -> None:
    with ExitStack() as both:
        one, two = (both.enter_context(running(tmp_path / name, processes=False)) for name in ("one", "two"))
        assert one.details["s3_endpoint"] != two.details["s3_endpoint"]
        before = noted(tmp_path / "one")
        with pytest.raises(AlreadyRunning), running(tmp_path / "one", processes=False):
            pass
        assert one.poll()
        assert noted(tmp_path / "one") == before
        assert {"postgres", "valkey", "s3", "clamd"} <= set(living(before))


def test_a_command_has_the_environment_and_its_exit_code_is_ours(tmp_path: Path) -> None:
    script = "import json, os, sys; print(json.dumps(dict(os.environ))); sys.exit(7)"
    with command(tmp_path, sys.executable, "-c", script) as child:
        env = json.loads(child.communicate()[0])
    assert child.returncode == 7
    assert env["STRONGROOM_STACK"] == str(tmp_path / "stack.json")
    assert {"DATABASE_URL", "BROKER_URL", "S3_ENDPOINT_URL", "CLAMD_ADDRESS", "AUDIT_ENCRYPTION_KEYS"} <= env.keys()
    assert not [name for name in env if name.startswith("AWS_")]


def test_a_server_that_is_killed_comes_back_at_the_same_address(tmp_path: Path) -> None:
    with running(tmp_path, processes=False) as stack:
        os.kill(stack.details["pids"]["postgres"], signal.SIGKILL)
        limit = time.monotonic() + 15
        while time.monotonic() < limit:
            try:
                psycopg2.connect(stack.env["DATABASE_URL"], connect_timeout=1).close()
                break
            except psycopg2.OperationalError:
                time.sleep(0.1)
        else:
            pytest.fail("postgres did not come back")


def test_the_supervisor_killed_leaves_no_orphan_and_the_next_start_works(tmp_path: Path) -> None:
    with pytest.raises(StackFailed, match="has ended"):
        kill_the_supervisor(tmp_path)
    assert none_left(tmp_path)
    with running(tmp_path, processes=False) as stack:
        assert stack.details["pids"]["postgres"]


def kill_the_supervisor(data: Path) -> None:
    """Start a stack, kill its supervisor, and watch until that is noticed."""
    with running(data, processes=False) as stack:
        pid = launch.supervisor_pid(data)
        assert pid is not None
        assert "postgres" in living(noted(data))
        os.kill(pid, signal.SIGKILL)
        while True:
            stack.poll(0.1)


def test_whoever_started_a_stack_and_is_killed_takes_it_along(tmp_path: Path) -> None:
    with command(tmp_path, sys.executable, "-c", "print('up', flush=True); import time; time.sleep(60)") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        child.kill()
    limit = time.monotonic() + 15
    while launch.supervisor_pid(tmp_path) and time.monotonic() < limit:
        time.sleep(0.1)
    assert not noted(tmp_path)


@pytest.mark.parametrize(
    ("number", "moment"),
    [(signal.SIGINT, 0.0), (signal.SIGTERM, 0.3), (signal.SIGINT, 0.7), (signal.SIGTERM, 1.5)],
)
def test_a_signal_at_any_moment_leaves_nothing(tmp_path: Path, number: signal.Signals, moment: float) -> None:
    with command(tmp_path, "sleep", "60") as child:
        while not (tmp_path / "logs").exists():  # Python itself has to start first
            time.sleep(0.01)
        time.sleep(moment)
        began = time.monotonic()
        child.send_signal(number)
        child.wait(20)
    assert child.returncode in (128 + number, -number)
    assert time.monotonic() - began < 15
    assert none_left(tmp_path, seconds=3)


def test_a_second_signal_ends_everything_at_once(tmp_path: Path) -> None:
    with command(tmp_path, sys.executable, "-c", "print('up', flush=True); import time; time.sleep(60)") as child:
        assert child.stdout is not None
        child.stdout.readline()
        began = time.monotonic()
        child.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        child.send_signal(signal.SIGTERM)
        child.wait(20)
    assert time.monotonic() - began < 2  # SeaweedFS alone takes longer to end in order
    assert none_left(tmp_path, seconds=3)
