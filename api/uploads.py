"""Beginning an upload and telling that it is complete. The bytes go to S3, not through here."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.fields import FileName, Input, Name
from api.permissions import BringsDocuments, caller
from api.views import View
from audit.trail import Ref
from pipeline import lifecycle, reading, storage
from pipeline.inspection import formats
from pipeline.models import DocType
from workers.nudges import nudge


class Begin(Input):
    """What the caller is about to send."""

    name = Name(help_text="What the document is called; the same name and type is its next version.")
    doc_type = serializers.ChoiceField(choices=DocType.choices)
    filename = FileName(help_text="The file's own name, with its extension.")
    content_type = serializers.RegexField(
        r"^[a-zA-Z0-9!#$&^_.+-]{1,62}/[a-zA-Z0-9!#$&^_.+-]{1,62}$",
        help_text="The media type, as the browser knows it.",
    )
    size = serializers.IntegerField(min_value=1, help_text="Bytes, exactly.")
    sha256 = serializers.RegexField(r"^[0-9a-fA-F]{64}$", required=False, help_text="Hex. S3 refuses other bytes.")

    def validate_size(self, size: int) -> int:
        """Refuse what is over the limit, saying the limit."""
        if size > settings.UPLOAD_MAX_BYTES:
            raise serializers.ValidationError(f"At most {settings.UPLOAD_MAX_BYTES} bytes.")
        return size

    def validate_filename(self, filename: str) -> str:
        """Refuse kinds of files that would be rejected later anyway."""
        if formats.of(filename) is None:
            taken = ", ".join(formats.EXTENSIONS)
            raise serializers.ValidationError(f"Files of this kind are not taken; these are: {taken}.")
        return filename


class UploadOutput(serializers.Serializer[Any]):
    """The presigned POST: send all `fields`, then the file, as multipart/form-data to `url`."""

    url = serializers.URLField()
    method = serializers.CharField(default="POST")
    fields = serializers.DictField(child=serializers.CharField())  # type: ignore[assignment]  # the contract's name
    expires_at = serializers.DateTimeField()
    max_bytes = serializers.IntegerField()


class BegunOutput(serializers.Serializer[Any]):
    """A pending version, and how to send its bytes."""

    id = serializers.UUIDField()
    document_id = serializers.UUIDField()
    name = serializers.CharField()
    doc_type = serializers.CharField()
    status = serializers.CharField()
    version = serializers.IntegerField(allow_null=True)
    size = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    upload = UploadOutput()


class WaitOutput(serializers.Serializer[Any]):
    """Too much for now: too many calls, too many open uploads, or a day's bytes. `Retry-After` has the same seconds."""

    error = serializers.CharField()
    code = serializers.ChoiceField(choices=["throttled", "too_many_open", "day_full"])
    request_id = serializers.CharField(allow_null=True)
    retry_after = serializers.IntegerField(help_text="Seconds until there may be room again.")


def begin(request: Request) -> Response:
    """Answer POST /documents/: record the upload, return its presigned POST."""
    given, now = Begin.of(request.data), timezone.now()
    version = lifecycle.begin(caller(request), **given, now=now)
    post = storage.presigned_post(version, now)
    return Response(
        {
            **_brief(version),
            "name": version.document.name,
            "doc_type": version.document.doc_type,
            "size": version.size,
            "created_at": now.isoformat(),
            "upload": {
                **post,
                "method": "POST",
                "expires_at": version.expires_at.isoformat(),
                "max_bytes": version.size,
            },
        },
        status=201,
    )


class CompleteOutput(serializers.Serializer[Any]):
    """Where the version stands now."""

    id = serializers.UUIDField()
    document_id = serializers.UUIDField()
    status = serializers.CharField()
    version = serializers.IntegerField(allow_null=True)


class Complete(View):
    """The end of an upload."""

    permission_classes = (BringsDocuments,)

    @extend_schema(request=None, responses={202: CompleteOutput}, operation_id="documents_complete")
    def post(self, request: Request, id: UUID) -> Response:
        """Say that the file was sent. Calling it twice is the same as once."""
        user = caller(request)
        version = reading.find(user, id)
        moved = lifecycle.receive(version.pk, by=Ref("user", str(user.pk)))
        nudge(moved)
        return Response(_brief(moved or reading.find(user, version.pk)), status=202)


def _brief(version: Any) -> dict[str, Any]:
    return {
        "id": str(version.pk),
        "document_id": str(version.document_id),
        "status": version.status,
        "version": version.number,
    }
