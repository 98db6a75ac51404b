"""Reading: lists, one version, history, download."""

from collections.abc import Callable
from uuid import uuid4

import pytest
import requests
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from audit.models import Outbox
from identity.models import User
from pipeline import lifecycle
from pipeline.models import Document, DocumentVersion, Status
from tests import factories

Client = Callable[[User], APIClient]


def test_the_list_has_one_row_per_document_with_what_is_pending_beside_it(api: APIClient, alice: User) -> None:
    first = factories.available(alice)
    second = factories.begun(alice)
    factories.begun(alice, name="Other")

    rows = {row["name"]: row for row in api.get("/api/documents/").json()}
    assert set(rows) == {"Statement", "Other"}
    assert (rows["Statement"]["id"], rows["Statement"]["version"]) == (str(first.pk), 1)
    assert rows["Statement"]["pending"]["id"] == str(second.pk)
    assert (rows["Other"]["version"], rows["Other"]["status"]) == (None, "pending")


def test_an_admin_sees_everybodys_and_an_investor_only_her_own(
    signed_in: Client, alice: User, bob: User, ada: User
) -> None:
    factories.begun(alice)
    factories.begun(bob)
    assert len(signed_in(alice).get("/api/documents/").json()) == 1
    assert len(signed_in(ada).get("/api/documents/").json()) == 2


def test_latest_lists_only_documents_that_have_an_available_version(api: APIClient, alice: User) -> None:
    version = factories.available(alice)
    factories.begun(alice, name="Other")
    assert [row["id"] for row in api.get("/api/documents/latest/").json()] == [str(version.pk)]


def test_by_type_lists_that_type(api: APIClient, alice: User) -> None:
    factories.begun(alice)
    factories.begun(alice, doc_type="id")
    assert [row["doc_type"] for row in api.get("/api/documents/by-type/id/").json()] == ["id"]
    assert api.get("/api/documents/by-type/nonsense/").status_code == 404


def test_a_version_id_means_that_version_and_a_document_id_its_newest_available(api: APIClient, alice: User) -> None:
    first = factories.available(alice)
    second = factories.available(alice, factories.PDF + b"%2\n")
    third = factories.begun(alice)
    for id_, shown in [
        (first.pk, first),
        (second.pk, second),
        (third.pk, third),
        (first.document_id, second),
    ]:
        assert api.get(f"/api/documents/{id_}/").json()["id"] == str(shown.pk)


def test_history_has_the_numbered_versions_newest_first_and_the_others_apart(api: APIClient, alice: User) -> None:
    first = factories.available(alice)
    second = factories.available(alice, factories.PDF + b"%2\n")
    third = factories.begun(alice)
    said = api.get(f"/api/documents/{first.pk}/history/").json()
    assert said["total_versions"] == 2
    assert [v["id"] for v in said["versions"]] == [str(second.pk), str(first.pk)]
    assert [v["id"] for v in said["others"]] == [str(third.pk)]


def test_download_gives_the_bytes_as_an_attachment_of_our_naming(api: APIClient, alice: User) -> None:
    version = factories.available(alice, filename='b\u00e4r "x".pdf')
    said = api.get(f"/api/documents/{version.pk}/download/").json()
    got = requests.get(said["url"], timeout=10)
    assert got.content == factories.PDF
    assert got.headers["Content-Type"] == "application/pdf"
    assert got.headers["Content-Disposition"] == (
        "attachment; filename=\"b_r _x_.pdf\"; filename*=UTF-8''b%C3%A4r%20%22x%22.pdf"
    )


def test_what_is_not_available_cannot_be_downloaded(api: APIClient, alice: User) -> None:
    version = factories.clean(alice)
    answer = api.get(f"/api/documents/{version.pk}/download/")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_available")


def test_an_auditor_reads_of_a_document_but_never_the_document(signed_in: Client, alice: User, otto: User) -> None:
    version = factories.available(alice)
    auditor = signed_in(otto)
    assert auditor.get(f"/api/documents/{version.pk}/").json()["sha256"] == version.sha256
    answer = auditor.get(f"/api/documents/{version.pk}/download/")
    assert (answer.status_code, answer.json()["code"]) == (403, "metadata_only")


def test_reading_is_recorded_but_not_the_uploaders_asking_how_far_it_is(api: APIClient, alice: User) -> None:
    version = factories.clean(alice)
    Outbox.objects.all().delete()
    api.get(f"/api/documents/{version.pk}/")
    assert not Outbox.objects.exists()
    lifecycle.finalize(version.pk)
    for path, action in [("", "read"), ("history/", "history_read"), ("download/", "download_linked")]:
        api.get(f"/api/documents/{version.pk}/{path}")
        assert Outbox.objects.filter(leaf__contains=f'"action":"document.{action}"').count() == 1


@pytest.mark.parametrize("what", ["", "history/", "download/"])
def test_somebody_elses_document_is_not_there(signed_in: Client, alice: User, eve: User, what: str) -> None:
    version = factories.available(alice)
    theirs = signed_in(eve).get(f"/api/documents/{version.pk}/{what}")
    nobodys = signed_in(eve).get(f"/api/documents/{uuid4()}/{what}")
    assert theirs.status_code == nobodys.status_code == 404
    assert {**theirs.json(), "request_id": 0} == {**nobodys.json(), "request_id": 0}


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_documents_cannot_be_changed_or_deleted(api: APIClient, alice: User, method: str) -> None:
    version = factories.begun(alice)
    answer = getattr(api, method)(f"/api/documents/{version.pk}/", {}, format="json")
    assert answer.status_code == 405
    assert isinstance(answer.json()["error"], str)


def test_listing_takes_the_same_number_of_queries_for_one_and_for_a_thousand(api: APIClient, alice: User) -> None:
    factories.begun(alice)
    with CaptureQueriesContext(
        connection,
    ) as one:
        api.get("/api/documents/")
    _many(alice, 999)
    with CaptureQueriesContext(connection) as thousand:
        answer = api.get("/api/documents/?limit=1000")
    assert len(answer.json()) == 1000
    assert len(thousand) == len(one) <= 4


def test_the_next_page_is_in_the_link_header(api: APIClient, alice: User) -> None:
    _many(alice, 25)
    seen: list[str] = []
    url: str | None = "/api/documents/?limit=10"
    while url:
        answer = api.get(url)
        seen += [row["id"] for row in answer.json()]
        links = [part for part in answer.get("Link", "").split(", ") if part.endswith('rel="next"')]
        url = links[0][1 : links[0].index(">")] if links else None
    assert len(seen) == len(set(seen)) == 25


def _many(owner: User, count: int) -> None:
    """Rows only: what is measured here is reading."""
    documents = Document.objects.bulk_create(
        Document(owner=owner, name=f"n{i}", doc_type="other", created_at=timezone.now()) for i in range(count)
    )
    DocumentVersion.objects.bulk_create(
        DocumentVersion(
            document=document,
            uploader=owner,
            filename="a.pdf",
            content_type="application/pdf",
            size=1,
            created_at=timezone.now(),
            expires_at=timezone.now(),
            status=Status.PENDING,
        )
        for document in documents
    )
