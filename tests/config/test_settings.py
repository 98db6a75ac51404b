"""A start with settings missing refuses and lists all of them at once."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIRED = [
    "SECRET_KEY",
    "DATABASE_URL",
    "BROKER_URL",
    "S3_ACCESS_KEY_ID",
    "S3_SECRET_ACCESS_KEY",
    "QUARANTINE_BUCKET",
    "VAULT_BUCKET",
    "AUDIT_ENCRYPTION_KEYS",
    "MFA_ENCRYPTION_KEYS",
    "PUBLIC_URL",
]


def start(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run manage.py with this environment alone."""
    return subprocess.run(
        [sys.executable, "manage.py", *args],
        env={"PATH": os.environ["PATH"], **env},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def example() -> dict[str, str]:
    """The variables of .env.example."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_everything_that_is_missing_is_named_at_once() -> None:
    refused = start("check")
    assert refused.returncode != 0
    for name in REQUIRED:
        assert name in refused.stderr


def test_a_malformed_value_is_named_too() -> None:
    refused = start("check", **{**example(), "UPLOAD_MAX_BYTES": "lots", "SCANNER": "none"})
    assert refused.returncode != 0
    assert "UPLOAD_MAX_BYTES" in refused.stderr
    assert "SCANNER" in refused.stderr


def test_a_secret_can_be_mounted_as_a_file(tmp_path: Path) -> None:
    env = example()
    (tmp_path / "key").write_text(env.pop("SECRET_KEY") + "\n")
    assert start("check", **env, SECRET_KEY_FILE=str(tmp_path / "key")).returncode == 0


def test_the_example_passes_the_deployment_check() -> None:
    checked = start("check", "--deploy", "--fail-level", "WARNING", **example())
    assert checked.returncode == 0, checked.stderr


def test_deployment_refuses_the_stand_in_and_test_signatures() -> None:
    env = {**example(), "SCANNER": "builtin", "SCANNER_BUILTIN_ALLOWED": "true", "SCANNER_TEST_SIGNATURES": "true"}
    refused = start("check", "--deploy", **env)
    assert refused.returncode != 0
    assert "strongroom.E003" in refused.stderr
    assert "strongroom.E004" in refused.stderr


def test_the_example_names_every_variable_that_settings_read() -> None:
    import re

    read = set(re.findall(r'env\.\w+\(\s*"([A-Z0-9_]+)"', (ROOT / "config/settings.py").read_text()))
    assert read <= set(example())
