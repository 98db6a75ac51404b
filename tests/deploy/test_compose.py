"""What docker-compose.yml promises, read off the file: nothing here needs Docker."""

import re
from typing import Any

import pytest

from devstack.places import ROOT
from tests.deploy.files import (
    COMPOSE,
    ONCE,
    OURS,
    PROCESSES,
    SERVICES,
    TEXT,
    THEIRS,
    WORKERS,
    assigned,
    environment,
    referenced,
)

every_service = pytest.mark.parametrize("name", SERVICES)
SECRET = re.compile(r"SECRET|PASSWORD$|ACCESS_KEY|ENCRYPTION_KEY|KEK|AUTH$")
# What compose decides itself, or another file: never the operator of this file.
NOT_PASSED_ON = {
    "STATIC_ROOT",
    "SCANNER_BUILTIN_ALLOWED",
    "SCANNER_TEST_SIGNATURES",
    "METRICS_BIND",
    "MAIL_FOLDER",  # mails are sent
    "FLOWER_URL",  # nginx is the door, on the web's own address
}


def test_the_services_are_those_that_we_know() -> None:
    assert set(SERVICES) == {*OURS, *THEIRS}


@pytest.mark.parametrize("name", PROCESSES)
def test_every_process_of_the_procfile_has_a_service_that_runs_its_line(name: str) -> None:
    assert SERVICES[name]["command"] == [name]  # the image's entrypoint takes the line from the Procfile


@pytest.mark.parametrize("name", OURS)
def test_one_image_serves_all_of_ours(name: str) -> None:
    assert SERVICES[name]["image"] == "${STRONGROOM_IMAGE:-strongroom:local}"
    assert SERVICES[name]["user"] == "10001:10001"
    assert "entrypoint" not in SERVICES[name]


