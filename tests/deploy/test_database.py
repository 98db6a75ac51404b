"""What deploy/database.sh makes of a server: of an empty one, of one from before the roles, and again."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest

from devstack import postgres
from devstack.ports import Ports
from devstack.postgres import ADMIN, SECRETS
from tests.deploy.files import DEPLOY, environment

NAMES = {
    "strongroom": "DATABASE_PASSWORD",
    "strongroom_web": "DATABASE_WEB_PASSWORD",
    "strongroom_worker": "DATABASE_WORKER_PASSWORD",
    "strongroom_sequencer": "DATABASE_SEQUENCER_PASSWORD",
}
FIRST = {role: f"first-{role}" for role in NAMES}
Row = tuple[object, ...]


@dataclass(frozen=True)
class Server:
    """A PostgreSQL in which nobody but the administrator is known."""

    port: int

    def run(self, passwords: dict[str, str]) -> "subprocess.CompletedProcess[str]":
        """Run database.sh as compose's service `roles` does."""
        env = {
            "PATH": f"{postgres.binary('psql').parent}:{os.environ['PATH']}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "POSTGRES_PASSWORD": "admin",
            **{NAMES[role]: password for role, password in passwords.items()},
        }
        return subprocess.run(["sh", DEPLOY / "database.sh"], env=env, capture_output=True, text=True, check=False)

    def ask(self, sql: str, *, login: tuple[str, str] = (ADMIN, "admin"), database: str = "postgres") -> list[Row]:
        """Ask as somebody."""
        role, password = login
        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user=role, password=password, dbname=database, connect_timeout=2
        )
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def knows(self, role: str, password: str) -> bool:
        """Tell whether that password opens the database."""
        try:
            return bool(self.ask("SELECT 1", login=(role, password), database="strongroom"))
        except psycopg2.OperationalError:
            return False


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """One of its own, because roles belong to a whole server."""
    with closing(Ports(tmp_path / "ports.json", {})) as ports:
        initdb, serve = (
            part.command for part in postgres.parts(tmp_path, ports["postgres"], {SECRETS[ADMIN]: "admin"})
        )
        make = initdb()
        assert make
        subprocess.run(make.argv, env=make.env, input=make.stdin, user=make.user, check=True, capture_output=True)
        run = serve()
        assert run
        with subprocess.Popen(run.argv, env=run.env, user=run.user, stderr=subprocess.DEVNULL) as running:
            yield awake(Server(ports["postgres"]))
            running.send_signal(run.stop_signal)


def awake(server: Server) -> Server:
    """Wait until it answers."""
    limit = time.monotonic() + 30
    while time.monotonic() < limit:
        try:
            server.ask("SELECT 1")
        except psycopg2.OperationalError:
            time.sleep(0.1)
        else:
            break
    return server


def test_an_empty_server_gets_four_plain_logins_and_the_database(server: Server) -> None:
    made = server.run(FIRST)
    assert made.returncode == 0, made.stderr
    attributes = "rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"
    rows = server.ask(f"SELECT rolname, {attributes} FROM pg_roles WHERE rolname LIKE 'strongroom%'")
    assert sorted(rows) == [(role, True, False, False, False, False, False) for role in sorted(NAMES)]
    assert server.ask("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'strongroom'") == [
        ("strongroom",)
    ]
    assert all(server.knows(role, password) for role, password in FIRST.items())
    assert not server.ask("SELECT FROM pg_auth_members WHERE member::regrole::text LIKE 'strongroom%'")


def test_idle_transactions_of_processes_end_and_an_operators_do_not(server: Server) -> None:
    server.run(FIRST)
    told = {
        role: server.ask("SHOW idle_in_transaction_session_timeout", login=(role, FIRST[role]))[0][0] for role in NAMES
    }
    assert told == {
        "strongroom": "0",
        "strongroom_web": "1min",
        "strongroom_worker": "1min",
        "strongroom_sequencer": "5min",
    }


def test_a_server_from_before_the_roles_gets_what_it_lacks_and_keeps_its_data(server: Server) -> None:
    server.ask("CREATE ROLE strongroom LOGIN PASSWORD 'old'")
    server.ask("CREATE DATABASE strongroom OWNER strongroom")
    server.ask("CREATE TABLE kept (id int)", login=("strongroom", "old"), database="strongroom")
    assert server.run(FIRST).returncode == 0
    assert all(server.knows(role, password) for role, password in FIRST.items())
    owners = "SELECT tableowner FROM pg_tables WHERE tablename = 'kept'"
    assert server.ask(owners, database="strongroom") == [("strongroom",)]


def test_it_may_run_again_and_a_new_password_takes_the_place_of_the_old(server: Server) -> None:
    assert server.run(FIRST).returncode == server.run(FIRST).returncode == 0
    second = {**FIRST, "strongroom_web": "it's new"}
    assert server.run(second).returncode == 0
    assert server.knows("strongroom_web", "it's new")
    assert not server.knows("strongroom_web", FIRST["strongroom_web"])


def test_a_missing_password_is_an_error(server: Server) -> None:
    assert server.run({role: "x" for role in NAMES if role != "strongroom_web"}).returncode != 0


def test_compose_gives_the_script_what_it_reads() -> None:
    assert {"PGHOST", "POSTGRES_PASSWORD", *NAMES.values()} == set(environment("roles"))
