"""A migration that the release before could not live with is found, each kind of it; what only adds is let through."""

import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.postgres.functions import RandomUUID
from django.contrib.postgres.operations import (
    AddConstraintNotValid,
    AddIndexConcurrently,
    CreateExtension,
    RemoveIndexConcurrently,
    ValidateConstraint,
)
from django.core.management import CommandError, call_command
from django.db import migrations, models
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models.functions import Now, Upper
from pytest_django import Settings

from config import additive
from config.additive import Finding, Judged
from config.additive_rules import GONE, LOCKS, NARROWER, UNSEEN

BOTH = f"{LOCKS}, and {NARROWER}"
EMPTY = "it has no default in the database, and the release before writes rows without it"
LEFT = "the release before leaves its value to the database"
HELD = "the rows stay locked until the migration ends"
# The ways in which SQL can be handed to a migration.
FORMS: dict[str, Callable[[str], Any]] = {
    "text": str,
    "list": lambda sql: [sql],
    "with parameters": lambda sql: [(sql, ["a parameter"])],
}
INDEX = models.Index(fields=["size"], name="by_size")
CHECK = models.CheckConstraint(condition=models.Q(size__gte=0), name="some_size")


def standing() -> ProjectState:
    """The tables of the release before."""
    state = ProjectState()
    fields: list[tuple[str, models.Field[Any, Any]]] = [
        ("id", models.BigAutoField(primary_key=True)),
        ("name", models.CharField(max_length=10)),
        ("free", models.TextField(null=True)),
        ("size", models.IntegerField(null=True)),
        ("at", models.DateTimeField(db_default=Now())),
    ]
    migrations.CreateModel("Other", [("id", models.BigAutoField(primary_key=True))]).state_forwards("shop", state)
    migrations.CreateModel("Thing", fields).state_forwards("shop", state)
    toward: Any = models.ForeignKey("shop.other", models.PROTECT, null=True, db_index=False)
    migrations.AddField("thing", "other", toward).state_forwards("shop", state)
    migrations.AddIndex("thing", INDEX).state_forwards("shop", state)
    migrations.AddConstraint("thing", CHECK).state_forwards("shop", state)
    return state


def judged(*steps: Operation, **reasons: str) -> Judged:
    """A migration with these operations."""
    told = {"operations": list(steps), **({"not_additive": reasons} if reasons else {})}
    migration = type("Migration", (migrations.Migration,), told)
    return additive.judge_one(migration("0009_next", "shop"), standing())


def found(*steps: Operation) -> list[tuple[str, str]]:
    """What is found in them."""
    return [(finding.what, finding.why) for finding in judged(*steps).findings]


def add(field: Any) -> Operation:
    """A new column."""
    return migrations.AddField("thing", "new", field)


def alter(name: str, field: Any) -> Operation:
    """Another kind of column."""
    return migrations.AlterField("thing", name, field)


def code(*_: object) -> None:
    """Python in a migration."""


KINDS: list[tuple[Operation, str, str]] = [
    (migrations.DeleteModel("Thing"), "DeleteModel thing", GONE),
    (migrations.RenameModel("Thing", "Stuff"), "RenameModel thing", GONE),
    (migrations.AlterModelTable("thing", "things"), "AlterModelTable thing", GONE),
    (migrations.RemoveField("thing", "free"), "RemoveField thing.free", GONE),
    (migrations.RenameField("thing", "free", "open"), "RenameField thing.free", GONE),
    (migrations.AddIndex("thing", models.Index(fields=["at"], name="by_at")), "AddIndex thing.by_at", LOCKS),
    (
        migrations.AddConstraint("thing", models.UniqueConstraint(fields=["name"], name="one")),
        "AddConstraint thing.one",
        BOTH,
    ),
    (
        AddConstraintNotValid("thing", models.CheckConstraint(condition=models.Q(name="a"), name="a")),
        "AddConstraintNotValid thing.a",
        NARROWER,
    ),
    (migrations.AlterUniqueTogether("thing", {("name", "size")}), "AlterUniqueTogether thing", BOTH),
    (migrations.AlterOrderWithRespectTo("thing", "other"), "AlterOrderWithRespectTo thing", BOTH),
    (add(models.TextField()), "AddField thing.new", EMPTY),
    (add(models.TextField(default="x")), "AddField thing.new", EMPTY),
    (add(models.TextField(null=True, db_index=True)), "AddField thing.new", LOCKS),
    (add(models.TextField(null=True, unique=True)), "AddField thing.new", LOCKS),
    (add(models.ForeignKey("shop.other", models.PROTECT, null=True)), "AddField thing.new", LOCKS),
    (add(models.UUIDField(db_default=RandomUUID())), "AddField thing.new", LOCKS),
    (
        add(models.GeneratedField(expression=Upper("name"), output_field=models.TextField(), db_persist=True)),
        "AddField thing.new",
        LOCKS,
    ),
    (alter("name", models.CharField(max_length=9)), "AlterField thing.name", LOCKS),
    (alter("free", models.CharField(max_length=9, null=True)), "AlterField thing.free", LOCKS),
    (alter("size", models.BigIntegerField(null=True)), "AlterField thing.size", LOCKS),
    (alter("size", models.TextField(null=True)), "AlterField thing.size", LOCKS),
    (alter("free", models.TextField()), "AlterField thing.free", BOTH),
    (alter("size", models.PositiveIntegerField(null=True)), "AlterField thing.size", BOTH),
    (alter("free", models.TextField(null=True, db_index=True)), "AlterField thing.free", LOCKS),
    (alter("free", models.TextField(null=True, db_collation="C")), "AlterField thing.free", LOCKS),
    (alter("free", models.TextField(null=True, db_column="open")), "AlterField thing.free", GONE),
    (
        alter("other", models.ForeignKey("shop.thing", models.PROTECT, null=True, db_index=False)),
        "AlterField thing.other",
        GONE,
    ),
    (alter("at", models.DateTimeField()), "AlterField thing.at", LEFT),
    (migrations.RunPython(code), "RunPython code", UNSEEN),
    (CreateExtension("hstore"), "CreateExtension hstore", UNSEEN),
    (
        migrations.SeparateDatabaseAndState([migrations.RemoveField("thing", "free")], []),
        "RemoveField thing.free",
        GONE,
    ),
]


