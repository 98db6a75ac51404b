"""One's own sessions: where one is signed in, and ending one of them."""

from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.permissions import caller, token
from api.views import View
from identity import tokens
from identity.models import ApiToken


class SessionOutput(serializers.Serializer[ApiToken]):
    """A token that is still good, without its text."""

    id = serializers.UUIDField()
    current = serializers.SerializerMethodField()
    signed_in_at = serializers.DateTimeField(source="auth_time")
    mfa_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField()
    expiry = serializers.DateTimeField()
    ip = serializers.CharField(allow_null=True)
    user_agent = serializers.CharField()

    def get_current(self, session: ApiToken) -> bool:
        """Whether it is the one that asks."""
        return bool(session.pk == self.context["current"].pk)


class Sessions(View):
    """Where the caller is signed in."""

    @extend_schema(responses=SessionOutput(many=True), operation_id="auth_sessions_list")
    def get(self, request: Request) -> Response:
        """List your sessions, the one used last first."""
        found = tokens.sessions(caller(request), now=timezone.now())
        return Response([SessionOutput(each, context={"current": token(request)}).data for each in found])


class Session(View):
    """One of them."""

    @extend_schema(responses={204: None}, operation_id="auth_sessions_end")
    def delete(self, request: Request, id: UUID) -> Response:
        """End it: its token is dead."""
        tokens.revoke(caller(request), id, now=timezone.now())
        return Response(status=204)
