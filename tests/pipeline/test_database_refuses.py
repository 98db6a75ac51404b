"""What the code forbids the database forbids too: raw SQL, past every rule of ours."""

from itertools import product
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from identity.models import User
from pipeline import lifecycle
from pipeline.models import DocumentVersion, Status
from tests import factories

TABLE = "pipeline_documentversion"
# What a version needs to stand in a status, for the tests that put it there by hand.
FILLED = {
    "s3_version_id": "v",
    "etag": "e",
    "received_size": len(factories.PDF),
    "received_at": "2026-01-01T00:00:00Z",
    "arrival": 1,
    "sha256": "0" * 64,
}
NUMBERED = {"number": 1, "vault_version_id": "v", "available_at": "2026-01-01T00:00:00Z"}


def sql(words: str, *values: Any) -> None:
    """Run a statement in a savepoint of its own."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(words, values)


def refused(words: str, *values: Any) -> None:
    """Run a statement that the database must refuse."""
    with pytest.raises(DatabaseError):
        sql(words, *values)


def standing(owner: User, status: Status) -> DocumentVersion:
    """A version in a status, written by hand with what the constraints ask for."""
    version = factories.begun(owner, name=f"in {status}")
    fields: dict[str, Any] = {"status": status}
    if status not in {Status.PENDING, Status.EXPIRED}:
        fields |= FILLED
    if status in {Status.AVAILABLE, Status.RECALLED}:
        fields |= NUMBERED
    if status in {Status.EXPIRED, Status.REJECTED, Status.INFECTED, Status.RECALLED}:
        fields |= {"reason_code": "for_a_test"}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # ALTER TABLE waits for no deferred check
        cursor.execute(f"ALTER TABLE {TABLE} DISABLE TRIGGER USER")
        assignments = ", ".join(f"{name} = %s" for name in fields)
        cursor.execute(f"UPDATE {TABLE} SET {assignments} WHERE id = %s", [*fields.values(), version.pk])
        cursor.execute(f"ALTER TABLE {TABLE} ENABLE TRIGGER USER")
    version.refresh_from_db()
    return version


NOT_ARROWS = [(a, b) for a, b in product(Status, Status) if a != b and b not in lifecycle.ARROWS[a]]


@pytest.mark.parametrize(("old", "new"), NOT_ARROWS)
def test_a_change_of_status_that_is_not_an_arrow_is_refused(alice: User, old: Status, new: Status) -> None:
    version = standing(alice, old)
    fields: dict[str, Any] = {"status": new, "reason_code": "x"}
    if old == Status.PENDING and new != Status.EXPIRED:
        fields |= FILLED
    if new in {Status.AVAILABLE, Status.RECALLED} and old not in {Status.AVAILABLE, Status.RECALLED}:
        fields |= NUMBERED
    refused(f"UPDATE {TABLE} SET {', '.join(f'{n} = %s' for n in fields)} WHERE id = %s", *fields.values(), version.pk)
    with pytest.raises(ValueError, match="not an arrow"):
        lifecycle._move(version, new, "version.received", facts={})


@pytest.mark.parametrize(("old", "new"), [(a, b) for a in Status for b in lifecycle.ARROWS[a]])
def test_the_database_knows_every_arrow_of_the_code(alice: User, old: Status, new: Status) -> None:
    version = standing(alice, old)
    fields: dict[str, Any] = {"status": new, "reason_code": "x"}
    fields |= FILLED if old == Status.PENDING and new != Status.EXPIRED else {}
    fields |= NUMBERED if new == Status.AVAILABLE else {}
    sql(f"UPDATE {TABLE} SET {', '.join(f'{n} = %s' for n in fields)} WHERE id = %s", *fields.values(), version.pk)


@pytest.mark.parametrize(
    "change",
    [
        "number = 7",
        "sha256 = repeat('a', 64)",
        "vault_version_id = 'other'",
        "filename = 'other.pdf'",
        "media_type = 'text/html'",
        "size = 1",
        "document_id = gen_random_uuid()",
        "s3_version_id = 'other'",
        "status = 'pending'",
        "status = 'rejected', reason_code = 'x'",
    ],
)
def test_an_available_version_never_changes(alice: User, change: str) -> None:
    version = standing(alice, Status.AVAILABLE)
    refused(f"UPDATE {TABLE} SET {change} WHERE id = %s", version.pk)


@pytest.mark.parametrize("status", list(Status))
def test_no_version_and_no_document_is_ever_deleted(alice: User, status: Status) -> None:
    version = standing(alice, status)
    refused(f"DELETE FROM {TABLE} WHERE id = %s", version.pk)
    refused("DELETE FROM pipeline_document WHERE id = %s", version.document_id)


@pytest.mark.parametrize(
    ("status", "change"),
    [
        (Status.RECEIVED, "s3_version_id = 'other'"),
        (Status.RECEIVED, "s3_version_id = ''"),
        (Status.VALIDATED, "etag = 'other'"),
        (Status.VALIDATED, "arrival = 2"),
        (Status.CLEAN, "received_size = 1"),
        (Status.CLEAN, "sha256 = repeat('a', 64)"),
        (Status.CLEAN, "sha256 = ''"),
        (Status.CLEAN, "number = 1"),
        (Status.CLEAN, "vault_version_id = 'v'"),
        (Status.PENDING, "s3_version_id = 'v'"),
        (Status.PENDING, "size = 0"),
        (Status.PENDING, "size = -1"),
        (Status.PENDING, "status = 'unheard_of'"),
        (Status.PENDING, "status = 'expired', reason_code = ''"),
        (Status.CLEAN, "status = 'available', number = 0, vault_version_id = 'v', available_at = now()"),
        (Status.CLEAN, "status = 'available', vault_version_id = 'v', available_at = now()"),
        (Status.CLEAN, "status = 'available', number = 1, available_at = now()"),
        (Status.RECEIVED, "status = 'validated', sha256 = 'short'"),
    ],
)
def test_half_a_state_is_refused(alice: User, status: Status, change: str) -> None:
    refused(f"UPDATE {TABLE} SET {change} WHERE id = %s", standing(alice, status).pk)


def test_no_number_and_no_arrival_is_given_twice(alice: User) -> None:
    first = factories.available(alice)
    second = factories.available(alice, factories.PDF + b"%2\n")
    third = factories.clean(alice, factories.PDF + b"%3\n")
    assert (first.number, second.number, third.arrival) == (1, 2, 3)
    refused(
        f"UPDATE {TABLE} SET status = 'available', number = 2, vault_version_id = 'v', available_at = now() "
        "WHERE id = %s",
        third.pk,
    )
    fourth = factories.begun(alice)
    fields = {**FILLED, "arrival": 3, "status": "received"}
    refused(f"UPDATE {TABLE} SET {', '.join(f'{n} = %s' for n in fields)} WHERE id = %s", *fields.values(), fourth.pk)


@pytest.mark.parametrize(
    "change", ["name = 'other'", "name = ''", "doc_type = 'id'", "doc_type = 'x'", "numbers = 0", "arrivals = 0"]
)
def test_a_document_keeps_its_name_and_its_counters(alice: User, change: str) -> None:
    version = factories.available(alice)
    refused(f"UPDATE pipeline_document SET {change} WHERE id = %s", version.document_id)


def test_one_name_and_type_is_one_document_per_owner(alice: User) -> None:
    document = factories.begun(alice).document
    refused(
        "INSERT INTO pipeline_document (id, owner_id, name, doc_type, created_at, arrivals, numbers) "
        "VALUES (gen_random_uuid(), %s, %s, %s, now(), 0, 0)",
        alice.pk,
        document.name,
        document.doc_type,
    )


def test_what_a_scanner_said_stays_said(alice: User) -> None:
    version = factories.clean(alice)
    refused("UPDATE pipeline_scan SET verdict = 'infected' WHERE version_id = %s", version.pk)
    refused("DELETE FROM pipeline_scan WHERE version_id = %s", version.pk)


def test_an_owner_of_documents_cannot_be_deleted(alice: User) -> None:
    factories.begun(alice)
    refused("DELETE FROM identity_user WHERE id = %s; SET CONSTRAINTS ALL IMMEDIATE", alice.pk)
