"""The audit log, read by admins and auditors: events by who, what, what to, how it ended and when.

A page of JSON, or the same page as CSV for a spreadsheet. One event is in api.events, the tree in api.audit_log;
exports that prove themselves are `manage.py audit export`.
"""

import csv
import io
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from api.events import EventOutput, rows
from api.fields import Input, Moment, Text
from api.permissions import ReadsTheLog, caller
from api.views import View
from audit import actions, leaf, reading, spreadsheet, standing, trail
from audit.models import Event
from audit.trail import Ref
from identity.accounts import ref
from identity.models import User
from pipeline.models import DocumentVersion

PAGE: Final = 200
_LONGEST_NAME: Final = 200
_LAST_PLACE: Final = 2**63 - 1
_FORMATS: Final = ("json", "csv")


class Filters(Input):
    """What to look for; all of it optional."""

    user_id = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1, help_text="Whose acts.")
    action = Text(required=False, max_length=100, help_text="A name or the beginning of one, such as `version.`.")
    object = Text(
        required=False,
        max_length=_LONGEST_NAME,
        help_text="`version:UUID`, `user:12`; `document:UUID` means its versions too.",
    )
    outcome = serializers.ChoiceField(required=False, choices=sorted(trail.OUTCOMES))
    since = Moment(required=False, help_text="From then on, by the time when it happened; RFC 3339 with a zone.")
    until = Moment(required=False, help_text="Before then.")
    cursor = serializers.IntegerField(required=False, min_value=0, max_value=_LAST_PLACE, help_text="From `Link`.")
    limit = serializers.IntegerField(required=False, min_value=1, max_value=1000)
    format = serializers.ChoiceField(required=False, choices=_FORMATS, help_text="Or by `Accept`.")

    def validate_action(self, prefix: str) -> str:
        """Refuse what begins no name."""
        if not actions.matching(prefix):
            raise serializers.ValidationError("No action's name begins like this.")
        return prefix

    def validate_object(self, name: str) -> str:
        """Refuse what names nothing."""
        kind, colon, uid = name.partition(":")
        if not (kind and colon and uid):
            raise serializers.ValidationError("Not of the form kind:id.")
        if kind == "document":
            serializers.UUIDField().run_validation(uid)
        return name

    def validate(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Refuse a window that ends before it begins."""
        if "since" in asked and "until" in asked and asked["since"] > asked["until"]:
            raise serializers.ValidationError({"until": "It is before `since`."})
        return asked


class Csv(JSONRenderer):
    """Tells DRF that there is CSV too. The table is made by the view; a refusal is JSON whoever asks."""

    media_type = "text/csv"
    format = "csv"


class Negotiation(DefaultContentNegotiation):
    """DRF's, without its 404 to an unknown `format`: that is a field like others, and refused by name."""

    def filter_renderers(self, renderers: Any, format: str) -> Any:
        """The renderers of that format, or all."""
        return [each for each in renderers if each.format == format] or renderers


class AuditLogs(View):
    """The log."""

    permission_classes = (ReadsTheLog,)
    renderer_classes = (JSONRenderer, Csv)
    content_negotiation_class = Negotiation

    @extend_schema(parameters=[Filters], responses=EventOutput(many=True), operation_id="auditlogs_list")
    def get(self, request: Request) -> HttpResponse:
        """List events, newest first. The next page is in the `Link` header."""
        asked = Filters.of(request.query_params.dict())
        page, headers = _page(asked, request)
        if request.accepted_renderer.format == "csv":
            _record_table(caller(request), asked, page)
            return _table(page, headers)
        return Response(rows(page), headers=headers)

    def handle_exception(self, exc: Exception) -> Response:
        """Refuse in JSON, also whoever asks for a table."""
        self.request.accepted_renderer, self.request.accepted_media_type = JSONRenderer(), JSONRenderer.media_type
        return super().handle_exception(exc)


def _page(asked: dict[str, Any], request: Request) -> tuple[list[Event], dict[str, str]]:
    """The events of a page, and the header that tells where the next is (RFC 8288)."""
    limit = asked.get("limit", PAGE)
    page = reading.newest(
        actor=f"user:{asked['user_id']}" if "user_id" in asked else "",
        action=asked.get("action", ""),
        objects=_objects(asked["object"]) if "object" in asked else (),
        outcome=asked.get("outcome", ""),
        since=asked.get("since"),
        until=asked.get("until"),
        before=asked.get("cursor"),
        limit=limit + 1,
    )
    if len(page) <= limit:
        return page, {}
    address = replace_query_param(request.build_absolute_uri(), "cursor", page[limit - 1].seq)
    return page[:limit], {"Link": f'<{address}>; rel="next"'}


def _objects(name: str) -> list[str]:
    """The object itself; of a document, what is known of its versions too."""
    kind, _, uid = name.partition(":")
    if kind != "document":
        return [name]
    versions = DocumentVersion.objects.filter(document_id=UUID(uid)).values_list("pk", flat=True)
    return [f"document:{UUID(uid)}", *(f"version:{each}" for each in versions)]


def _table(page: list[Event], headers: dict[str, str]) -> HttpResponse:
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(spreadsheet.HEADER)
    table.writerows(map(spreadsheet.row, page))
    named = {"Content-Disposition": 'attachment; filename="auditlogs.csv"'}
    return HttpResponse(text.getvalue(), content_type="text/csv; charset=utf-8", headers={**headers, **named})


@transaction.atomic
def _record_table(user: User, asked: dict[str, Any], page: list[Event]) -> None:
    said = {name: value for name, value in asked.items() if name != "format"}
    trail.record(
        actions.LOG_EXPORTED,
        actor=ref(user),
        object=Ref("log", standing.publication().origin),
        details=f"Took {len(page)} events as csv.",
        facts={
            "filters": {
                name: leaf.timestamp(value) if name in {"since", "until"} else str(value)
                for name, value in said.items()
            },
            "form": "csv",
            "events": len(page),
        },
        now=timezone.now(),
    )
