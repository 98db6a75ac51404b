"""Requests that a person's values in the log be erased. A second admin decides, an operator executes."""

from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response

from api.fields import Input, Line
from api.pages import Pages
from api.permissions import ActsAsAdmin, IsAdmin, caller
from api.views import View
from audit.models import Erasure
from identity import erasures
from identity.models import User

_HIGHEST_ID = 2**31 - 1


class Newest(Pages):
    """The newest request first."""

    ordering = ("-requested_at", "-id")


class Paging(Input):
    """Which page."""

    cursor = serializers.CharField(required=False)
    limit = serializers.IntegerField(required=False, min_value=1, max_value=1000)


class ErasureInput(Input):
    """Whose values, and why."""

    user_id = serializers.IntegerField(min_value=1, max_value=_HIGHEST_ID)
    reason = Line(min_length=3, max_length=500, help_text="Goes with the values when they are erased.")


class ErasureOutput(serializers.Serializer[Erasure]):
    """Whose values are to be erased, and how far that has got; null where it has not."""

    id = serializers.UUIDField()
    user_id = serializers.SerializerMethodField()
    username = serializers.SerializerMethodField()
    reason = serializers.CharField(help_text="Empty once the values are erased.")
    requested_by = serializers.SerializerMethodField()
    requested_at = serializers.DateTimeField()
    decided_by = serializers.SerializerMethodField(allow_null=True)
    decided_at = serializers.DateTimeField(allow_null=True)
    approved = serializers.BooleanField(allow_null=True)
    executed_at = serializers.DateTimeField(allow_null=True)

    def get_user_id(self, asked: Erasure) -> int:
        """The person."""
        return erasures.id_of(asked.person)

    def get_username(self, asked: Erasure) -> str:
        """The person's user name."""
        return self._name(asked.person)

    def get_requested_by(self, asked: Erasure) -> str:
        """The user name of the admin who asked."""
        return self._name(asked.requested_by)

    def get_decided_by(self, asked: Erasure) -> str | None:
        """The user name of the admin who decided."""
        return self._name(asked.decided_by) if asked.decided_by else None

    def _name(self, person: str) -> str:
        names: dict[int, str] = self.context["names"]
        return names.get(erasures.id_of(person), person)


class Erasures(View):
    """All of them."""

    permission_classes = (ActsAsAdmin,)

    def get_permissions(self) -> list[Any]:
        """Whoever only looks need not have shown a second factor just now."""
        return [IsAdmin() if self.request.method in SAFE_METHODS else ActsAsAdmin()]

    @extend_schema(parameters=[Paging], responses=ErasureOutput(many=True), operation_id="erasures_list")
    def get(self, request: Request) -> Response:
        """List the requests, the newest first. The next page is in the `Link` header."""
        Paging.of(request.query_params.dict())
        pages = Newest()
        page = pages.paginate_queryset(erasures.requests(), request) or []
        return pages.get_paginated_response(_shown(page))

    @extend_schema(request=ErasureInput, responses={201: ErasureOutput}, operation_id="erasures_ask")
    def post(self, request: Request) -> Response:
        """Ask that the values of somebody whose account is deactivated be erased."""
        given = ErasureInput.of(request.data)
        asked = erasures.ask(caller(request), given["user_id"], reason=given["reason"], now=timezone.now())
        return Response(_shown([asked])[0], status=201)


class Approve(View):
    """A yes."""

    permission_classes = (ActsAsAdmin,)

    @extend_schema(request=None, responses=ErasureOutput, operation_id="erasures_approve")
    def post(self, request: Request, id: UUID) -> Response:
        """Approve, as the second admin, what another has asked for. An operator then executes it."""
        return Response(_shown([erasures.decide(caller(request), id, approve=True, now=timezone.now())])[0])


class Refuse(View):
    """A no."""

    permission_classes = (ActsAsAdmin,)

    @extend_schema(request=None, responses=ErasureOutput, operation_id="erasures_refuse")
    def post(self, request: Request, id: UUID) -> Response:
        """Refuse a request, or take back one's own."""
        return Response(_shown([erasures.decide(caller(request), id, approve=False, now=timezone.now())])[0])


def _shown(page: list[Erasure]) -> list[dict[str, Any]]:
    """The requests with the names of those concerned, which are looked up at once."""
    concerned = {name for each in page for name in (each.person, each.requested_by, each.decided_by) if name}
    named = User.objects.filter(pk__in=map(erasures.id_of, concerned)).values_list("pk", "username")
    return [ErasureOutput(each, context={"names": dict(named)}).data for each in page]
