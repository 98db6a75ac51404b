"""Settings that would be found out too late are refused at the start, or before a deployment."""

import pytest

from tests.config.test_settings import example, start


@pytest.mark.parametrize("name", ["MFA_ENCRYPTION_KEYS", "AUDIT_ENCRYPTION_KEYS", "AUDIT_SIGNING_KEYS"])
@pytest.mark.parametrize(
    "key",
    [
        "short",
        "c2hvcnQ=",
        "ZXhhbXBsZS1vbmx5*LWV4YW1wbGUtb25seS0wMTIzNDU=",
        "ZXhhbXBsZS1vbmx5LWV4YW1wbGUtb25seS0wMTIzNDU=,bad",
    ],
)
def test_a_key_that_is_no_key_is_refused_at_the_start(name: str, key: str) -> None:
    refused = start("check", **{**example(), name: key})
    assert refused.returncode != 0
    assert f"{name} has an entry that is not url-safe base64 of 32 bytes" in refused.stderr
    assert key not in refused.stderr


def test_a_folder_for_mails_is_refused_in_production(tmp_path: object) -> None:
    env = {**example(), "MAIL_FOLDER": str(tmp_path)}
    assert start("check", **env).returncode == 0
    refused = start("check", "--deploy", **env)
    assert refused.returncode != 0
    assert "strongroom.E007" in refused.stderr


@pytest.mark.parametrize(
    "origin",
    [
        *("*", "null", "https://*.example", "https://app.example/", "https://app.example/path", "app.example"),
        *("https://app.example?x", "https://app.example#x", "https://user@app.example", "https://APP.example"),
    ],
)
def test_origins_that_are_not_exact_are_refused_at_the_start(origin: str) -> None:
    refused = start("check", **{**example(), "CORS_ALLOWED_ORIGINS": f"https://app.example,{origin}"})
    assert refused.returncode != 0
    assert f"{origin!r}, which is not one exact origin" in refused.stderr


def test_origins_without_https_are_refused_in_production() -> None:
    env = {**example(), "CORS_ALLOWED_ORIGINS": "http://localhost:5173"}
    assert start("check", **env).returncode == 0
    refused = start("check", "--deploy", **env)
    assert refused.returncode != 0
    assert "strongroom.E009" in refused.stderr


def test_exact_origins_pass() -> None:
    env = {**example(), "CORS_ALLOWED_ORIGINS": "https://app.example,https://app.example:8443"}
    checked = start("check", "--deploy", "--fail-level", "WARNING", **env)
    assert checked.returncode == 0, checked.stderr


def test_links_without_https_are_warned_of() -> None:
    env = {**example(), "PUBLIC_URL": "http://strongroom.example"}
    warned = start("check", "--deploy", **env)
    assert warned.returncode == 0
    assert "strongroom.W002" in warned.stderr


def test_no_signing_key_is_no_mistake_in_a_process_that_does_not_sign() -> None:
    assert start("check", **{**example(), "AUDIT_SIGNING_KEYS": ""}).returncode == 0


@pytest.mark.parametrize(
    "origin",
    [
        *("https://rooms.example/log", "rooms.example/a log", "rooms.example/a+log", "rooms.example/log/", "/log"),
        *("rooms.example/prot\u00e9g\u00e9", "rooms.example/" + "x" * 180),
    ],
)
def test_a_name_of_the_log_that_verifiers_would_not_read_is_refused_at_the_start(origin: str) -> None:
    refused = start("check", **{**example(), "AUDIT_ORIGIN": origin})
    assert refused.returncode != 0
    assert "strongroom.E014" in refused.stderr


@pytest.mark.parametrize("origin", ["", "rooms.example/api/audit/log", "127.0.0.1:8000/log", "my-log"])
def test_a_plain_name_of_the_log_passes(origin: str) -> None:
    assert start("check", **{**example(), "AUDIT_ORIGIN": origin}).returncode == 0
