"""A database of one's own on the server that DATABASE_URL names: made, migrated, and dropped afterwards."""

import os
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import psycopg2
from psycopg2 import sql


@contextmanager
def own(prefix: str = "bench_audit") -> Iterator[None]:
    """Set up Django on a new database, whose name begins like that; drop it in the end."""
    url = os.environ["DATABASE_URL"]
    name = f"{prefix}_{secrets.token_hex(4)}"
    _say(url, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        os.environ["DATABASE_URL"] = urlsplit(url)._replace(path=f"/{name}").geturl()
        _migrate()
        yield
    finally:
        os.environ["DATABASE_URL"] = url
        _say(url, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _migrate() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def _say(url: str, statement: sql.Composable) -> None:
    with closing(psycopg2.connect(url)) as session:
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute(statement)
