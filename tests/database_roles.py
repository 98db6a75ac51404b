"""Being each of the database's roles in turn, with the password that it really has, in the tests' database."""

import json
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
from django.db import connection, connections
from django.db.backends.postgresql.base import DatabaseWrapper
from psycopg2.extensions import connection as Session

OWNER, WEB, WORKER, SEQUENCER = "strongroom", "strongroom_web", "strongroom_worker", "strongroom_sequencer"
ADMIN = "postgres"
PROCESSES = (WEB, WORKER, SEQUENCER)


def password(role: str) -> str:
    """What stack.json tells of a role."""
    told = json.loads(Path(os.environ["STRONGROOM_STACK"]).read_text())["database_roles"]
    return urlsplit(told[role]).password or ""


@contextmanager
def session(role: str) -> Iterator[Session]:
    """A session of that role in the tests' database; what it does is rolled back."""
    here = connection.settings_dict
    address = {"host": here["HOST"], "port": here["PORT"], "dbname": here["NAME"]}
    with closing(psycopg2.connect(**address, user=role, password=password(role))) as own:
        yield own


@contextmanager
def being(role: str) -> Iterator[None]:
    """Let Django, and so all of our code in this thread, connect as that role. What it does is committed."""
    ours = connections["default"]
    login = {"USER": role, "PASSWORD": password(role)}
    theirs = DatabaseWrapper({**ours.settings_dict, **login}, "default")
    connections["default"] = theirs
    try:
        yield
    finally:
        connections["default"] = ours
        theirs.close()
