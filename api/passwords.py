"""Changing one's password, and setting it by a link from a mail."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from api.auth import TokenOutput
from api.fields import Input, Text, Typed
from api.mfa import DoneOutput
from api.permissions import SignedIn, token
from api.views import View
from identity import password_changes


class ChangeInput(Input):
    """Both passwords, and a code where there is a second factor."""

    current_password = Text(trim_whitespace=False)
    new_password = Text(trim_whitespace=False)
    mfa_code = Typed(required=False, allow_blank=True)


class ChangeOutput(DoneOutput, TokenOutput):
    """With the token that replaces the one that asked."""


class Change(View):
    """A new password for the present one."""

    permission_classes = (SignedIn,)

    @extend_schema(request=ChangeInput, responses=ChangeOutput, operation_id="auth_password_change")
    def post(self, request: Request) -> Response:
        """Change your password. Every token of yours is dead; the answer has a new one."""
        given = ChangeInput.of(request.data)
        fresh = password_changes.change(
            token(request),
            current=given["current_password"],
            new=given["new_password"],
            code=given.get("mfa_code", ""),
            now=timezone.now(),
        )
        return Response({"message": "Password changed.", "token": fresh.text, "expiry": fresh.token.expiry})


class ResetInput(Input):
    """Where the link goes, if anybody has this address."""

    email = serializers.EmailField(max_length=254)


class Reset(View):
    """A link for somebody who has forgotten their password."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(request=ResetInput, responses={202: DoneOutput}, operation_id="auth_password_reset")
    def post(self, request: Request) -> Response:
        """Ask for a link to set a new password. The answer does not tell whether anybody has this address."""
        given = ResetInput.of(request.data)
        password_changes.request_reset(given["email"], now=timezone.now())
        return Response({"message": "If somebody has this address, a mail with a link is on its way."}, status=202)


class ConfirmInput(Input):
    """What the link carries, and the password to set."""

    uid = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    token = Text(max_length=500, help_text="The link's `secret`.")
    new_password = Text(trim_whitespace=False)


class Confirm(View):
    """The other end of the link."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(request=ConfirmInput, responses=DoneOutput, operation_id="auth_password_reset_confirm")
    def post(self, request: Request) -> Response:
        """Set the password. It signs nobody in, and leaves the second factor as it is."""
        given = ConfirmInput.of(request.data)
        password_changes.set_by_link(given["uid"], given["token"], given["new_password"], now=timezone.now())
        return Response({"message": "The password is set. Sign in with it."})
