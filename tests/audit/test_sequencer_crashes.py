"""Sequencers and the database die again and again under load: nothing is lost, doubled or out of order."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from django.db import connection

from devstack.launch import running
from devstack.places import ROOT

KILLS = 30


def database_url() -> str:
    """The tests' own database, for another process."""
    here = connection.settings_dict
    return f"postgres://{here['USER']}:{here['PASSWORD']}@{here['HOST']}:{here['PORT']}/{here['NAME']}"


def storm(env: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Let it begin."""
    argv = [sys.executable, "-m", "tests.audit.storm", str(KILLS)]
    return subprocess.Popen(argv, cwd=ROOT, env=env, stdout=subprocess.PIPE)


def until_events(url: str, count: int) -> None:
    """Wait until the log has so many."""
    with closing(psycopg2.connect(url)) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute("SELECT count(*) FROM audit_event")
        while cursor.fetchall()[0][0] < count:
            time.sleep(0.1)
            cursor.execute("SELECT count(*) FROM audit_event")


def after(storm: "subprocess.Popen[bytes]") -> dict[str, Any]:
    """What it left."""
    told, _ = storm.communicate(timeout=240)
    assert storm.returncode == 0
    found: dict[str, Any] = json.loads(told.splitlines()[-1])
    return found


def assert_all_is_well(found: dict[str, Any], env: Mapping[str, str]) -> None:
    """Nothing lost, doubled or out of order, and the log examines itself and finds nothing."""
    print(found)
    assert found["killed"] >= KILLS
    assert found["committed"] >= 100
    assert (found["lost"], found["phantom"], found["doubled"], found["waiting"]) == ([], [], 0, 0)
    assert (found["gaps"], found["out_of_order"], found["root_is_right"]) == (0, 0, True)
    assert found["private_parts_without_event"] == 0
    command = [sys.executable, "manage.py", "audit", "verify", "--no-bucket"]
    verified = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert verified.returncode == 0, verified.stderr
    assert verified.stdout.startswith(f"VERIFIED: {found['sequenced']} events")


@pytest.mark.django_db(transaction=True)
def test_thirty_killed_sequencers_lose_and_double_nothing() -> None:
    env = {**os.environ, "DATABASE_URL": database_url()}
    connection.close()
    assert_all_is_well(after(storm(env)), env)


@pytest.mark.all_only("starts servers of its own, and kills PostgreSQL")
@pytest.mark.timeout(600)
def test_a_crash_of_postgresql_in_the_middle_loses_and_doubles_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "stack", processes=False) as stack:
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=ROOT, env=stack.env, check=True, timeout=120)
        raging = storm(stack.env)
        until_events(stack.env["DATABASE_URL"], 150)
        os.kill(json.loads(stack.path.read_text())["pids"]["postgres"], signal.SIGKILL)
        found = after(raging)
        assert found["unknown"] > 0
        assert_all_is_well(found, stack.env)
