"""`manage.py grant`: the roles' rights come to the plan, whatever they were before, and no table is forgotten."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from config import grants
from tests.database_roles import ADMIN, OWNER, WEB, being, session

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("roles")]

PREFIX = "granted_test"
WEB_HERE, WORKER_HERE, SEQUENCER_HERE = grants.logins(PREFIX)
EVERY = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN")
TABLES = sorted(model._meta.db_table for model in apps.get_models(include_auto_created=True))


@pytest.fixture(scope="module")
def roles(django_db_setup: None) -> Iterator[None]:
    """Roles of these tests' own, which may be spoilt. What they are granted is rolled back with each test."""
    as_admin(*(f"CREATE ROLE {role} LOGIN" for role in grants.logins(PREFIX)))
    yield
    as_admin(*(f"DROP ROLE {role}" for role in grants.logins(PREFIX)))


def as_admin(*statements: str) -> None:
    """Run what only a superuser may."""
    with session(ADMIN) as admin:
        admin.autocommit = True
        with admin.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


@contextmanager
def spoilt(by: str, *, mended_by: str) -> Iterator[None]:
    """A superuser has done something that no grant undoes."""
    as_admin(by)
    try:
        yield
    finally:
        as_admin(mended_by)


def grant(*words: str, prefix: str = PREFIX) -> str:
    """Run the command; return what it printed."""
    out = StringIO()
    call_command("grant", "--prefix", prefix, *words, stdout=out)
    return out.getvalue()


