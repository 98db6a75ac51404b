"""One event of the audit log: as a row, whole, as the bytes that are hashed, and its proof.

Each look at one is recorded; lists (api.auditlogs) are not.
"""

from typing import Any

from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from api.audit_log import AsItIs
from api.fields import Input
from api.permissions import ReadsTheLog, caller
from api.views import View
from audit import actions, checkpoint, private, trail
from audit.models import Event, Private
from audit.trail import Ref
from identity.accounts import ref
from identity.models import User


class Nothing(Input):
    """There is nothing to ask for beside the address."""


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


class WholeEventOutput(EventOutput):
    """An event and what belongs to it. `leaf` is the text that is hashed and proven, to the letter."""

    leaf = serializers.CharField()
    leaf_hash = serializers.CharField(help_text="SHA-256 as in RFC 6962, in hex.")
    sequenced_at = serializers.DateTimeField()
    request_id = serializers.CharField(allow_null=True)
    private = serializers.DictField(allow_null=True, help_text="Personal values; null where there are none (any more).")
    erased = serializers.BooleanField(help_text="Whether there were personal values, which are erased.")


class One(View):
    """An event."""

    permission_classes = (ReadsTheLog,)

    @extend_schema(responses=WholeEventOutput, operation_id="auditlogs_read")
    def get(self, request: Request, seq: int) -> Response:
        """Return an event whole, its personal values too. That is recorded."""
        event = _event(request, seq)
        values, erased = _private(event)
        _record(caller(request), event, "whole", revealed=values is not None)
        return Response(
            {
                **rows([event])[0],
                "leaf": event.leaf,
                "leaf_hash": bytes(event.leaf_hash).hex(),
                "sequenced_at": serializers.DateTimeField().to_representation(event.sequenced_at),
                "request_id": event.leaf_values().get("request_id"),
                "private": values,
                "erased": erased,
            }
        )


class Leaf(View):
    """An event's bytes."""

    permission_classes = (ReadsTheLog,)
    content_negotiation_class = AsItIs

    @extend_schema(responses={(200, "application/json"): OpenApiTypes.BINARY}, operation_id="auditlogs_leaf")
    def get(self, request: Request, seq: int) -> HttpResponse:
        """Return exactly what is hashed, for a file beside the proof. That is recorded."""
        event = _event(request, seq)
        _record(caller(request), event, "leaf")
        return _file(f"{event.seq}.leaf", event.leaf, "application/json")


class Proof(View):
    """An event's proof."""

    permission_classes = (ReadsTheLog,)
    content_negotiation_class = AsItIs

    @extend_schema(responses={(200, "text/plain"): OpenApiTypes.STR}, operation_id="auditlogs_proof")
    def get(self, request: Request, seq: int) -> HttpResponse:
        """Return a c2sp.org/tlog-proof that the event is in the log; 409 while no checkpoint covers it. Recorded."""
        event = _event(request, seq)
        text = checkpoint.prove(event.seq)
        _record(caller(request), event, "proof")
        return _file(f"{event.seq}.tlog-proof", text, "text/plain; charset=utf-8")


def rows(page: list[Event]) -> list[dict[str, Any]]:
    """The events as the API shows them; the people in them are looked up at once."""
    ids = {event.actor_uid for event in page if event.actor_kind == "user"}
    users = {f"user:{user.pk}": user for user in User.objects.filter(pk__in=ids)}
    return [EventOutput(event, context={"users": users}).data for event in page]


def _event(request: Request, seq: int) -> Event:
    Nothing.of(request.query_params.dict())
    event = Event.objects.filter(seq=seq).first()
    if event is None:
        raise NotFound
    return event


def _private(event: Event) -> tuple[dict[str, Any] | None, bool]:
    """The personal values, and whether they are erased."""
    try:
        return dict(private.reveal(event)), False
    except Private.DoesNotExist:
        return None, False
    except private.Erased:
        return None, True


@transaction.atomic
def _record(user: User, event: Event, what: str, *, revealed: bool = False) -> None:
    concerned = event.subject or event.actor
    kind, _, uid = concerned.partition(":")
    trail.record(
        actions.LOG_REVEALED if revealed else actions.LOG_READ,
        actor=ref(user),
        object=Ref("event", str(event.seq)),
        subject=Ref(kind, uid) if kind == "user" else None,
        details=f"Read the event {event.seq}" + (", its personal values too." if revealed else f" ({what})."),
        facts={"form": what},
        now=timezone.now(),
    )


def _file(name: str, text: str, kind: str) -> HttpResponse:
    return HttpResponse(
        text.encode(), content_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
