"""Finds what a migration does that the release before it cannot live with, or must wait for: `manage.py additive`.

While a release is rolled out, processes of the one before go on over the new tables. So a migration only adds; what
takes away comes a release later, when nobody uses it any more, with its reason in the migration itself:

    class Migration(migrations.Migration):
        not_additive = {"RemoveField document.colour": "No release since 1.4 reads or writes it."}

The operations are walked through Django's own loader and states; no database is asked. What cannot be judged, such as
Python code or an operation that is not known here, needs a reason, too. The rules are in `config.additive_rules`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.contrib.postgres import operations as postgres
from django.db.migrations import Migration, operations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from config.additive_rules import GONE, LOCKS, NARROWER, UNSEEN, added, altered, in_sql

# The last ones before this was looked at.
BASELINE: Final = {
    "audit": "0009_ascending_indexes",
    "identity": "0003_security_epoch",
    "pipeline": "0003_policy_and_waits",
}

# By the exact kind: Django derives the operations that lock nothing from those that do.
_HARMLESS: Final = frozenset(
    {
        *(operations.CreateModel, operations.AlterModelOptions, operations.AlterModelManagers),
        *(operations.AlterModelTableComment, operations.RemoveConstraint, operations.RemoveIndex),
        *(operations.RenameIndex, postgres.AddIndexConcurrently, postgres.RemoveIndexConcurrently),
        postgres.ValidateConstraint,
    }
)
_NEVER: Final[dict[type[Operation], str]] = {
    operations.DeleteModel: GONE,
    operations.RenameModel: GONE,
    operations.AlterModelTable: GONE,
    operations.RemoveField: GONE,
    operations.RenameField: GONE,
    operations.AddIndex: LOCKS,
    operations.AlterIndexTogether: LOCKS,
    operations.AlterUniqueTogether: f"{LOCKS}, and {NARROWER}",
    operations.AlterOrderWithRespectTo: f"{LOCKS}, and {NARROWER}",
    operations.AddConstraint: f"{LOCKS}, and {NARROWER}",
    postgres.AddConstraintNotValid: NARROWER,
}


@dataclass(frozen=True)
class Finding:
    """One thing that a migration does: as a reason for it must name it, and what is wrong with it."""

    what: str
    why: str


@dataclass(frozen=True)
class Judged:
    """A migration: what it does without a reason, and its reasons for what it does not do."""

    name: str
    findings: tuple[Finding, ...]
    idle: tuple[str, ...]


def judge() -> list[Judged]:
    """Return those of our own migrations after `BASELINE` with which something is wrong."""
    loader = MigrationLoader(None)
    ours = {app.label for app in apps.get_app_configs() if Path(app.path).parent == settings.BASE_DIR}
    judged = (
        judge_one(migration, loader.project_state((label, name), at_end=False))
        for (label, name), migration in sorted(loader.disk_migrations.items())
        if label in ours and name > BASELINE.get(label, "")
    )
    return [one for one in judged if one.findings or one.idle]


def judge_one(migration: Migration, before: ProjectState) -> Judged:
    """Return what a migration does to the tables of a state, other than what it gives a reason for."""
    reasons: dict[str, str] = getattr(migration, "not_additive", {})
    found = tuple(dict.fromkeys(_found(migration.operations, migration.app_label, before, set())))
    return Judged(
        f"{migration.app_label}.{migration.name}",
        tuple(finding for finding in found if not reasons.get(finding.what, "").strip()),
        tuple(sorted(reasons.keys() - {finding.what for finding in found})),
    )


def _found(steps: Sequence[Operation], app: str, before: ProjectState, new: set[str]) -> Iterator[Finding]:
    """Walk the operations; `new` are the tables that were made on the way: nobody uses them, and they are empty."""
    for step in steps:
        after = before.clone()
        step.state_forwards(app, after)
        if isinstance(step, operations.SeparateDatabaseAndState):
            yield from _found(step.database_operations, app, before, new)
        else:
            yield from _judged(step, app, before, after, new)
        before = after


def _judged(step: Any, app: str, before: ProjectState, after: ProjectState, new: set[str]) -> Iterator[Finding]:
    if isinstance(step, operations.CreateModel):
        new.add(step.name_lower)
    if type(step) in _HARMLESS or _model(step) in new:
        return
    name = f"{type(step).__name__} {_part(step)}"
    if isinstance(step, operations.RunSQL):
        yield from (Finding(f"RunSQL {what}", why) for what, why in in_sql(step.sql))
    elif isinstance(step, operations.RunPython):
        if step.code is not operations.RunPython.noop:
            yield Finding(f"RunPython {getattr(step.code, '__name__', '')}", UNSEEN)
    elif isinstance(step, operations.AddField):
        yield from (Finding(name, why) for why in added(_field(after, app, step)))
    elif isinstance(step, operations.AlterField):
        yield from (Finding(name, why) for why in altered(_field(before, app, step), _field(after, app, step)))
    else:
        yield Finding(name, _NEVER.get(type(step), UNSEEN))


def _field(state: ProjectState, app: str, step: Any) -> Any:
    return state.apps.get_model(app, step.model_name)._meta.get_field(step.name)


def _model(step: Any) -> str:
    """The model that an operation is about, in lower case: in Django each kind has its own name for that."""
    names = (getattr(step, name, None) for name in ("model_name", "old_name", "name"))
    return next((str(name).lower() for name in names if name), "")


def _part(step: Any) -> str:
    """What of the model it is about, if there is such a thing."""
    named = getattr(step, "index", None) or getattr(step, "constraint", None)
    part = getattr(named, "name", None) or getattr(step, "old_name", None) or getattr(step, "name", "")
    model = _model(step)
    return model if str(part).lower() == model else f"{model}.{part}"
