"""A table without its indexes and foreign keys while it is filled: built at once afterwards, they take a tenth."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

_KEYS = """
    select conname, pg_get_constraintdef(oid) from pg_constraint
    where conrelid = %s::regclass and contype in ('f', 'u') order by contype desc
"""
_INDEXES = """
    select indexrelid::regclass::text, pg_get_indexdef(indexrelid) from pg_index i
    where indrelid = %s::regclass and not indisprimary
      and not exists (select from pg_constraint c where c.conindid = i.indexrelid)
"""


@contextmanager
def bare(table: str) -> Iterator[None]:
    """Take a table's indexes and keys off, but for the primary one, and put the very same back in the end."""
    keys, indexes = _ask(_KEYS, table), _ask(_INDEXES, table)
    for name, _ in keys:
        _say(f'alter table {table} drop constraint "{name}"')
    for name, _ in indexes:
        _say(f"drop index {name}")
    yield
    _say("set maintenance_work_mem = '512MB'")
    for _, definition in indexes:
        _say(definition)
    for name, definition in keys:
        _say(f'alter table {table} add constraint "{name}" {definition}')


def _ask(sql: str, table: str) -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, [table])
        return list(cursor.fetchall())


def _say(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)
