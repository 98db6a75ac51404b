"""What the release before cannot live with, field by field and in SQL. Who asks, and of what, is `config.additive`.

The locks are PostgreSQL's ("Explicit Locking", "ALTER TABLE", "CREATE INDEX").
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from django.contrib.postgres.functions import RandomUUID
from django.db import connection
from django.db.models import GeneratedField, ManyToManyField
from django.db.models.fields import NOT_PROVIDED
from django.db.models.functions import Random

GONE: Final = "the release before still uses it"
LOCKS: Final = "writes wait while the whole table is read or written"
NARROWER: Final = "the release before may write what is then refused"
UNSEEN: Final = "what it does cannot be seen from here"

AnyField = Any  # of any kind, as a state of migrations has it

_VOLATILE: Final = (Random, RandomUUID)
_NOT_SQL: Final = re.compile(r"--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\1\$|'(?:[^']|'')*'", re.DOTALL)
# In a trigger, a lock or the end of an INSERT the words are no statement.
_NO_STATEMENT: Final = "".join(f"(?<!{word} )" for word in ("BEFORE", "AFTER", "OR", "OF", "ON", "DO", "FOR", "KEY"))
_IN_SQL: Final = {
    r"DROP (?!NOT NULL)\w+|RENAME|DELETE FROM|ALTER (?:COLUMN )?\S+ (?:SET DATA )?TYPE": GONE,
    rf"{_NO_STATEMENT}TRUNCATE": GONE,
    r"ADD COLUMN (?![^,;]*DEFAULT)[^,;]*NOT NULL": NARROWER,
    r"CREATE (?:OR REPLACE )?(?:CONSTRAINT )?TRIGGER": NARROWER,
    r"SET NOT NULL|ADD (?:CONSTRAINT|CHECK|UNIQUE|FOREIGN|PRIMARY|EXCLUDE)": f"{LOCKS}, and {NARROWER}",
    r"CREATE (?:UNIQUE )?INDEX(?! CONCURRENTLY)|REINDEX(?![^;]*CONCURRENTLY)|CLUSTER|VACUUM FULL|LOCK": LOCKS,
    rf"{_NO_STATEMENT}UPDATE": "the rows stay locked until the migration ends",
    r"CREATE OR REPLACE FUNCTION|DO(?! NOTHING)(?! UPDATE)(?! INSTEAD)(?! ALSO)|CALL": UNSEEN,
}


def added(field: AnyField) -> Iterator[str]:
    """Yield what is wrong with a new column of a table that is in use."""
    if isinstance(field, ManyToManyField):  # a table of its own
        return
    if not field.null and field.db_default is NOT_PROVIDED and not isinstance(field, GeneratedField):
        yield "it has no default in the database, and the release before writes rows without it"
    if field.unique or field.db_index or isinstance(field, GeneratedField) or _volatile(field.db_default):
        yield LOCKS


def altered(old: AnyField, new: AnyField) -> Iterator[str]:
    """Yield what is wrong with a change of a column."""
    if old.get_attname_column()[1] != new.get_attname_column()[1] or _points_to(old) != _points_to(new):
        yield GONE
    if not _wider(old, new) or (new.unique and not old.unique) or (new.db_index and not old.db_index):
        yield LOCKS
    if (old.null and not new.null) or _checked(new) not in {None, _checked(old)} or (new.unique and not old.unique):
        yield f"{LOCKS}, and {NARROWER}"
    if old.db_default is not NOT_PROVIDED and new.db_default is NOT_PROVIDED and not new.null:
        yield "the release before leaves its value to the database"


def in_sql(sql: Any) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the statements of a RunSQL: the words that say so, and why.

    Bodies of functions, strings and comments are not looked at: a function does nothing until it is called.
    """
    text = sql if isinstance(sql, str) else ";".join(one if isinstance(one, str) else one[0] for one in sql)
    plain = " ".join(_NOT_SQL.sub(" '' ", text).upper().split())
    for words, why in _IN_SQL.items():
        for match in re.finditer(rf"(?<!\w)(?:{words})(?!\w)", plain):
            yield match.group().strip(), why


def _volatile(default: Any) -> bool:
    """Whether PostgreSQL must work the default out for each row that is there, and write the table anew."""
    return hasattr(default, "flatten") and any(isinstance(part, _VOLATILE) for part in default.flatten())


def _points_to(field: AnyField) -> Any:
    remote = field.remote_field and field.remote_field.model._meta.label_lower
    return remote, getattr(field, "db_constraint", None)


def _checked(field: AnyField) -> str | None:
    check: str | None = field.db_check(connection)
    return check


def _wider(old: AnyField, new: AnyField) -> bool:
    """Whether the column takes all that it took, without being written anew."""
    before, after = (field.db_parameters(connection) for field in (old, new))
    if before.get("collation") != after.get("collation"):
        return False
    return before["type"] == after["type"] or _length(after["type"]) >= _length(before["type"]) > 0


def _length(kind: str | None) -> float:
    """How many characters a column takes; 0 where it is none of characters."""
    if kind in {"text", "varchar"}:
        return float("inf")
    found = re.fullmatch(r"varchar\((\d+)\)", kind or "")
    return int(found[1]) if found else 0
