"""Documents: list, one, its history, its download. The upload itself is `uploads.py`."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api import rates, uploads
from api.pages import Pages
from api.permissions import BringsDocuments, caller
from api.views import View
from pipeline import reading
from pipeline.models import Document, DocumentVersion


class VersionOutput(serializers.Serializer[DocumentVersion]):
    """A version as callers see it. `version` is its number, null until it is available."""

    id = serializers.UUIDField()
    document_id = serializers.UUIDField()
    name = serializers.CharField(source="document.name")
    doc_type = serializers.CharField(source="document.doc_type")
    owner_id = serializers.IntegerField(source="document.owner_id")
    owner = serializers.CharField(source="document.owner.username")
    version = serializers.IntegerField(source="number", allow_null=True)
    status = serializers.CharField()
    reason_code = serializers.SerializerMethodField()
    reason = serializers.SerializerMethodField()
    flags = serializers.ListField(
        child=serializers.CharField(), help_text="What was found in it that the policy lets pass, such as javascript."
    )
    filename = serializers.CharField()
    content_type = serializers.SerializerMethodField()
    size = serializers.IntegerField()
    sha256 = serializers.SerializerMethodField()
    uploaded_at = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    received_at = serializers.DateTimeField(allow_null=True)
    validated_at = serializers.DateTimeField(allow_null=True)
    scanned_at = serializers.DateTimeField(allow_null=True)
    available_at = serializers.DateTimeField(allow_null=True)
    status_at = serializers.DateTimeField()

    def get_reason_code(self, version: DocumentVersion) -> str | None:
        """Why it ended, as a slug; `stuck` or `waiting` while it stands; null otherwise."""
        standing = "stuck" if version.stuck_reason else "waiting" if version.waits_for else None
        return version.reason_code or standing

    def get_reason(self, version: DocumentVersion) -> str | None:
        """The same in words, with what to do next."""
        return version.reason or version.stuck_reason or version.waits_for or None

    def get_content_type(self, version: DocumentVersion) -> str:
        """What the file was found to be; until then what was declared."""
        return version.media_type or version.content_type

    def get_sha256(self, version: DocumentVersion) -> str | None:
        """The hash of the bytes received, null until they were hashed."""
        return version.sha256 or None

    def get_uploaded_at(self, version: DocumentVersion) -> str:
        """When the bytes were received; until then when the upload began (ISO 8601)."""
        return (version.received_at or version.created_at).isoformat()


class RowOutput(VersionOutput):
    """A document in a list: the version that stands for it, and its newest unfinished one."""

    pending = VersionOutput(allow_null=True)


def _row(row: reading.Row) -> dict[str, Any]:
    pending = VersionOutput(row.pending).data if row.pending else None
    return {**VersionOutput(row.shown).data, "pending": pending}


def _listed(request: Request, documents: QuerySet[Document]) -> Response:
    pages = Pages()
    page = pages.paginate_queryset(documents, request) or []
    return pages.get_paginated_response([_row(row) for row in reading.rows(page)])


class Documents(View):
    """The caller's documents (everybody's, for admins and auditors), and where an upload begins."""

    permission_classes = (BringsDocuments,)
    throttle_classes = (rates.Calls, rates.Uploads)

    @extend_schema(responses=RowOutput(many=True), operation_id="documents_list")
    def get(self, request: Request) -> Response:
        """List one row per document, newest first. The next page is in the `Link` header."""
        return _listed(request, reading.documents(caller(request)))

    @extend_schema(
        request=uploads.Begin,
        responses={201: uploads.BegunOutput, 429: uploads.WaitOutput},
        parameters=[OpenApiParameter("Retry-After", int, OpenApiParameter.HEADER, response=[429])],
        operation_id="documents_begin",
    )
    def post(self, request: Request) -> Response:
        """Begin an upload: answers with a presigned POST, to which the browser sends the file."""
        return uploads.begin(request)


class Latest(View):
    """Documents that have an available version."""

    @extend_schema(responses=RowOutput(many=True), operation_id="documents_latest")
    def get(self, request: Request) -> Response:
        """List the newest available version of each document."""
        return _listed(request, reading.documents(caller(request), available=True))


class ByType(View):
    """Documents of one type."""

    @extend_schema(responses=RowOutput(many=True), operation_id="documents_by_type")
    def get(self, request: Request, doc_type: str) -> Response:
        """List as `/documents/` does, of one type: id, statement, agreement or other."""
        return _listed(request, reading.documents(caller(request), doc_type=doc_type))


class One(View):
    """One version."""

    @extend_schema(responses=VersionOutput, operation_id="documents_read")
    def get(self, request: Request, id: UUID) -> Response:
        """Return a version by its id; a document's id means its newest available version."""
        return Response(VersionOutput(reading.read(caller(request), id)).data)


class HistoryOutput(serializers.Serializer[Any]):
    """All versions of one document."""

    document_id = serializers.UUIDField(source="document.id")
    name = serializers.CharField(source="document.name")
    doc_type = serializers.CharField(source="document.doc_type")
    total_versions = serializers.SerializerMethodField()
    versions = VersionOutput(source="numbered", many=True)
    others = VersionOutput(many=True)

    def get_total_versions(self, history: reading.History) -> int:
        """How many numbered versions there are."""
        return len(history.numbered)


class History(View):
    """The versions of a document."""

    @extend_schema(responses=HistoryOutput, operation_id="documents_history")
    def get(self, request: Request, id: UUID) -> Response:
        """Return numbered versions, newest first, and under `others` those without a number."""
        return Response(HistoryOutput(reading.history(caller(request), id)).data)


class DownloadOutput(serializers.Serializer[Any]):
    """Where the bytes can be had for five minutes."""

    url = serializers.URLField()
    filename = serializers.CharField()
    content_type = serializers.CharField()
    size = serializers.IntegerField()
    sha256 = serializers.CharField()


class Download(View):
    """A version's bytes."""

    throttle_classes = (rates.Calls, rates.Downloads)

    @extend_schema(responses=DownloadOutput, operation_id="documents_download")
    def get(self, request: Request, id: UUID) -> Response:
        """Return a short-lived address of the bytes; it needs no header and is good for one version."""
        version, url = reading.download(caller(request), id)
        return Response(
            {
                "url": url,
                "filename": version.filename,
                "content_type": version.media_type,
                "size": version.size,
                "sha256": version.sha256,
            }
        )
