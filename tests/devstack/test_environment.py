"""What our processes are told, and what `stack.json` tells."""

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from devstack import environment, jsonfile, keys, places, postgres, procfile
from devstack.environment import OPERATOR, Site, describe, settings
from devstack.places import ROOT
from devstack.ports import Ports


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A stack that is about to start, with test signatures."""
    (tmp_path / "scanner").mkdir()
    jsonfile.write(tmp_path / "scanner" / "choice.json", {"engine": "clamd", "signatures": "test"})
    ports = Ports(tmp_path / "ports.json", {})
    yield Site(tmp_path, tmp_path / "sockets", ports, keys.load(tmp_path), {"UPLOAD_WINDOW_SECONDS": "3"})
    ports.close()


def test_the_web_process_has_another_s3_identity_than_the_rest(site: Site) -> None:
    web, worker = settings(site, "web"), settings(site, "scan")
    assert web["S3_ACCESS_KEY_ID"] != worker["S3_ACCESS_KEY_ID"]
    differs = {name for name in web if web[name] != worker[name]}
    assert differs == {"S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY", "DATABASE_URL"}


ROLES = {
    "strongroom": {OPERATOR},
    "strongroom_web": {"web"},
    "strongroom_sequencer": {"audit"},
    "strongroom_worker": {"validate", "scan", "apart", "finalize", "default", "reconcile", "scrub", "metrics"},
    "unused": {"beat", "flower", "door", "something new"},
}


@pytest.mark.parametrize("process", [*procfile.read(ROOT / "Procfile"), OPERATOR, "something new"])
def test_each_process_connects_to_the_database_as_the_role_for_its_work_or_not_at_all(process: str, site: Site) -> None:
    url = urlsplit(settings(site, process)["DATABASE_URL"])
    role = url.username or url.hostname or ""
    assert [name for name, processes in ROLES.items() if process in processes] == [role]
    assert url.password == (site.secrets[postgres.SECRETS[role]] if url.username else None)


def test_each_role_has_a_password_of_its_own(site: Site) -> None:
    assert len({site.secrets[secret] for secret in postgres.SECRETS.values()}) == len(postgres.SECRETS) == 5


def test_the_sequencer_and_the_operator_alone_can_sign_the_log(site: Site) -> None:
    signs = {
        name for name in (*procfile.read(ROOT / "Procfile"), OPERATOR) if settings(site, name)["AUDIT_SIGNING_KEYS"]
    }
    assert signs == {"audit", OPERATOR}


def test_stack_json_tells_tests_how_to_be_each_role(site: Site) -> None:
    told = describe(site, {}, processes=False)
    assert told["database_roles"].keys() == {
        "postgres",
        "strongroom",
        *(f"strongroom_{r}" for r in ("web", "worker", "sequencer")),
    }
    assert told["database_roles"]["strongroom"] == told["database_url"]


def test_the_caller_may_override_a_setting(site: Site) -> None:
    assert settings(site, "scan")["UPLOAD_WINDOW_SECONDS"] == "3"


def test_credentials_of_somebodys_real_account_are_not_passed_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "real")
    monkeypatch.setenv("AWS_PROFILE", "production")
    assert not [name for name in settings(site, "scan") if name.startswith("AWS_")]


def test_test_signatures_are_admitted_by_name(site: Site) -> None:
    assert settings(site, "scan")["SCANNER_TEST_SIGNATURES"] == "true"
    jsonfile.write(site.data / "scanner" / "choice.json", {"engine": "clamd", "signatures": "official"})
    assert settings(site, "scan")["SCANNER_TEST_SIGNATURES"] == "false"


def test_the_builtin_scanner_is_allowed_only_where_it_was_chosen(site: Site) -> None:
    assert "SCANNER_BUILTIN_ALLOWED" not in settings(site, "scan")
    jsonfile.write(site.data / "scanner" / "choice.json", {"engine": "builtin", "signatures": "builtin"})
    chosen = settings(site, "scan")
    assert (chosen["SCANNER"], chosen["SCANNER_BUILTIN_ALLOWED"]) == ("builtin", "true")
    assert describe(site, {}, processes=True)["engine"] == "builtin"


def test_stack_json_tells_what_a_client_needs(site: Site) -> None:
    told = describe(site, {"web": 7}, processes=True)
    assert told["api"].endswith("/api")
    assert told["pids"] == {"web": 7}
    assert told["accounts"].keys() == {"admin", "admin2", "auditor", "alice", "bob"}
    assert told["accounts"]["alice"].keys() == {"username", "password", "totp_secret"}
    assert {"console", "admin", "s3_endpoint", "database_url", "broker_url", "engine", "metrics"} <= told.keys()
    assert told["flower"] == f"http://127.0.0.1:{site.ports['door']}/flower/"
    assert told["mails"] == str(site.data / "mails")


def test_everybody_is_enrolled_with_a_secret_of_their_own(site: Site) -> None:
    told = describe(site, {}, processes=True)["accounts"]
    for account in environment.accounts(site):
        shown = told[account["username"]]
        assert {name: account[name] for name in shown} == shown
        assert len(base64.b32decode(account["totp_secret"])) == 20
    assert len({account["totp_secret"] for account in told.values()}) == len(told)


def test_there_are_two_admins_an_auditor_and_two_investors(site: Site) -> None:
    roles = sorted(account["role"] for account in environment.accounts(site))
    assert roles == ["admin", "admin", "auditor", "investor", "investor"]


def test_mails_are_written_to_a_folder_of_the_stack(site: Site) -> None:
    assert settings(site, "scan")["MAIL_FOLDER"] == str(site.data / "mails")
    assert "mails" in places.OWN  # so that --fresh forgets them


def test_links_lead_to_the_web_and_to_flowers_door(site: Site) -> None:
    env = settings(site, "web")
    assert env["PUBLIC_URL"] == f"http://127.0.0.1:{site.ports['web']}"
    assert env["FLOWER_URL"] == f"http://{env['DOOR_BIND']}/flower/"


def test_a_front_end_in_development_may_call_the_api(site: Site) -> None:
    assert settings(site, "web")["CORS_ALLOWED_ORIGINS"] == "http://localhost:5173"


def test_nobody_who_tries_the_stack_out_meets_a_rate_of_documents(site: Site) -> None:
    env = settings(site, "web")
    rates = {"UPLOADS_PER_HOUR", "DOWNLOADS_PER_HOUR", "INVESTOR_CALLS_PER_MINUTE", "ADMIN_CALLS_PER_MINUTE"}
    assert {int(env[name]) for name in rates} == {1_000_000}
    assert env["ENFORCE_INITIAL_PASSWORD_CHANGE"] == "false"


def test_the_servers_alone_have_no_web_address(site: Site) -> None:
    assert not {"api", "console", "accounts"} & describe(site, {}, processes=False).keys()


def test_secrets_last_as_long_as_the_data_and_are_private(tmp_path: Path) -> None:
    first = keys.load(tmp_path)
    assert keys.load(tmp_path) == first
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_a_stack_from_before_the_roles_gets_their_passwords_and_keeps_what_it_had(tmp_path: Path) -> None:
    jsonfile.write(tmp_path / "secrets.json", {"postgres": "old", "postgres_admin": "old"})
    now = keys.load(tmp_path)
    assert (now["postgres"], now["postgres_admin"]) == ("old", "old")
    assert len({now[secret] for secret in postgres.SECRETS.values()}) == 4


def test_a_long_folder_leaves_room_for_sockets(site: Site, tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 80)
    longer = Site(deep, Path("/run/short"), site.ports, site.secrets, {})
    assert settings(longer, "scan")["TMPDIR"] == "/run/short"


def test_the_version_of_stack_json_is_told(site: Site) -> None:
    assert describe(site, {}, processes=True)["version"] == environment.VERSION == 1


def test_processes_of_ours_reach_a_server_through_whoever_stands_before_it_and_others_go_straight(site: Site) -> None:
    held_up = replace(site, via={"postgres": 1111, "valkey": 2222, "s3": 3333})
    told = settings(held_up, "scan")
    assert urlsplit(told["DATABASE_URL"]).port == 1111
    assert urlsplit(told["BROKER_URL"]).port == 2222
    assert urlsplit(told["S3_ENDPOINT_URL"]).port == 3333
    assert urlsplit(told["S3_PUBLIC_ENDPOINT_URL"]).port == site.ports["s3"]  # browsers
    assert describe(held_up, {}, processes=True) == describe(site, {}, processes=True)
