"""Requests that somebody become an admin, which a second admin decides."""

from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.pages import Pages
from api.permissions import ActsAsAdmin, IsAdmin, caller
from api.views import View
from identity import acts
from identity.models import RoleRequest


class Newest(Pages):
    """The newest request first."""

    ordering = ("-requested_at", "-id")


class RoleRequestOutput(serializers.Serializer[RoleRequest]):
    """Who is to become an admin, who asked for it and why, and what was decided; null while it is open."""

    id = serializers.UUIDField()
    user_id = serializers.IntegerField()
    username = serializers.CharField(source="user.username")
    reason = serializers.CharField()
    requested_by = serializers.CharField(source="requested_by.username")
    requested_at = serializers.DateTimeField()
    decided_by = serializers.CharField(source="decided_by.username", default=None, allow_null=True)
    decided_at = serializers.DateTimeField(allow_null=True)
    granted = serializers.BooleanField(allow_null=True)


class RoleRequests(View):
    """All of them."""

    permission_classes = (IsAdmin,)

    @extend_schema(responses=RoleRequestOutput(many=True), operation_id="role_requests_list")
    def get(self, request: Request) -> Response:
        """List the requests, the newest first. The next page is in the `Link` header."""
        pages = Newest()
        page = pages.paginate_queryset(acts.requests(), request) or []
        return pages.get_paginated_response([RoleRequestOutput(each).data for each in page])


class Approve(View):
    """A yes."""

    permission_classes = (ActsAsAdmin,)

    @extend_schema(request=None, responses=RoleRequestOutput, operation_id="role_requests_approve")
    def post(self, request: Request, id: UUID) -> Response:
        """Approve, as the second admin, what another has asked for."""
        return Response(RoleRequestOutput(acts.decide(caller(request), id, grant=True, now=timezone.now())).data)


class Refuse(View):
    """A no."""

    permission_classes = (ActsAsAdmin,)

    @extend_schema(request=None, responses=RoleRequestOutput, operation_id="role_requests_refuse")
    def post(self, request: Request, id: UUID) -> Response:
        """Refuse a request, or take back one's own."""
        return Response(RoleRequestOutput(acts.decide(caller(request), id, grant=False, now=timezone.now())).data)