@pytest.mark.parametrize(("step", "what", "why"), KINDS, ids=[f"{i} {what}" for i, (_, what, _) in enumerate(KINDS)])
def test_each_kind_is_found(step: Operation, what: str, why: str) -> None:
    assert found(step) == [(what, why)]


def test_a_unique_column_is_both_narrower_and_a_lock() -> None:
    assert dict(found(alter("free", models.TextField(null=True, unique=True)))) == {"AlterField thing.free": BOTH}


ADDING: list[Operation] = [
    migrations.CreateModel("New", [("id", models.BigAutoField(primary_key=True))]),
    add(models.TextField(null=True)),
    add(models.TextField(db_default="")),
    add(models.DateTimeField(db_default=Now())),
    add(models.ForeignKey("shop.other", models.PROTECT, null=True, db_index=False)),
    add(models.ManyToManyField("shop.other")),
    alter("name", models.CharField(max_length=11)),
    alter("name", models.CharField()),
    alter("name", models.TextField()),
    alter("name", models.CharField(max_length=10, null=True)),
    alter("name", models.CharField(max_length=10, choices=[("a", "A")], help_text="x", default="a")),
    AddIndexConcurrently("thing", models.Index(fields=["at"], name="by_at")),
    RemoveIndexConcurrently("thing", "by_size"),
    ValidateConstraint("thing", "some_size"),
    migrations.RemoveConstraint("thing", "some_size"),
    migrations.RenameIndex("thing", "by_some_size", old_name="by_size"),
    migrations.AlterModelOptions("thing", {"verbose_name": "x"}),
    migrations.RunPython(migrations.RunPython.noop),
    migrations.RunSQL(migrations.RunSQL.noop),
    migrations.SeparateDatabaseAndState([], [migrations.RemoveField("thing", "free")]),
]


@pytest.mark.parametrize("step", ADDING, ids=[f"{i} {step.describe()}" for i, step in enumerate(ADDING)])
def test_what_only_adds_is_let_through(step: Operation) -> None:
    assert found(step) == []


def test_a_table_that_the_same_migration_makes_may_be_done_anything_with() -> None:
    made = migrations.CreateModel("New", [("id", models.BigAutoField(primary_key=True)), ("a", models.IntegerField())])
    steps = [
        migrations.AddField("new", "b", models.TextField()),
        migrations.AddIndex("new", models.Index(fields=["a"], name="by_a")),
        migrations.AddConstraint("new", models.UniqueConstraint(fields=["a"], name="one_a")),
        migrations.RemoveField("new", "b"),
    ]
    assert found(made, *steps) == []


