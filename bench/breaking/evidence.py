"""What there is in the end: rows and events from the database, objects from the buckets, what the API says and gives.

Everything is asked from outside, past the gates.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

import psycopg2
import requests

from bench import s3
from bench.breaking.crowd import Crowd
from devstack.client import Client, Refused
from devstack.launch import Running
from devstack.places import ROOT

_ROWS = """
    select v.id::text, v.document_id::text, v.filename, v.status, v.arrival, v.number, v.received_at, v.attempts,
           v.stuck_reason, v.vault_version_id, v.size
    from pipeline_documentversion v
"""
_EVENTS = """
    select split_part(object, ':', 2), action, occurred_at from audit_event where object like 'version:%'
    union all
    select split_part(leaf::json->>'object', ':', 2), leaf::json->>'action', (leaf::json->>'occurred_at')::timestamptz
    from audit_outbox where leaf::json->>'object' like 'version:%'
"""
READERS = 6
ASKED_TIMES = 4


@dataclass(frozen=True)
class Row:
    """A version as the database has it."""

    id: str
    document: str
    filename: str
    status: str
    arrival: int | None
    number: int | None
    received_at: datetime | None
    attempts: int
    stuck_reason: str
    vault_version: str
    size: int

    @property
    def vault_key(self) -> str:
        """Where its bytes must lie."""
        return f"documents/{self.document}/{self.id}"


@dataclass(frozen=True)
class Event:
    """An event of a version."""

    version: str
    action: str
    at: datetime


@dataclass(frozen=True)
class Stored:
    """An S3 version of an object."""

    key: str
    version: str
    size: int


@dataclass(frozen=True)
class Seen:
    """A version as its owner sees it; `sha256` is of the bytes that were downloaded."""

    status: str
    number: int | None
    sha256: str


@dataclass(frozen=True)
class Evidence:
    """All that is known from outside."""

    rows: Sequence[Row] = ()
    events: Sequence[Event] = ()
    vault: Sequence[Stored] = ()
    quarantine: Sequence[Stored] = ()
    seen: dict[str, Seen] = field(default_factory=dict)
    log: str = ""
    """What is wrong with the audit log; empty: it verifies."""


def gather(stack: Running, crowd: Crowd) -> Evidence:
    """Ask everybody."""
    rows = [Row(*found) for found in query(stack, _ROWS)]
    buckets = stack.details["s3"]
    return Evidence(
        rows=rows,
        events=[Event(*found) for found in query(stack, _EVENTS)],
        vault=list(objects(stack, buckets["vault"], "documents/")),
        quarantine=list(objects(stack, buckets["quarantine"])),
        seen=_seen(crowd, {row.id: row for row in rows}),
        log=_log(stack),
    )


def query(stack: Running, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Return what the database answers its owner."""
    with closing(psycopg2.connect(stack.details["database_url"], connect_timeout=5)) as session:
        session.set_session(readonly=True, autocommit=True)
        with session.cursor() as cursor:
            cursor.execute(sql, values or None)  # or a % in it would be a place
            return cursor.fetchall()


def objects(stack: Running, bucket: str, prefix: str = "") -> Iterator[Stored]:
    """Yield every S3 version of a bucket."""
    pages = s3.client(stack.details).get_paginator("list_object_versions")
    for page in pages.paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Versions", []):
            yield Stored(item["Key"], item["VersionId"], item["Size"])


def _seen(crowd: Crowd, rows: dict[str, Row]) -> dict[str, Seen]:
    """Ask the API for each version whose id its client knows, and fetch the bytes of those that are available."""
    known = {account.id: account.intent.owner for account in crowd.accounts if account.id in rows}
    with ThreadPoolExecutor(READERS) as pool:
        found = pool.map(lambda each: _patiently(lambda: _look(crowd.client(each[1]), each[0])), known.items())
        return dict(zip(known, found, strict=True))


def _look(client: Client, version: str) -> Seen:
    said = client.show(version)
    fetched = sha256(client.fetch(version)).hexdigest() if said["status"] == "available" else ""
    return Seen(said["status"], said["version"], fetched)


def _patiently(ask: Callable[[], Seen]) -> Seen:
    """Ask a few times: SeaweedFS may find a volume only some seconds after it says that it is there."""
    for _ in range(ASKED_TIMES - 1):
        try:
            return ask()
        except (Refused, requests.RequestException):
            continue
    try:
        return ask()
    except (Refused, requests.RequestException) as why:
        return Seen(f"no answer: {why}", None, "")


def _log(stack: Running) -> str:
    """Have the whole log verified, by the command that operators use."""
    command = (sys.executable, "manage.py", "audit", "verify", "--no-progress")
    said = subprocess.run(command, cwd=ROOT, env=stack.env, capture_output=True, text=True, check=False)  # noqa: S603
    return "" if said.returncode == 0 and "VERIFIED" in said.stdout else f"{said.stdout}{said.stderr}".strip()[-1000:]
