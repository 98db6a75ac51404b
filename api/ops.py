"""What stands still or is late, for admins and auditors, and how an admin sets it going again.

The list is `pipeline.stalled`'s. To requeue only marks a version as due; workers do the rest.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from api.fields import Input, Text
from api.permissions import ActsAsAdmin, ReadsTheLog, caller
from api.views import View
from identity.accounts import ref
from pipeline import lifecycle, reading, stalled
from pipeline.models import DocumentVersion, Status
from workers import nudges

PAGE: Final = 200
_HIGHEST_ID: Final = 2**31 - 1


class Cursor(Text):
    """The place of a page's last entry, as the `Link` header has it."""

    default_error_messages = {"cursor": "Not a cursor of this list: take it from the Link header."}

    def to_internal_value(self, data: Any) -> Any:
        """Refuse what no page was followed by."""
        try:
            at, rank, pk = urlsafe_b64decode(super().to_internal_value(data).encode("ascii")).decode().split(" ")
            place = stalled.Place(datetime.fromisoformat(at), int(rank), UUID(pk) if "-" in pk else int(pk))
        except (ValueError, OverflowError):  # of each of these steps
            self.fail("cursor")
        if place.at.tzinfo is None or not stalled.is_place(place):
            self.fail("cursor")
        return place


class Filters(Input):
    """What to list; all of it optional."""

    kind = serializers.ChoiceField(required=False, choices=stalled.KINDS)
    status = serializers.ChoiceField(required=False, choices=Status.values, help_text="Of the version.")
    owner = serializers.IntegerField(
        required=False, min_value=1, max_value=_HIGHEST_ID, help_text="The user_id of the documents' owner."
    )
    cursor = Cursor(required=False, max_length=200, help_text="From `Link`.")
    limit = serializers.IntegerField(required=False, min_value=1, max_value=1000)


class OwnerOutput(serializers.Serializer[Any]):
    """Whose version it is."""

    id = serializers.IntegerField()
    username = serializers.CharField()


class StuckOutput(serializers.Serializer[stalled.Entry]):
    """One thing that stands: a version, or an alarm. Null where an alarm is about no version."""

    id = serializers.CharField(help_text="The version's id; `alarm:` and a number for an alarm.")
    kind = serializers.ChoiceField(choices=stalled.KINDS)
    version_id = serializers.UUIDField(source="version.pk", default=None, allow_null=True)
    document_id = serializers.UUIDField(source="version.document_id", default=None, allow_null=True)
    owner = OwnerOutput(allow_null=True)
    status = serializers.CharField(source="version.status", default=None, allow_null=True)
    status_at = serializers.DateTimeField(source="version.status_at", default=None, allow_null=True)
    since = serializers.DateTimeField(help_text="When it got stuck, was late, or was found.")
    reason = serializers.CharField(help_text="Why, in words.")
    next_action = serializers.ChoiceField(choices=list(stalled.Next))
    attempts = serializers.IntegerField(source="version.attempts", default=None, allow_null=True)
    size = serializers.IntegerField(source="version.size", default=None, allow_null=True)
    object = serializers.CharField(
        source="alarm.object", default=None, allow_null=True, help_text="The key in the vault that an alarm is about."
    )


class Stuck(View):
    """All of it."""

    permission_classes = (ReadsTheLog,)

    @extend_schema(parameters=[Filters], responses=StuckOutput(many=True), operation_id="ops_stuck_list")
    def get(self, request: Request) -> Response:
        """List what stands still or is late, the newest first. The next page is in the `Link` header."""
        asked = Filters.of(request.query_params.dict())
        limit = asked.get("limit", PAGE)
        wanted = stalled.Asked(asked.get("kind", ""), asked.get("status", ""), asked.get("owner"))
        page = stalled.page(wanted, after=asked.get("cursor"), limit=limit + 1)
        shown = StuckOutput()  # one for all: to make one costs more than all that it shows
        rows = [shown.to_representation(entry) for entry in page[:limit]]
        return Response(rows, headers=_link(request, page[limit - 1]) if len(page) > limit else None)


class RequeuedOutput(serializers.Serializer[DocumentVersion]):
    """Where a requeued version stands."""

    id = serializers.UUIDField()
    document_id = serializers.UUIDField()
    status = serializers.CharField()
    attempts = serializers.IntegerField()
    due_at = serializers.DateTimeField()
    late_at = serializers.DateTimeField(allow_null=True, help_text="When it will have lasted too long again.")
    message = serializers.SerializerMethodField()

    def get_message(self, version: DocumentVersion) -> str:
        """What becomes of it."""
        return stalled.prospect(version)


class Requeue(View):
    """One version, set going again."""

    permission_classes = (ActsAsAdmin,)

    @extend_schema(request=None, responses={202: RequeuedOutput}, operation_id="ops_stuck_requeue")
    def post(self, request: Request, id: UUID) -> Response:
        """Mark a version as due that stands still or is late."""
        try:
            version = lifecycle.requeue(id, by=ref(caller(request)))
        except DocumentVersion.DoesNotExist as error:
            raise reading.NotFound from error
        nudges.resume(version)
        version.refresh_from_db()  # it may have got a place
        return Response(RequeuedOutput(version).data, status=202)


def _link(request: Request, last: stalled.Entry) -> dict[str, str]:
    """Tell where the page behind this entry is (RFC 8288)."""
    cursor = urlsafe_b64encode(f"{last.place.at.isoformat()} {last.place.rank} {last.place.pk}".encode()).decode()
    return {"Link": f'<{replace_query_param(request.build_absolute_uri(), "cursor", cursor)}>; rel="next"'}
