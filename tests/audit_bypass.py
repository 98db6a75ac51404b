"""Lets the tests empty the append-only log between tests; production has nothing of the kind.

Django empties every table after a test that commits, with one TRUNCATE, which the log's triggers
refuse. Around that statement, and only there, the triggers are switched off; while a test runs they
stand.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from django.db import connection, transaction

_TRIGGERS = {
    table: (f"{table}_rows_stay", f"{table}_table_stays")
    for table in ("audit_event", "audit_outbox", "audit_tile", "audit_checkpoint")
}


@pytest.fixture(scope="session", autouse=True)
def flush_may_empty_the_log() -> Iterator[None]:
    """Wrap Django's flush for the whole run."""
    from audit import private  # models, which need Django to be set up

    operations = type(connection.ops)
    execute = operations.execute_sql_flush

    def flush(self: Any, sql_list: Iterable[str]) -> None:
        with transaction.atomic(), self.connection.cursor() as cursor:
            for table in _TRIGGERS:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            execute(self, sql_list)
            for table, triggers in _TRIGGERS.items():
                for trigger in triggers:
                    cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")
        private.forget_keys()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations, "execute_sql_flush", flush)
        yield
