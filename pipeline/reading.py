"""Looking documents up, always through what the asker may see: the forgotten check is a 404, not a leak.

Reads of one document, its history and its download are acts and leave an audit event.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import transaction
from django.db.models import Case, OuterRef, Q, QuerySet, Subquery, UUIDField, Value, When
from django.db.models.functions import Coalesce

from audit import actions, trail
from audit.trail import Ref
from pipeline import storage
from pipeline.models import IN_VAULT, UNFINISHED, DocType, Document, DocumentVersion, Status, sees_all

if TYPE_CHECKING:
    from identity.models import User


_READ = {
    actions.DOCUMENT_READ: "Read",
    actions.DOCUMENT_HISTORY_READ: "Read the history of",
    actions.DOCUMENT_DOWNLOAD_LINKED: "Was given a download link of",
}


class NotFound(Exception):
    """There is no such document, or it is not yours."""


class NotAvailable(Exception):
    """This version cannot be downloaded: it is not available (yet)."""


class Withheld(Exception):
    """This file is held back: what is stored is not what was handed in, or is damaged. An admin has to look at it."""


class MetadataOnly(Exception):
    """Auditors read what is known of documents, never the documents."""


@dataclass(frozen=True)
class Row:
    """One document of a list: the version that stands for it, and its newest unfinished one if any."""

    shown: DocumentVersion
    pending: DocumentVersion | None


@dataclass(frozen=True)
class History:
    """A document's numbered versions, newest first, and beside them those that are not numbered."""

    document: Document
    numbered: list[DocumentVersion]
    others: list[DocumentVersion]


def documents(user: "User", *, doc_type: str = "", available: bool = False) -> QuerySet[Document]:
    """Return the documents that `user` sees, each annotated with `shown_id` and `unfinished_id`.

    With `doc_type` those of that type (`NotFound` for a type that does not exist), with `available` those that
    have an available version.

    Shown is the newest available version, else the newest of any status.
    """
    if doc_type and doc_type not in DocType.values:
        raise NotFound
    versions = DocumentVersion.objects.filter(document=OuterRef("pk"))
    newest = versions.order_by("-created_at", "-pk")
    numbered = versions.filter(status=Status.AVAILABLE).order_by("-number")
    mine = Document.objects.all() if sees_all(user) else Document.objects.filter(owner=user)
    found = mine.annotate(
        available_id=_first(numbered),
        shown_id=Coalesce(_first(numbered), _first(newest)),
        unfinished_id=_first(newest.filter(status__in=UNFINISHED)),
    ).filter(shown_id__isnull=False)
    found = found.filter(doc_type=doc_type) if doc_type else found
    return found.filter(available_id__isnull=False) if available else found


def _first(versions: QuerySet[DocumentVersion]) -> Subquery:
    return Subquery(versions.values("pk")[:1], output_field=UUIDField())


def rows(page: Sequence[Document]) -> list[Row]:
    """Return the rows of a page of `documents()`, in one query however long the page is."""
    wanted = [pk for d in page for pk in (d.shown_id, d.unfinished_id) if pk]  # type: ignore[attr-defined]  # annotated
    found = _with_document(DocumentVersion.objects.filter(pk__in=wanted)).in_bulk()
    return [Row(found[d.shown_id], found.get(d.unfinished_id)) for d in page]  # type: ignore[attr-defined]  # annotated


def find(user: "User", id_: UUID) -> DocumentVersion:
    """Return the version that an id means to `user`. Raises `NotFound`.

    A version's id means that version; a document's id its newest available one, else its newest.
    """
    seen = DocumentVersion.objects.visible_to(user).filter(Q(pk=id_) | Q(document_id=id_))
    version = (
        _with_document(seen)
        .order_by(
            Case(
                When(pk=id_, then=Value(0)),
                When(status=Status.AVAILABLE, then=Value(1)),
                default=Value(2),
            ),
            "-number",
            "-created_at",
        )
        .first()
    )
    if version is None:
        raise NotFound
    return version


def read(user: "User", id_: UUID) -> DocumentVersion:
    """Return what `find` does, and record that it was read.

    An uploader who asks how far an upload is does not read a document; that leaves no event.
    """
    version = find(user, id_)
    if not (version.status in UNFINISHED and version.uploader_id == user.pk):
        _record(actions.DOCUMENT_READ, user, version)
    return version


def history(user: "User", id_: UUID) -> History:
    """Return all versions of the document that `id_` belongs to. Raises `NotFound`."""
    version = find(user, id_)
    all_ = _with_document(DocumentVersion.objects.filter(document_id=version.document_id))
    ordered = list(all_.order_by("-created_at", "-pk"))
    numbered = [v for v in ordered if v.status in IN_VAULT]
    _record(actions.DOCUMENT_HISTORY_READ, user, version)
    return History(
        version.document,
        sorted(numbered, key=lambda v: v.number or 0, reverse=True),
        [v for v in ordered if v.status not in IN_VAULT],
    )


def download(user: "User", id_: UUID) -> tuple[DocumentVersion, str]:
    """Return the version and a short-lived address of its bytes.

    Raises `NotFound`, `NotAvailable`, `Withheld` while an alarm stands of its object, and `MetadataOnly` for auditors.
    """
    version = find(user, id_)
    if user.role == "auditor":
        raise MetadataOnly
    if version.status != Status.AVAILABLE:
        raise NotAvailable
    if version.stuck_reason:
        raise Withheld
    url = storage.download_url(version)
    _record(actions.DOCUMENT_DOWNLOAD_LINKED, user, version)
    return version, url


def _with_document(versions: QuerySet[DocumentVersion]) -> QuerySet[DocumentVersion]:
    return versions.select_related("document__owner")


def _record(action: str, user: "User", version: DocumentVersion) -> None:
    with transaction.atomic():
        trail.record(
            action,
            actor=Ref("user", str(user.pk)),
            object=Ref("version", str(version.pk)),
            subject=Ref("user", str(version.document.owner_id)),
            details=f"{_READ[action]} document {version.document_id}, version {version.number or 'unnumbered'}.",
            facts={"document": str(version.document_id)},
        )
