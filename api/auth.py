"""Signing in and out: a password and a code for a token, and what becomes of the token.

The rules are in `identity.tokens`; this is their HTTP. Passwords are `api.passwords`, the second
factor `api.mfa`.
"""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import serializers
from rest_framework.parsers import FormParser
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from api.errors import words_of
from api.fields import Input, Typed
from api.parsers import Json
from api.permissions import SignedIn, caller, token
from api.views import View
from identity import accounts, mfa, tokens
from identity.authentication import CodeRequired


class Credentials(Input):
    """Who somebody says they are, and what proves it."""

    username = Typed()
    password = Typed(trim_whitespace=False)
    mfa_code = Typed(required=False, allow_blank=True, help_text="Of the authenticator app, or a backup code.")


class TokenOutput(serializers.Serializer[Any]):
    """The token goes into the header `Authorization: Token ...` of every other call."""

    token = serializers.CharField()
    expiry = serializers.DateTimeField()


class LoginOutput(TokenOutput):
    """Without a second factor (`mfa_enabled` is false) the token is good for enrolling one, and for nothing else."""

    user_id = serializers.IntegerField()
    role = serializers.CharField()
    mfa_enabled = serializers.BooleanField()
    password_change_required = serializers.BooleanField()


class CodeRequiredOutput(serializers.Serializer[Any]):
    """The password is right, and a code is needed as well."""

    mfa_required = serializers.BooleanField()
    message = serializers.CharField()


_EITHER = PolymorphicProxySerializer(
    component_name="LoginAnswer", serializers=[LoginOutput, CodeRequiredOutput], resource_type_field_name=None
)


class Login(View):
    """A username, a password and a code for a token."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(request=Credentials, responses=_EITHER, operation_id="auth_login")
    def post(self, request: Request) -> Response:
        """Sign in. Unknown names and wrong passwords get the same answer."""
        try:
            fresh = _signed_in(request)
        except CodeRequired:
            return Response({"mfa_required": True, "message": words_of(CodeRequired)})
        user = fresh.token.user
        return Response(
            {
                **_token(fresh),
                "user_id": user.pk,
                "role": user.role,
                "mfa_enabled": mfa.enrolled(user),
                "password_change_required": accounts.owes_a_password(user),
            }
        )


class Token(View):
    """The same for programs: the bare token. A form will do."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    parser_classes = (Json, FormParser)

    @extend_schema(request=Credentials, responses=TokenOutput, operation_id="auth_token")
    def post(self, request: Request) -> Response:
        """Sign in as at `/auth/login/`; a missing code is an error here (`mfa_required`)."""
        return Response(_token(_signed_in(request)))

    def handle_exception(self, exc: Exception) -> Response:
        """Repeat the words as `non_field_errors`, where programs written for DRF's own view look for them."""
        answer = super().handle_exception(exc)
        if answer.status_code == 400:
            answer.data["non_field_errors"] = [answer.data["error"]]
        return answer


class Rotate(View):
    """A new token for the old one."""

    @extend_schema(request=None, responses=TokenOutput, operation_id="auth_token_rotate")
    def post(self, request: Request) -> Response:
        """Exchange the token. The old one is dead; the end of the session stays where it was."""
        return Response(_token(tokens.rotate(token(request), now=timezone.now())))


class StepUpInput(Input):
    """A code of the authenticator app, or a backup code."""

    mfa_code = Typed()


class StepUp(View):
    """The second factor once more, before what asks for a fresh one."""

    @extend_schema(request=StepUpInput, responses=TokenOutput, operation_id="auth_step_up")
    def post(self, request: Request) -> Response:
        """Show the second factor again: a new token, with which admin acts pass for 15 minutes. The old one is dead."""
        given = StepUpInput.of(request.data)
        return Response(_token(tokens.step_up(token(request), given["mfa_code"], now=timezone.now())))


class Logout(View):
    """The end of this session."""

    permission_classes = (SignedIn,)

    @extend_schema(request=None, responses={204: None}, operation_id="auth_logout")
    def post(self, request: Request) -> Response:
        """Sign out: the token is dead."""
        tokens.sign_out(token(request), now=timezone.now())
        return Response(status=204)


class LogoutEverywhere(View):
    """The end of all sessions."""

    permission_classes = (SignedIn,)

    @extend_schema(request=None, responses={204: None}, operation_id="auth_logout_all")
    def post(self, request: Request) -> Response:
        """Sign out everywhere: every token and browser session of yours is dead, this one too."""
        tokens.sign_out_everywhere(caller(request), now=timezone.now())
        return Response(status=204)


class MeOutput(serializers.Serializer[Any]):
    """The caller's account, and how far this token has got."""

    user_id = serializers.IntegerField()
    username = serializers.CharField()
    email = serializers.CharField()
    role = serializers.CharField()
    mfa_enabled = serializers.BooleanField()
    mfa_at = serializers.DateTimeField(allow_null=True, help_text="When this session last showed its second factor.")
    backup_codes_left = serializers.IntegerField()
    password_change_required = serializers.BooleanField()
    expiry = serializers.DateTimeField()


class Me(View):
    """Who the caller is."""

    permission_classes = (SignedIn,)

    @extend_schema(responses=MeOutput, operation_id="auth_me")
    def get(self, request: Request) -> Response:
        """Return the caller's account."""
        user, held = caller(request), token(request)
        said = {
            "user_id": user.pk,
            "username": user.username,
            "email": user.email,
            "role": user.role,
            "mfa_enabled": mfa.enrolled(user),
            "mfa_at": held.mfa_at,
            "backup_codes_left": mfa.backup_codes_left(user),
            "password_change_required": accounts.owes_a_password(user),
            "expiry": held.expiry,
        }
        return Response(MeOutput(said).data)


def _signed_in(request: Request) -> tokens.Issued:
    given = Credentials.of(request.data)
    return tokens.sign_in(given["username"], given["password"], given.get("mfa_code", ""), now=timezone.now())


def _token(fresh: tokens.Issued) -> dict[str, Any]:
    return {"token": fresh.text, "expiry": fresh.token.expiry}
