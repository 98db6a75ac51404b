"""What goes into the image, what it becomes, and how it is asked whether it is well."""

import http.server
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.places import ROOT
from tests.deploy.files import DEPLOY, PROCESSES, assigned, filled, may_be_empty, required

DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
HEALTH = (sys.executable, str(DEPLOY / "health.py"))


def test_the_image_has_all_of_our_packages_and_none_for_development() -> None:
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    copied = set(re.findall(r"^COPY (\w+) \1$", DOCKERFILE, re.MULTILINE))
    assert copied == folders - {"bench", "devstack", "tests"}


def test_the_image_is_not_run_by_root() -> None:
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == ["10001:10001"]


def test_packages_are_installed_by_hash_and_without_those_for_development() -> None:
    assert "--require-hashes" in DOCKERFILE
    assert "requirements.lock" in DOCKERFILE
    assert "requirements-dev" not in DOCKERFILE


def test_nothing_is_sent_to_the_build_that_is_not_named() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    assert "!.env" not in lines
    assert {line[1:] for line in lines if line.startswith("!")} >= {"manage.py", "Procfile", "requirements.lock"}


@pytest.mark.parametrize("name", PROCESSES)
def test_the_entrypoint_becomes_the_line_of_the_procfile(name: str, tmp_path: Path) -> None:
    for program in ("gunicorn", "celery", "python"):
        (tmp_path / program).write_text('#!/bin/sh\necho "$$" "${0##*/}" "$@"\n')
        (tmp_path / program).chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.defpath}", "FLOWER_BASIC_AUTH": "a:b", "FLOWER_SOCKET": "/s"}
    said = subprocess.run(["sh", "-c", PROCESSES[name]], env=env, capture_output=True, text=True, check=True)
    with subprocess.Popen([DEPLOY / "run.sh", name], env=env, stdout=subprocess.PIPE, text=True) as ours:
        pid, _, words = ours.communicate()[0].partition(" ")
    assert words == said.stdout.partition(" ")[2]
    assert int(pid) == ours.pid  # no shell stands between it and the signals


def test_the_entrypoint_becomes_any_other_command(tmp_path: Path) -> None:
    ran = subprocess.run([DEPLOY / "run.sh", "echo", "web"], capture_output=True, text=True, check=True)
    assert ran.stdout == "web\n"


def test_new_secrets_are_for_their_owner_and_never_replaced(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for path in (first, second):
        subprocess.run([sys.executable, DEPLOY / "newenv.py", "--out", path], check=True)
    assert first.stat().st_mode & 0o777 == 0o600
    assert required() <= set(assigned(first))
    addresses = {"ALLOWED_HOSTS", "S3_PUBLIC_ENDPOINT_URL", "S3_ALLOWED_ORIGINS", "PUBLIC_URL"}
    secrets = required() - addresses - may_be_empty()
    assert all(assigned(first)[name] != assigned(second)[name] for name in secrets)
    before = first.read_text()
    again = subprocess.run([sys.executable, DEPLOY / "newenv.py", "--out", first], capture_output=True, check=False)
    assert again.returncode == 1
    assert first.read_text() == before


def added(out: Path, *names: str) -> "subprocess.CompletedProcess[str]":
    """Ask for variables that a newer release wants."""
    argv = [sys.executable, str(DEPLOY / "newenv.py"), "--out", str(out), "--add", *names]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_what_a_newer_release_asks_for_is_appended_and_nothing_that_is_there_changes(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("SECRET_KEY=kept\nPOSTGRES_PASSWORD=kept")
    assert added(tmp_path / "env", "DATABASE_WEB_PASSWORD", "DATABASE_WORKER_PASSWORD").returncode == 0
    now = assigned(tmp_path / "env")
    assert {name for name, value in now.items() if value == "kept"} == {"SECRET_KEY", "POSTGRES_PASSWORD"}
    assert now.keys() == {"SECRET_KEY", "POSTGRES_PASSWORD", "DATABASE_WEB_PASSWORD", "DATABASE_WORKER_PASSWORD"}


@pytest.mark.parametrize("name", ["SECRET_KEY", "NO_SUCH_VARIABLE"])
def test_nothing_is_appended_if_one_of_the_names_is_there_or_unknown(name: str, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("SECRET_KEY=kept\n")
    refused = added(tmp_path / "env", "DATABASE_WEB_PASSWORD", name)
    assert refused.returncode == 1
    assert name in refused.stderr
    assert (tmp_path / "env").read_text() == "SECRET_KEY=kept\n"


def test_nothing_is_appended_to_a_file_that_is_not_there(tmp_path: Path) -> None:
    refused = added(tmp_path / "env", "DATABASE_WEB_PASSWORD")
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "env").exists()


@pytest.mark.parametrize(
    ("service", "lacks"),
    [
        ("migrate", []),  # where wrong settings stop the start
        ("web", []),
        ("scan", ["strongroom.E006"]),  # MFA_ENCRYPTION_KEYS: not for who reads strangers' files
        ("metrics", ["strongroom.E006"]),
    ],
)
def test_django_is_content_with_what_compose_gives_our_processes(
    service: str, lacks: list[str], tmp_path: Path
) -> None:
    made = tmp_path / "env"
    urls = ("--web", "https://strongroom.example", "--files", "https://files.example")
    subprocess.run([sys.executable, DEPLOY / "newenv.py", *urls, "--out", made], check=True)
    env = {"PATH": os.environ["PATH"], **filled(service, assigned(made))}
    check = (sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING")
    checked = subprocess.run(check, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert re.findall(r"\((\w+\.[EW]\d+)\)", checked.stderr) == lacks, checked.stderr
    assert checked.returncode == (1 if lacks else 0)


@pytest.fixture
def answers() -> Iterator[dict[str, int]]:
    """A server at `port` that answers `status` to the host that a web process would answer to."""
    said = {"status": 200, "port": 0}

    class Web(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(said["status"] if self.headers["Host"] == "strongroom.example" else 400)
            self.end_headers()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        said["port"] = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield said
        server.shutdown()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_a_web_container_is_as_well_as_it_says(answers: dict[str, int], status: int, code: int) -> None:
    answers["status"] = status
    env = {**os.environ, "ALLOWED_HOSTS": "strongroom.example,other", "PORT": str(answers["port"])}
    assert subprocess.run([*HEALTH, "web"], env=env, check=False, capture_output=True).returncode == code


@pytest.mark.parametrize("kind", [("web",), ("metrics",), ("flower",), ("worker", "scan")])
def test_a_container_that_does_not_answer_is_not_well(kind: tuple[str, ...], tmp_path: Path) -> None:
    nobody = {
        "ALLOWED_HOSTS": "strongroom.example",
        "PORT": "1",
        "METRICS_BIND": "127.0.0.1:1",
        "FLOWER_SOCKET": str(tmp_path / "none"),
        "BROKER_URL": "redis://127.0.0.1:1/0",
    }
    ran = subprocess.run([*HEALTH, *kind], env={**os.environ, **nobody}, check=False, capture_output=True, text=True)
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
