"""The database's roles on the real server, each with its own password: what is needed works, all else is denied.

Every statement is said to PostgreSQL by the role itself. `tests/config/test_grants.py` reads PostgreSQL's catalogue;
here it acts.
"""

from collections.abc import Iterator

import psycopg2
import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone
from psycopg2.errors import InsufficientPrivilege
from pytest_django import DjangoDbBlocker

from audit import actions, checkpoint, erasure, private, sequencer, tiles, trail
from audit.models import Event, Outbox, PrivateKey, State
from audit.trail import Ref
from config import grants
from tests import factories
from tests.database_roles import ADMIN, OWNER, PROCESSES, SEQUENCER, WEB, WORKER, being, session

MODELS = {model._meta.db_table: model for model in apps.get_models(include_auto_created=True)}
EVERY = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
DENIED = r"permission denied|must be owner|must be a member|must have|Only roles with"


@pytest.fixture(autouse=True, scope="module")
def granted(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """The rights are given here as in every other database: by the command."""
    with django_db_blocker.unblock():
        call_command("grant", verbosity=0)


def said(role: str, *statements: str) -> None:
    """Say statements to PostgreSQL as that role, and roll all back."""
    with session(role) as own, own.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def statement(privilege: str, table: str) -> str:
    """A statement that needs one right (and that of reading), and touches no row."""
    column = MODELS[table]._meta.concrete_fields[-1].column
    return {
        "SELECT": f'SELECT "{column}" FROM {table} WHERE false',
        "INSERT": f"INSERT INTO {table} SELECT * FROM {table} WHERE false",
        "UPDATE": f'UPDATE {table} SET "{column}" = "{column}" WHERE false',
        "DELETE": f"DELETE FROM {table} WHERE false",
        "TRUNCATE": f"TRUNCATE {table} CASCADE",
    }[privilege]


def denied(role: str, *statements: str) -> bool:
    """Tell whether the last of these is denied, for want of a right: the triggers that keep the log come later."""
    with session(role) as own, own.cursor() as cursor:
        for earlier in statements[:-1]:
            cursor.execute(earlier)
        try:
            cursor.execute(statements[-1])
        except InsufficientPrivilege as refusal:
            return "append-only" not in str(refusal)
    return False


@pytest.mark.parametrize("role", PROCESSES)
@pytest.mark.parametrize("table", sorted(MODELS))
def test_a_role_does_with_each_table_what_it_needs_and_nothing_else(table: str, role: str) -> None:
    needed = dict(zip(PROCESSES, grants.rights(table), strict=True))[role].split(", ")
    assert {privilege for privilege in EVERY if not denied(role, statement(privilege, table))} == set(
        filter(None, needed)
    )


# Said once more, and not read off the plan: a plan that grows too loose must not take these tests with it.
ALL_CHANGES = "INSERT UPDATE DELETE TRUNCATE"
READERS = {
    **dict.fromkeys(["audit_event", "audit_unreadable", "audit_state", "audit_batch", "audit_tile"], ALL_CHANGES),
    **dict.fromkeys(["audit_checkpoint", "audit_publication", "audit_private"], ALL_CHANGES),
    "audit_outbox": "UPDATE DELETE TRUNCATE",
    "audit_privatekey": "UPDATE DELETE TRUNCATE",
}
NEVER = {
    WEB: {**READERS, "audit_erasure": "DELETE TRUNCATE"},
    WORKER: {**READERS, "audit_erasure": ALL_CHANGES},
    SEQUENCER: {
        "audit_event": "UPDATE DELETE TRUNCATE",
        "audit_outbox": "UPDATE TRUNCATE",
        "audit_unreadable": "UPDATE DELETE TRUNCATE",
        "audit_state": "DELETE TRUNCATE",
        "audit_batch": "DELETE TRUNCATE",
        "audit_tile": "UPDATE DELETE TRUNCATE",
        "audit_checkpoint": "UPDATE DELETE TRUNCATE",
        "audit_publication": "DELETE TRUNCATE",
        "audit_private": "UPDATE TRUNCATE",
        "audit_privatekey": "DELETE TRUNCATE",
        "audit_erasure": "INSERT DELETE TRUNCATE",  # asked for and allowed by people, who are in web
        **{table: " ".join(EVERY) for table in MODELS if not table.startswith("audit_")},
    },
}


@pytest.mark.parametrize("role", PROCESSES)
def test_no_table_of_the_log_is_forgotten_here(role: str) -> None:
    assert {table for table in MODELS if table.startswith("audit_")} <= NEVER[role].keys()


@pytest.mark.parametrize(("role", "table"), [(role, table) for role in NEVER for table in NEVER[role]])
def test_what_a_role_must_never_do_to_a_table_is_denied(role: str, table: str) -> None:
    for privilege in NEVER[role][table].split():
        assert denied(role, statement(privilege, table)), privilege


OVERREACH = [
    "ALTER TABLE audit_event DISABLE TRIGGER audit_event_rows_stay",
    "ALTER TABLE audit_event DISABLE TRIGGER ALL",
    "DROP TRIGGER audit_event_rows_stay ON audit_event",
    "ALTER TABLE audit_event DROP COLUMN leaf",
    "ALTER TABLE audit_event RENAME TO elsewhere",
    "DROP TABLE audit_event",
    "DROP TABLE audit_tile CASCADE",
    "CREATE RULE no AS ON INSERT TO audit_event DO INSTEAD NOTHING",
    "CREATE TRIGGER no BEFORE INSERT ON audit_outbox FOR EACH ROW EXECUTE FUNCTION audit_refuse()",
    "CREATE INDEX ON audit_event (leaf_hash)",
    "CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "DROP FUNCTION audit_refuse() CASCADE",
    "CREATE TABLE audit_copy (id int)",
    "CREATE TEMPORARY TABLE audit_event (id int)",
    "CREATE SCHEMA other",
    "SELECT setval('audit_outbox_id_seq', 1)",
    f"SET ROLE {OWNER}",
    f"SET ROLE {ADMIN}",
    f"SET SESSION AUTHORIZATION {OWNER}",
    "SET session_replication_role = replica",
    f"ALTER ROLE {OWNER} PASSWORD 'mine'",
    "CREATE ROLE mine LOGIN",
    "GRANT pg_write_all_data TO CURRENT_USER",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "SELECT pg_read_file('PG_VERSION')",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT pg_switch_wal()",
    "SELECT * FROM django_migrations",
    "DELETE FROM django_migrations",
]


@pytest.mark.parametrize("role", PROCESSES)
@pytest.mark.parametrize("overreach", OVERREACH)
def test_no_process_reaches_for_the_owners_or_the_superusers_means(overreach: str, role: str) -> None:
    with pytest.raises(psycopg2.Error, match=DENIED):
        said(role, overreach)


@pytest.mark.parametrize("role", PROCESSES)
@pytest.mark.parametrize("table", ["audit_event", "audit_tile", "audit_checkpoint", "audit_privatekey"])
def test_a_right_that_one_does_not_have_cannot_be_given_on(table: str, role: str) -> None:
    with session(role) as own, own.cursor() as cursor:
        cursor.execute(f"GRANT ALL ON {table} TO {role}, PUBLIC")  # PostgreSQL warns only
        assert "no privileges were granted" in "".join(own.notices)


@pytest.mark.parametrize("role", [WEB, WORKER])
@pytest.mark.parametrize("table", ["audit_event", "audit_state", "audit_tile", "audit_batch"])
def test_a_process_that_does_not_write_the_log_cannot_lock_it(table: str, role: str) -> None:
    assert denied(role, f"LOCK TABLE {table} IN SHARE MODE")


def test_one_role_can_neither_end_nor_watch_the_sessions_of_another() -> None:
    with session(SEQUENCER) as other:
        pid = other.get_backend_pid()
        assert denied(WEB, f"SELECT pg_terminate_backend({pid})")
        with session(WEB) as own, own.cursor() as cursor:
            cursor.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", [pid])
            assert cursor.fetchall() == [("<insufficient privilege>",)]


@pytest.mark.parametrize(("role", "limit"), [(WEB, "1min"), (WORKER, "1min"), (SEQUENCER, "5min"), (OWNER, "0")])
def test_a_transaction_of_a_process_may_not_idle_for_long(role: str, limit: str) -> None:
    with session(role) as own, own.cursor() as cursor:
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert cursor.fetchall() == [(limit,)]


# --- What is needed, by the code that needs it.


@pytest.fixture(autouse=True)
def no_key_is_remembered() -> Iterator[None]:
    """Each role finds a person's data key for itself; and what these tests made is gone after them."""
    private.forget_keys()
    yield
    private.forget_keys()


def recorded(uid: str = "1") -> None:
    """An event with a private part, as any process records it."""
    with transaction.atomic():
        trail.record(
            actions.DOCUMENT_READ, actor=Ref("user", uid), object=Ref("document", "d"), private={"name": "Ada"}
        )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("role", PROCESSES)
def test_whoever_records_the_sequencer_gives_it_its_place_and_the_web_reads_it(role: str) -> None:
    with being(role):
        recorded()
        recorded()
    with being(SEQUENCER):
        assert sequencer.sequence() == 2
        assert sequencer.backlog() == 0
    with being(WEB):
        event = Event.objects.newest().first()
        assert event
        assert private.reveal(event)["name"] == "Ada"


@pytest.mark.django_db(transaction=True)
def test_the_sequencer_fills_tiles_and_the_web_serves_them() -> None:
    with being(WEB), transaction.atomic():
        for _ in range(tiles.WIDTH + 3):
            trail.record(actions.DOCUMENT_READ, actor=Ref("user", "1"), object=Ref("document", "d"))
    with being(SEQUENCER):
        assert sequencer.sequence() == tiles.WIDTH + 3
    with being(WEB):
        assert len(tiles.hashes(0, 0)) == 32 * tiles.WIDTH
        assert len(tiles.entries(0)) > 0
        assert tiles.reader()(8, 0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("log_in_bucket")
def test_the_sequencer_publishes_and_begins_a_log_anew_and_the_web_proves() -> None:
    with being(WEB):
        recorded()
    with being(SEQUENCER):
        sequencer.sequence()
        assert checkpoint.publish(now=timezone.now())
    with being(WEB):
        assert checkpoint.prove(0).startswith("c2sp.org/tlog-proof@v1")
    with being(SEQUENCER):
        assert checkpoint.restart(reason="a test", actor=Ref("system", "tests"), now=timezone.now(), force=True)
        assert checkpoint.publish(now=timezone.now())


@pytest.mark.django_db(transaction=True)
def test_people_ask_for_an_erasure_in_the_web_and_where_the_keys_are_it_is_executed() -> None:
    now = timezone.now()
    with being(WEB):
        recorded()
        asked = erasure.ask(Ref("user", "1"), reason="they asked", by=Ref("user", "2"), now=now)
        with transaction.atomic():
            erasure.decide(erasure.open_request(asked.pk), approve=True, by=Ref("user", "3"), now=now)
        with pytest.raises(Exception, match="permission denied"):
            erasure.execute(asked.pk, now=now)
    with being(SEQUENCER):
        sequencer.sequence()
        assert erasure.execute(asked.pk, now=now) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("role", [WEB, WORKER])
def test_a_process_that_turns_on_us_can_neither_take_an_event_back_nor_sequence(role: str) -> None:
    recorded()
    with being(role):
        with pytest.raises(Exception, match="permission denied"):
            Outbox.objects.all().delete()
        with pytest.raises(Exception, match="permission denied"):
            sequencer.sequence()
        with pytest.raises(Exception, match="permission denied"):
            State.objects.update(size=0)
        with pytest.raises(Exception, match="permission denied"):
            PrivateKey.objects.update(wrapped=None, destroyed_at=timezone.now())
    assert Outbox.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_web_makes_accounts_tokens_and_documents() -> None:
    with being(WEB):
        alice = factories.person("alice", "investor")
        factories.enrolled(alice)
        assert factories.token(alice).text
        assert factories.begun(alice).status == "pending"


# --- Above all roles there is one who may do anything but this.

ROWS = {
    "audit_event": """
        INSERT INTO audit_event
            (seq, occurred_at, sequenced_at, actor, action, object, subject, outcome, leaf, leaf_hash)
        VALUES (0, now(), now(), 'user:1', 'a', 'document:d', '', 'success', '{}', decode(repeat('00', 32), 'hex'))
    """,
    "audit_tile": """
        INSERT INTO audit_tile (level, number, hashes, root)
        VALUES (0, 0, decode(repeat('00', 8192), 'hex'), decode(repeat('00', 32), 'hex'))
    """,
    "audit_checkpoint": "INSERT INTO audit_checkpoint (origin, size, root, note) VALUES ('o', 1, '', 'n')",
}


@pytest.mark.parametrize("setting", ["origin", "replica"])
@pytest.mark.parametrize("change", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
@pytest.mark.parametrize("table", sorted(ROWS))
def test_not_even_a_superuser_changes_what_is_written(table: str, change: str, setting: str) -> None:
    column = MODELS[table]._meta.concrete_fields[-1].column
    with pytest.raises(InsufficientPrivilege, match="append-only"):
        said(
            ADMIN,
            ROWS[table],
            f"SET session_replication_role = {setting}",
            change.format(table, column, column),
        )


def test_a_superuser_who_puts_the_triggers_to_sleep_is_not_stopped_and_that_is_what_proofs_are_for() -> None:
    said(
        ADMIN,
        ROWS["audit_event"],
        "ALTER TABLE audit_event DISABLE TRIGGER audit_event_rows_stay",
        "UPDATE audit_event SET actor = 'user:2'",
    )