@every_service
def test_every_service_is_locked_in(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert service["user"].split(":")[0] not in {"", "0", "root"}


@every_service
def test_a_service_is_watched_or_runs_once(name: str) -> None:
    service = SERVICES[name]
    if name in ONCE:
        assert service["restart"] == "no"
        assert "healthcheck" not in service
    else:
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


def test_only_nginx_is_published_and_by_default_on_loopback() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["nginx"]
    assert all(port.startswith("${BIND:-127.0.0.1}:") for port in SERVICES["nginx"]["ports"])


def test_a_network_that_leads_outside_is_for_one_service_that_has_a_reason() -> None:
    outside = {name for name, options in COMPOSE["networks"].items() if not (options or {}).get("internal")}
    on = {name: outside & set(service.get("networks", [])) for name, service in SERVICES.items()}
    assert {name: networks for name, networks in on.items() if networks} == {
        "nginx": {"outside"},  # is published
        "freshclam": {"updates"},  # fetches signatures
        "default": {"mail"},  # sends mails
    }
    assert all("networks" in service or service["network_mode"] == "none" for service in SERVICES.values())


def test_what_asks_for_no_password_or_reads_hostile_files_has_no_network() -> None:
    assert SERVICES["s3"]["network_mode"] == SERVICES["clamav"]["network_mode"] == "none"


@pytest.mark.parametrize("name", ["web", "metrics", *WORKERS])
def test_a_scaled_service_has_no_name_port_or_folder_of_its_own(name: str) -> None:
    assert not {"container_name", "hostname", "ports"} & set(SERVICES[name])
    assert all(not volume.startswith((".", "/")) for volume in SERVICES[name].get("volumes", []))


@every_service
def test_no_secret_stands_in_the_file(name: str) -> None:
    for variable, value in environment(name).items():
        if SECRET.search(variable) and variable != "S3_ENCRYPTION":
            assert value in {"unused", ""} or re.fullmatch(r"\$\{\w+:?\?[^}]+\}", value or "-"), variable
        assert not re.search(r"://[^/@]*:(?!\$\{)[^/@]*@", value or ""), variable


def test_no_service_is_given_the_whole_env_file() -> None:
    assert "env_file" not in TEXT


def test_every_variable_is_explained_in_the_example() -> None:
    assert referenced() - set(assigned(ROOT / ".env.example")) == set()


@pytest.mark.parametrize("name", ["web", "metrics", "reconcile", "scrub", "migrate", *WORKERS])
def test_every_setting_reaches_our_processes(name: str) -> None:
    read = set(re.findall(r'env\.\w+\(\s*"(\w+)"', (ROOT / "config/settings.py").read_text()))
    assert read - NOT_PASSED_ON - set(environment(name)) == set()


def test_no_credential_goes_further_than_it_must() -> None:
    def holders(word: str) -> set[str]:
        return {name for name in SERVICES if word in str(environment(name))}

    assert holders("S3_API_SECRET_ACCESS_KEY") == {"web", "s3"}
    assert holders("S3_WORKER_SECRET_ACCESS_KEY") == {*WORKERS, "reconcile", "scrub", "metrics", "migrate", "s3"}
    assert holders("S3_ADMIN_SECRET_ACCESS_KEY") == {"buckets", "s3"}
    assert holders("POSTGRES_PASSWORD") == {"db", "roles"}
    assert holders("S3_SSE_KEK") == {"s3"}
    assert holders("${MFA_ENCRYPTION_KEYS") == {"web", "migrate"}
    assert holders("${EMAIL_HOST_PASSWORD") == {"default"}
    assert holders("${FLOWER_BASIC_AUTH") == {"flower", "nginx"}
    assert holders("${DATABASE_PASSWORD") == {"migrate", "roles"}  # who owns the tables can alter the log
    assert holders("${DATABASE_WEB_PASSWORD") == {"web", "roles"}
    assert holders("${DATABASE_SEQUENCER_PASSWORD") == holders("${AUDIT_SIGNING_KEYS") | {"roles"} == {"audit", "roles"}
    assert holders("${DATABASE_WORKER_PASSWORD") == {*WORKERS, "reconcile", "scrub", "metrics", "roles"} - {"audit"}


@pytest.mark.parametrize("name", ["web", "metrics", "reconcile", "scrub", "migrate", *WORKERS])
def test_a_process_connects_to_the_database_as_the_role_whose_password_it_has(name: str) -> None:
    special = {
        "web": ("strongroom_web", "DATABASE_WEB_PASSWORD"),
        "audit": ("strongroom_sequencer", "DATABASE_SEQUENCER_PASSWORD"),
        "migrate": ("strongroom", "DATABASE_PASSWORD"),
    }
    role, password = special.get(name, ("strongroom_worker", "DATABASE_WORKER_PASSWORD"))
    assert (environment(name)["DATABASE_URL"] or "").startswith(f"postgres://{role}:${{{password}:?")


def test_rights_are_given_after_every_migration_and_before_anything_starts() -> None:
    *_, migrate, grant = SERVICES["migrate"]["command"][-1].split("&&")
    assert migrate.split() == ["python", "manage.py", "migrate", "--no-input"]
    assert grant.split() == ["exec", "python", "manage.py", "grant"]


@every_service
def test_a_service_waits_for_what_it_needs(name: str) -> None:
    needs: dict[str, Any] = SERVICES[name].get("depends_on", {})
    for other, need in needs.items():
        once = "service_completed_successfully"
        assert need["condition"] == (once if other in ONCE else "service_healthy")


def test_the_start_has_an_order() -> None:
    needs = {name: set(service.get("depends_on", {})) for name, service in SERVICES.items()}
    assert needs["roles"] == {"db"}
    assert needs["migrate"] == {"roles"}
    assert needs["buckets"] == {"s3gate"}
    assert (
        needs["web"] == needs["reconcile"] == needs["scrub"] == {"migrate", "buckets"}
    )  # none of them needs the broker
    assert all(
        needs[name] == {"migrate", "buckets", "broker"} for name in WORKERS
    )  # nor `scan` the scanner: versions wait
    assert needs["nginx"] == {"web", "s3gate"}


def test_flowers_socket_is_for_flower_and_nginx_alone() -> None:
    mounts = {name: set(service.get("volumes", [])) for name, service in SERVICES.items()}
    has_it = {name: volume for name, volumes in mounts.items() for volume in volumes if "flower-socket" in volume}
    assert has_it == {"flower": "flower-socket:/run/flower", "nginx": "flower-socket:/run/flower:ro"}
    # Flower opens its socket to everybody, so the folder decides: Flower's user, and nginx's group to pass through.
    options = dict(o.split("=") for o in COMPOSE["volumes"]["flower-socket"]["driver_opts"]["o"].split(","))
    owner, group = SERVICES["flower"]["user"].split(":")[0], SERVICES["nginx"]["user"].split(":")[1]
    assert (options["mode"], options["uid"], options["gid"]) == ("0710", owner, group)


def test_a_worker_is_given_time_to_end_a_scan() -> None:
    # clamd's MaxScanTime is five minutes, and the bytes are read from S3 meanwhile.
    assert all(SERVICES[name]["stop_grace_period"] == "10m" for name in ("validate", "scan", "apart", "finalize"))


def test_the_mounted_files_are_there() -> None:
    mounted = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])]
    assert all((ROOT / path).is_file() for path in mounted if path.startswith("."))
    assert {path for path in mounted if not path.startswith(".")} == set(COMPOSE["volumes"])
