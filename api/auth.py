"""Signing in."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.fields import Input
from identity import tokens


class Login(APIView):
    """A username and a password for a token."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    class Body(Input):
        """The credentials."""

        username = serializers.CharField(max_length=150)
        password = serializers.CharField(max_length=128, trim_whitespace=False)
        mfa_code = serializers.CharField(max_length=32, required=False, allow_blank=True)

    class Output(serializers.Serializer[Any]):
        """The token goes into the header `Authorization: Token ...` of every other call."""

        token = serializers.CharField()
        user_id = serializers.IntegerField()
        role = serializers.CharField()
        mfa_enabled = serializers.BooleanField()
        expiry = serializers.DateTimeField()

    @extend_schema(request=Body, responses=Output, operation_id="auth_login")
    def post(self, request: Request) -> Response:
        """Sign in. Unknown names and wrong passwords get the same answer."""
        body = self.Body(data=request.data)
        body.is_valid(raise_exception=True)
        token, key = tokens.sign_in(
            body.validated_data["username"], body.validated_data["password"], now=timezone.now()
        )
        return Response(
            {
                "token": key,
                "user_id": token.user_id,
                "role": token.user.role,
                "mfa_enabled": False,
                "expiry": token.expiry,
            },
            headers={"Cache-Control": "no-store"},
        )
