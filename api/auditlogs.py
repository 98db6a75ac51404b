"""The audit log, read by admins and auditors. Proofs and exports are `manage.py audit`."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.fields import Input
from api.pages import Pages
from api.permissions import ReadsTheLog
from api.views import View
from audit.models import Event
from identity.models import User


class Newest(Pages):
    """Newest first by place in the log."""

    ordering = ("-seq",)


class Filters(Input):
    """What to look for; all of it optional."""

    user_id = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1)
    action = serializers.CharField(required=False, max_length=100)
    cursor = serializers.CharField(required=False)
    limit = serializers.IntegerField(required=False, min_value=1, max_value=1000)


class ActorOutput(serializers.Serializer[User]):
    """Who did it."""

    id = serializers.IntegerField()
    username = serializers.CharField()


class EventOutput(serializers.Serializer[Event]):
    """One event. `details` is a readable line; the rest of it stands under `facts`."""

    id = serializers.IntegerField(source="seq")
    timestamp = serializers.DateTimeField(source="occurred_at")
    user = serializers.SerializerMethodField()
    actor = serializers.CharField()
    action = serializers.CharField()
    object = serializers.CharField()
    subject = serializers.CharField()
    outcome = serializers.CharField()
    details = serializers.CharField()
    facts = serializers.SerializerMethodField()

    @extend_schema(responses=ActorOutput)
    def get_user(self, event: Event) -> dict[str, Any] | None:
        """The person, where it was one who is still known."""
        user = self.context["users"].get(event.actor)
        return {"id": user.pk, "username": user.username} if user else None

    def get_facts(self, event: Event) -> dict[str, Any]:
        """What the event says beside who, what and when."""
        facts: dict[str, Any] = event.leaf_values()["facts"]
        return facts


class AuditLogs(View):
    """The log."""

    permission_classes = (ReadsTheLog,)

    @extend_schema(parameters=[Filters], responses=EventOutput(many=True), operation_id="auditlogs_list")
    def get(self, request: Request) -> Response:
        """List events, newest first. The next page is in the `Link` header."""
        asked = Filters.of(request.query_params.dict())
        pages = Newest()
        page: list[Event] = pages.paginate_queryset(_matching(asked), request) or []
        context = {"users": _people(page)}
        return pages.get_paginated_response([EventOutput(e, context=context).data for e in page])


def _matching(asked: dict[str, Any]) -> Any:
    events = Event.objects.all()
    if "user_id" in asked:
        events = events.by(f"user:{asked['user_id']}")
    if "action" in asked:
        events = events.doing(asked["action"])
    return events


def _people(page: list[Event]) -> dict[str, User]:
    ids = {event.actor_uid for event in page if event.actor_kind == "user"}
    return {f"user:{user.pk}": user for user in User.objects.filter(pk__in=ids)}