def execute(sql: str) -> list[tuple[object, ...]]:
    """Run a statement as the owner."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def may(role: str, table: str) -> set[str]:
    """What PostgreSQL itself says that a role may do with a table."""
    asked = ", ".join(f"has_table_privilege('{role}', '{table}', '{privilege}')" for privilege in EVERY)
    return {privilege for privilege, has in zip(EVERY, execute(f"SELECT {asked}")[0], strict=True) if has}


def planned(table: str) -> dict[str, set[str]]:
    """What the plan says, by role."""
    sets = (set(filter(None, granted.split(", "))) for granted in grants.rights(table))
    return dict(zip(grants.logins(PREFIX), sets, strict=True))


def test_every_table_of_the_database_but_djangos_notes_of_migrations_is_in_the_plan() -> None:
    assert {*grants.plan(), "django_migrations"} == set(connection.introspection.table_names())


def test_the_log_has_no_line_for_a_table_that_is_not_there() -> None:
    assert grants.LOG.keys() <= set(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_each_role_may_do_what_the_plan_says_and_nothing_else(table: str) -> None:
    grant()
    assert {role: may(role, table) for role in grants.logins(PREFIX)} == planned(table)


def test_who_signs_the_log_sees_neither_people_nor_documents() -> None:
    grant()
    assert [table for table in TABLES if may(SEQUENCER_HERE, table) and not table.startswith("audit_")] == []


def test_nobody_but_the_owner_changes_the_schema_or_makes_temporary_tables() -> None:
    grant()
    database = connection.settings_dict["NAME"]
    for role in grants.logins(PREFIX):
        asked = (
            f"SELECT has_database_privilege('{role}', '{database}', 'CONNECT'), "
            f"has_database_privilege('{role}', '{database}', 'TEMP'), "
            f"has_database_privilege('{role}', '{database}', 'CREATE'), "
            f"has_schema_privilege('{role}', 'public', 'USAGE'), has_schema_privilege('{role}', 'public', 'CREATE')"
        )
        assert execute(asked) == [(True, False, False, True, False)]


@pytest.mark.parametrize(
    "loose",
    [
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {WEB_HERE}",
        f"GRANT ALL ON audit_event TO {WEB_HERE} WITH GRANT OPTION",
        f"GRANT UPDATE (actor) ON audit_event TO {WEB_HERE}",
        f"GRANT DELETE ON django_migrations TO {WEB_HERE}",
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC",
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
    ],
)
def test_what_somebody_gave_by_hand_is_taken_again(loose: str) -> None:
    execute(loose)
    grant()
    for table in (*TABLES, "django_migrations"):
        expected = planned(table)[WEB_HERE] if table in TABLES else set()
        assert may(WEB_HERE, table) == expected, table
    (columns,) = execute(f"SELECT has_any_column_privilege('{WEB_HERE}', 'audit_event', 'UPDATE')")
    assert columns == (False,)


def test_a_sequence_that_somebody_gave_is_taken_again() -> None:
    execute(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {WEB_HERE}")
    grant()
    assert execute(f"SELECT has_sequence_privilege('{WEB_HERE}', 'audit_outbox_id_seq', 'UPDATE, USAGE')") == [(False,)]


def test_it_may_run_again() -> None:
    assert grant() == grant()


def test_a_table_of_the_log_without_a_line_is_an_error_and_nothing_is_granted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(grants.LOG, "audit_tile")
    with pytest.raises(CommandError, match="audit_tile"):
        grant()
    assert not any(may(WEB_HERE, table) for table in TABLES)


def test_a_new_table_of_another_app_is_changed_by_web_and_workers_and_not_by_the_sequencer() -> None:
    assert grants.rights("pipeline_brand_new") == (
        "SELECT, INSERT, UPDATE, DELETE",
        "SELECT, INSERT, UPDATE, DELETE",
        "",
    )


def test_a_database_with_one_role_is_left_alone_and_it_is_said() -> None:
    said = grant(prefix="nobody")
    assert "nobody_web" in said
    assert OWNER in said


def test_a_role_that_is_missing_beside_the_others_is_an_error() -> None:
    there, away = f"ALTER ROLE {WORKER_HERE} RENAME TO elsewhere", f"ALTER ROLE elsewhere RENAME TO {WORKER_HERE}"
    with spoilt(there, mended_by=away), pytest.raises(CommandError, match=f"no role {WORKER_HERE}"):
        grant()
    assert may(WEB_HERE, "audit_event") == set()


@pytest.mark.parametrize(
    ("by", "mended_by", "words"),
    [
        (f"ALTER ROLE {WEB_HERE} SUPERUSER", f"ALTER ROLE {WEB_HERE} NOSUPERUSER", "is a superuser"),
        (f"ALTER ROLE {WEB_HERE} CREATEROLE", f"ALTER ROLE {WEB_HERE} NOCREATEROLE", "may make roles"),
        (f"GRANT {OWNER} TO {WEB_HERE}", f"REVOKE {OWNER} FROM {WEB_HERE}", "is a member of the owner"),
        (
            f"GRANT {OWNER} TO {WEB_HERE} WITH INHERIT FALSE",
            f"REVOKE {OWNER} FROM {WEB_HERE}",
            "is a member of the owner",
        ),
        (
            f"GRANT pg_write_all_data TO {WEB_HERE}",
            f"REVOKE pg_write_all_data FROM {WEB_HERE}",
            "may DELETE audit_event",
        ),
    ],
)
def test_a_power_that_no_grant_can_take_is_an_error_and_nothing_is_granted(by: str, mended_by: str, words: str) -> None:
    with (
        spoilt(by, mended_by=mended_by),
        pytest.raises(CommandError, match=f"{WEB_HERE} {words}"),
        transaction.atomic(),
    ):
        grant()
    assert may(SEQUENCER_HERE, "audit_event") == set()


def test_only_the_owner_can_grant() -> None:
    with being(WEB), pytest.raises(CommandError, match="as the owner of the database"):
        grant()


def test_a_database_that_is_not_migrated_is_an_error() -> None:
    execute("ALTER TABLE audit_tile RENAME TO elsewhere")
    with pytest.raises(CommandError, match="Run `migrate` first"), transaction.atomic():
        grant()


def test_the_printed_sql_does_the_same_in_one_transaction_and_printing_does_nothing() -> None:
    begin, *statements, commit, end = grant("--print").split(";\n")
    assert (begin, commit, end) == ("BEGIN", "COMMIT", "")
    assert may(WEB_HERE, "audit_event") == set()
    for statement in statements:
        execute(statement)
    for table in TABLES:
        assert {role: may(role, table) for role in grants.logins(PREFIX)} == planned(table)


def test_the_printed_sql_needs_no_roles_yet() -> None:
    assert 'TO "nobody_sequencer"' in grant("--print", prefix="nobody")


@pytest.mark.parametrize("prefix", ["", "a b", 'x"; DROP TABLE audit_event; --', "Strongroom", "x" * 60])
def test_a_prefix_that_is_no_plain_name_is_refused(prefix: str) -> None:
    with pytest.raises(CommandError, match="--prefix"):
        grant(prefix=prefix)
