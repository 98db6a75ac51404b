"""Who may do what in the database: the rights of each role, table by table, and the SQL that gives them.

Four roles use one database. The owner (`strongroom`) makes the tables and runs operators' commands; it needs no
grants. The three that our processes connect as own nothing and have only what stands here: so whoever takes over the
web process, with its password, can add to what waits for the log, and alter nothing that is in it. What a role may do
is what it needs, not less: a right that is missing is a request that fails.

The tables are those of the models, of every app, so that none is forgotten. The log's have each a line of their own;
one that has none is refused (`Ungoverned`) before anything is granted. To make roles, with their passwords, is for
devstack, deploy/database.sh or your administrator.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from django.apps import apps
from django.db import connection, transaction


class Rights(NamedTuple):
    """What each role may do with a table; empty: nothing."""

    web: str
    worker: str
    sequencer: str


ROLES: Final = Rights._fields
_READ: Final = "SELECT"
_CHANGE: Final = "SELECT, INSERT, UPDATE, DELETE"

ORDINARY: Final = Rights(_CHANGE, _CHANGE, "")
"""Every table but the log's. The sequencer, who signs the log, has no business with people or documents."""

LOG: Final = {
    #                           web                       worker            sequencer
    "audit_outbox": Rights("SELECT, INSERT", "SELECT, INSERT", "SELECT, INSERT, DELETE"),
    "audit_unreadable": Rights(_READ, _READ, "SELECT, INSERT"),
    "audit_event": Rights(_READ, _READ, "SELECT, INSERT"),
    "audit_private": Rights(_READ, _READ, "SELECT, INSERT, DELETE"),  # erasure deletes
    "audit_privatekey": Rights("SELECT, INSERT", "SELECT, INSERT", "SELECT, INSERT, UPDATE"),  # and empties keys
    "audit_state": Rights(_READ, _READ, "SELECT, INSERT, UPDATE"),
    "audit_tile": Rights(_READ, _READ, "SELECT, INSERT"),
    "audit_batch": Rights(_READ, _READ, "SELECT, INSERT, UPDATE"),
    "audit_checkpoint": Rights(_READ, _READ, "SELECT, INSERT"),
    "audit_publication": Rights(_READ, _READ, "SELECT, INSERT, UPDATE"),
    "audit_erasure": Rights("SELECT, INSERT, UPDATE", _READ, "SELECT, UPDATE"),  # asked and allowed in web
}

_PRIVILEGES: Final = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
_LOCK: Final = 7_303_014_501_774_212_455  # two at once would meet in PostgreSQL's catalogue


class Ungoverned(Exception):
    """A table of the log has no line in config/grants.py, so nothing was granted."""


class NotAsPlanned(Exception):
    """A role can still do more, or less, than it should, for a reason that grants cannot mend."""


def plan() -> dict[str, Rights]:
    """Return the rights to every table that a model has, of whichever app. Raises Ungoverned."""
    models = apps.get_models(include_auto_created=True)
    tables = {model._meta.db_table for model in models if model._meta.managed}
    return {table: rights(table) for table in sorted(tables)}


def rights(table: str) -> Rights:
    """Return the rights to one table. Raises Ungoverned."""
    if table.startswith("audit_") and table not in LOG:
        raise Ungoverned(f"{table} is the log's and has no line in config/grants.py; nothing was granted")
    return LOG.get(table, ORDINARY)


def logins(prefix: str) -> Rights:
    """Return the names of the three roles as PostgreSQL knows them."""
    return Rights._make(f"{prefix}_{role}" for role in ROLES)


def present(prefix: str) -> list[str]:
    """Return which of the three there are."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(logins(prefix))])
        found = {name for (name,) in cursor.fetchall()}
    return [name for name in logins(prefix) if name in found]


def statements(prefix: str) -> Iterator[str]:
    """Yield the SQL: first all is taken away, also what was given by hand, then each gets what it needs.

    For the owner of the database, in one transaction. The schema `public` is taken to be Strongroom's alone.
    """
    quoted = connection.ops.quote_name
    database, roles = quoted(connection.settings_dict["NAME"]), Rights._make(map(quoted, logins(prefix)))
    everybody = ", ".join(("PUBLIC", *roles))
    yield f"REVOKE ALL ON DATABASE {database} FROM {everybody}"
    yield f"REVOKE CREATE ON SCHEMA public FROM {everybody}"
    yield f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {everybody}"
    yield f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {everybody}"  # identity columns need no right to theirs
    yield f"GRANT CONNECT ON DATABASE {database} TO {', '.join(roles)}"
    yield f"GRANT USAGE ON SCHEMA public TO {', '.join(roles)}"
    for table, each in plan().items():
        for role, granted in zip(roles, each, strict=True):
            if granted:
                yield f"GRANT {granted} ON {quoted(table)} TO {role}"


def apply(prefix: str) -> int:
    """Bring the rights of the three roles to the plan, all or none; return of how many tables.

    Raises Ungoverned, NotAsPlanned, and ProgrammingError where a table is missing or is somebody else's.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        for statement in statements(prefix):
            cursor.execute(statement)
        if wrong := [*_powers(prefix), *_differences(prefix)]:
            raise NotAsPlanned("; ".join(wrong))
    return len(plan())


def _differences(prefix: str) -> list[str]:
    """Compare what PostgreSQL lets each role do, by whatever way it came to it, with the plan."""
    with connection.cursor() as cursor:
        cursor.execute(_EFFECTIVE, [list(_PRIVILEGES), list(logins(prefix))])
        found = set(cursor.fetchall())
    planned = {
        (login, table, privilege)
        for table, each in plan().items()
        for login, granted in zip(logins(prefix), each, strict=True)
        for privilege in filter(None, granted.split(", "))
    }
    more = [f"{role} may {privilege} {table}" for role, table, privilege in sorted(found - planned)]
    less = [f"{role} may not {privilege} {table}" for role, table, privilege in sorted(planned - found)]
    return more + less


def _powers(prefix: str) -> list[str]:
    """Name what makes grants pointless: attributes of a role, membership in the owner, a schema open to all."""
    with connection.cursor() as cursor:
        cursor.execute(_POWERS, [list(logins(prefix))])
        rows = cursor.fetchall()
    names = ("is a superuser", "may make roles", "may replicate", "is a member of the owner", "may CREATE in public")
    return [f"{role} {name}" for role, *powers in rows for name, has in zip(names, powers, strict=True) if has]


_EFFECTIVE: Final = """
    SELECT r.rolname, c.relname, p.privilege
    FROM pg_roles r, pg_class c, unnest(%s) AS p (privilege)
    WHERE r.rolname = ANY(%s) AND c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND c.relowner = (SELECT relowner FROM pg_class WHERE oid = 'public.audit_event'::regclass)
      AND has_table_privilege(r.oid, c.oid, p.privilege)
"""
_POWERS: Final = """
    SELECT r.rolname, r.rolsuper, r.rolcreaterole, r.rolreplication, pg_has_role(r.oid, log.relowner, 'MEMBER'),
           has_schema_privilege(r.oid, 'public', 'CREATE')
    FROM pg_roles r, pg_class log
    WHERE r.rolname = ANY(%s) AND log.oid = 'public.audit_event'::regclass ORDER BY r.rolname
"""
