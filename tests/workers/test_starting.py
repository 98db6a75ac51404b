"""A start is on the record with digests of policy and configuration; nothing secret is in them, and nothing waits."""

import hashlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings as real
from django.db import OperationalError
from pytest_django import Settings
from structlog.testing import capture_logs

from audit import trail
from config import gunicorn
from pipeline import policy
from tests.people import recorded
from workers import celery, starting

EXAMPLE = Path(__file__).parents[2] / ".env.example"


@pytest.fixture(autouse=True)
def apart(settings: Settings) -> None:
    """Nobody is woken."""
    settings.AUDIT_WAKE = ""


def away(*_: object, **__: object) -> None:
    """In the place of what writes to the log."""
    raise OperationalError("secret words")


@pytest.mark.django_db(transaction=True)
def test_a_start_says_which_process_goes_by_which_policy_and_configuration() -> None:
    assert starting.recorded("scan")
    (event,) = recorded("process.started")
    facts = event["facts"]
    assert (event["actor"], event["object"]) == (
        {"kind": "system", "uid": "scan"},
        {"kind": "process", "uid": "scan"},
    )
    assert (facts["process"], facts["version"]) == ("scan", real.SPECTACULAR_SETTINGS["VERSION"])
    assert facts["policy_sha256"] == hashlib.sha256(policy.SHIPPED.read_bytes()).hexdigest()
    assert re.fullmatch("[0-9a-f]{64}", facts["settings_sha256"])
    assert "request_id" not in event
    assert "private" not in event
    assert event["details"] == f"Started scan, version {facts['version']}."


def test_the_version_is_the_products() -> None:
    assert f'version = "{real.SPECTACULAR_SETTINGS["VERSION"]}"' in (EXAMPLE.parent / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    "secret",
    [
        *("SECRET_KEY", "MFA_ENCRYPTION_KEYS", "AUDIT_ENCRYPTION_KEYS", "AUDIT_SIGNING_KEYS", "S3_ACCESS_KEY_ID"),
        *("S3_SECRET_ACCESS_KEY", "EMAIL_HOST_PASSWORD", "EMAIL_HOST_USER", "BROKER_URL", "DATABASES", "CACHES"),
    ],
)
def test_no_secret_goes_into_the_digest(secret: str) -> None:
    assert hasattr(real, secret)
    assert secret not in starting.configuration()


@pytest.mark.parametrize("address", ["https://me:pw@s3.example", "redis://:pw@broker:6379"])
def test_an_address_with_a_login_in_it_is_left_out(settings: Settings, address: str) -> None:
    settings.S3_ENDPOINT_URL = address
    assert "S3_ENDPOINT_URL" not in starting.configuration()
    assert "pw" not in "".join(starting.configuration().values())


def test_a_setting_that_decides_changes_the_digest(settings: Settings) -> None:
    before = starting.configuration()
    for name, value in (("MFA_WINDOW_STEPS", 0), ("SCANNER_MAX_AGE_DAYS", 99), ("PASSWORD_HASHERS", ["x"])):
        setattr(settings, name, value)
        assert starting.configuration() != before, name
        setattr(settings, name, getattr(real, name))


def test_every_variable_of_the_example_is_in_the_digest_or_known_for_a_secret() -> None:
    variables = set(re.findall(r"^([A-Z0-9_]+)=", EXAMPLE.read_text(), re.MULTILINE))
    ours = {name for name in variables if hasattr(real, name)}
    left_out = ours - set(starting.configuration())
    secrets = {
        *("SECRET_KEY", "MFA_ENCRYPTION_KEYS", "AUDIT_ENCRYPTION_KEYS", "AUDIT_SIGNING_KEYS", "S3_ACCESS_KEY_ID"),
        *("S3_SECRET_ACCESS_KEY", "EMAIL_HOST_PASSWORD", "EMAIL_HOST_USER", "BROKER_URL"),
    }
    as_django_has_it = {"DEBUG", "EMAIL_HOST", "EMAIL_HOST_PASSWORD", "EMAIL_HOST_USER", "ALLOWED_HOSTS"}
    assert left_out <= secrets | as_django_has_it


def test_two_processes_come_to_the_same_digest() -> None:
    program = (
        "import django; django.setup(); from workers import starting; print(sorted(starting.configuration().items()))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONHASHSEED": seed},
            cwd=EXAMPLE.parent,
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1


@pytest.mark.django_db(transaction=True)
def test_a_start_that_cannot_be_recorded_is_said_in_the_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail, "_queue", away)
    with capture_logs() as logs:
        assert not starting.recorded("web")
    (line,) = logs
    assert (line["event"], line["process"], line["fault"]) == ("start_not_recorded", "web", "OperationalError")


@pytest.mark.django_db(transaction=True)
def test_of_all_workers_of_the_web_service_one_records_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the first to try cannot: the note goes back, and is found again."""
    monkeypatch.setattr(starting, "AGAIN_SECONDS", 0.05)
    server = SimpleNamespace(app=SimpleNamespace())
    gunicorn.when_ready(server)
    with monkeypatch.context() as broken:
        broken.setattr(trail, "_queue", away)
        gunicorn.post_worker_init(server)
        time.sleep(0.2)
    assert _waits_for_a_start()
    for _ in range(3):
        gunicorn.post_worker_init(server)
    time.sleep(0.2)
    assert len(recorded("process.started")) == 1


def _waits_for_a_start(seconds: float = 10) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if recorded("process.started"):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.django_db(transaction=True)
def test_a_worker_records_its_start_and_asks_its_own_clock_where_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    later: list[Any] = []
    timer = SimpleNamespace(call_after=lambda seconds, call, args: later.append((call, args)))
    consumer = SimpleNamespace(hostname="scan@a-machine", timer=timer)
    with monkeypatch.context() as broken:
        broken.setattr(trail, "_queue", away)
        celery._record_the_start(consumer)
    assert recorded("process.started") == []
    ((call, args),) = later
    call(*args)
    assert [event["facts"]["process"] for event in recorded("process.started")] == ["scan"]
    assert len(later) == 1