@pytest.mark.parametrize(
    ("sql", "what", "why"),
    [
        ("DROP TABLE thing", "DROP TABLE", GONE),
        ("alter table thing drop column free", "DROP COLUMN", GONE),
        ("ALTER TABLE thing ALTER COLUMN size DROP DEFAULT", "DROP DEFAULT", GONE),
        ("ALTER TABLE thing ALTER COLUMN size TYPE bigint", "ALTER COLUMN SIZE TYPE", GONE),
        ("ALTER TABLE thing ALTER size SET DATA TYPE bigint", "ALTER SIZE SET DATA TYPE", GONE),
        ("ALTER TABLE thing RENAME TO stuff", "RENAME", GONE),
        ("TRUNCATE thing", "TRUNCATE", GONE),
        ("DELETE FROM thing", "DELETE FROM", GONE),
        ("ALTER TABLE thing ALTER COLUMN size SET NOT NULL", "SET NOT NULL", BOTH),
        ("ALTER TABLE thing ADD CONSTRAINT c CHECK (size > 0)", "ADD CONSTRAINT", BOTH),
        ("ALTER TABLE thing ADD COLUMN c int NOT NULL", "ADD COLUMN C INT NOT NULL", NARROWER),
        ("CREATE INDEX i ON thing (size)", "CREATE INDEX", LOCKS),
        ("CREATE UNIQUE INDEX i ON thing (size)", "CREATE UNIQUE INDEX", LOCKS),
        ("LOCK TABLE thing", "LOCK", LOCKS),
        ("UPDATE thing SET size = 0", "UPDATE", HELD),
        ("CREATE TRIGGER t BEFORE UPDATE OR TRUNCATE ON thing EXECUTE FUNCTION f()", "CREATE TRIGGER", NARROWER),
        ("CREATE OR REPLACE FUNCTION f() ...", "CREATE OR REPLACE FUNCTION", UNSEEN),
        ("DO $$ BEGIN DROP TABLE thing; END $$", "DO", UNSEEN),
        ("SELECT 1; -- a comment's\n/* another */ DROP VIEW v", "DROP VIEW", GONE),
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_each_kind_is_found_in_sql(sql: str, what: str, why: str, form: str) -> None:
    assert found(migrations.RunSQL(FORMS[form](sql))) == [(f"RunSQL {what}", why)]


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE thing ADD COLUMN c int",
        "ALTER TABLE thing ADD COLUMN c int NOT NULL DEFAULT 0, ADD COLUMN d int DEFAULT 0 NOT NULL",
        "ALTER TABLE thing ALTER COLUMN size DROP NOT NULL",
        "CREATE INDEX CONCURRENTLY i ON thing (size)",
        "CREATE UNIQUE INDEX CONCURRENTLY i ON thing (size)",
        "CREATE FUNCTION f() RETURNS trigger AS $$ BEGIN DELETE FROM thing; END $$",
        "CREATE FUNCTION f() RETURNS text AS $body$ SELECT 'DROP TABLE' $body$",
        "INSERT INTO thing (name) VALUES ('DROP TABLE ''thing''') ON CONFLICT DO UPDATE SET name = ''",
        "INSERT INTO thing (name) VALUES ('a') ON CONFLICT DO NOTHING",
        "SELECT 1 FROM thing FOR UPDATE",
        "ALTER TYPE kind ADD VALUE 'new'",
        "SELECT pg_advisory_lock(1) -- DROP TABLE",
        "SELECT last_update, dropped FROM thing",
    ],
)
def test_sql_that_only_adds_is_let_through(sql: str) -> None:
    assert found(migrations.RunSQL(sql)) == []


def test_a_written_reason_is_accepted_for_what_it_names_and_no_more() -> None:
    steps = [migrations.RemoveField("thing", "free"), migrations.RemoveField("thing", "size")]
    said = judged(*steps, **{"RemoveField thing.free": "Nobody has read it since 1.4."})
    assert said == Judged("shop.0009_next", (Finding("RemoveField thing.size", GONE),), ())


def test_a_reason_without_words_is_none() -> None:
    said = judged(migrations.RemoveField("thing", "free"), **{"RemoveField thing.free": " "})
    assert [finding.what for finding in said.findings] == ["RemoveField thing.free"]


def test_a_reason_for_what_is_not_done_is_told_of() -> None:
    assert judged(add(models.TextField(null=True)), **{"RemoveField thing.free": "Words."}).idle == (
        "RemoveField thing.free",
    )


def test_our_own_migrations_only_add_or_say_why() -> None:
    assert additive.judge() == []


def test_the_baseline_names_migrations_that_there_are() -> None:
    for label, name in additive.BASELINE.items():
        assert (Path(__file__).parents[2] / label / "migrations" / f"{name}.py").is_file()


def test_the_command_says_what_is_wrong_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    call_command("additive")
    folder = tmp_path / "strange_migrations"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "9999_gone.py").write_text(
        "from django.db import migrations\n\nclass Migration(migrations.Migration):\n"
        "    not_additive = {'RemoveField x.y': 'Words.'}\n    operations = [migrations.RunSQL('DROP TABLE x')]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    settings.MIGRATION_MODULES = {**settings.MIGRATION_MODULES, "pipeline": "strange_migrations"}
    said = StringIO()
    with pytest.raises(CommandError, match="not_additive"):
        call_command("additive", stdout=said)
    assert said.getvalue().splitlines() == [
        f"pipeline.9999_gone: RunSQL DROP TABLE: {GONE}",
        "pipeline.9999_gone: gives a reason for RemoveField x.y, which it does not do",
    ]
    del sys.modules["strange_migrations"]
