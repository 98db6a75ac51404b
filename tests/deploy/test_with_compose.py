"""The compose file as Compose itself reads it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from devstack.places import ROOT
from tests.deploy import debian
from tests.deploy.files import DEPLOY, SERVICES, required

pytestmark = [pytest.mark.all_only("needs Docker Compose"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Debian's Compose; where it cannot be had the tests fail."""
    return debian.compose(tmp_path_factory.mktemp("compose"))


def config(compose: Path, env_file: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    argv = [str(compose), "--project-directory", str(ROOT), "--env-file", str(env_file), "config", *words]
    env = {"PATH": os.environ["PATH"], "HOME": str(env_file.parent)}
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A new .env."""
    subprocess.run([sys.executable, DEPLOY / "newenv.py", "--out", tmp_path / "env"], check=True)
    return tmp_path / "env"


def test_compose_accepts_the_file(compose: Path, made: Path) -> None:
    accepted = config(compose, made, "--quiet")
    assert accepted.returncode == 0, accepted.stderr
    assert not accepted.stderr


def test_compose_sees_the_services_that_we_see(compose: Path, made: Path) -> None:
    seen: dict[str, Any] = json.loads(config(compose, made, "--format", "json").stdout)["services"]
    assert set(seen) == set(SERVICES)
    assert all(service["read_only"] and service["cap_drop"] == ["ALL"] for service in seen.values())
    assert {name for name, service in seen.items() if service.get("ports")} == {"nginx"}
    assert {port["host_ip"] for port in seen["nginx"]["ports"]} == {"127.0.0.1"}
    assert seen["web"]["environment"]["S3_ACCESS_KEY_ID"] != seen["scan"]["environment"]["S3_ACCESS_KEY_ID"]


def test_compose_refuses_to_start_without_a_secret(compose: Path, made: Path) -> None:
    lines = made.read_text().splitlines()
    for name in sorted(required()):
        made.write_text("".join(f"{line}\n" for line in lines if not line.startswith(f"{name}=")))
        refused = config(compose, made, "--quiet")
        assert refused.returncode != 0, name
        assert name in refused.stderr
