"""One's own second factor: set up, proved with a first code, disabled; and the backup codes."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.fields import Input, Typed
from api.permissions import SignedIn, caller, token
from api.views import View
from identity import authentication, mfa
from identity.accounts import ref


class CodeInput(Input):
    """A code of the authenticator app, or a backup code."""

    code = Typed()


class DoneOutput(serializers.Serializer[Any]):
    """It is done."""

    message = serializers.CharField()


class BackupCodesOutput(DoneOutput):
    """Ten codes for the day the phone is lost, each good once. This is the only time that they are shown."""

    backup_codes = serializers.ListField(child=serializers.CharField())


class SetupOutput(DoneOutput):
    """The secret, three times: as text, as an address for apps, as a picture (a PNG in a data address)."""

    secret = serializers.CharField()
    otpauth_uri = serializers.CharField()
    qr_code = serializers.CharField()


class Setup(View):
    """The beginning of an enrolment."""

    permission_classes = (SignedIn,)

    @extend_schema(request=None, responses=SetupOutput, operation_id="mfa_setup")
    def post(self, request: Request) -> Response:
        """Make a new secret, shown this once and good for ten minutes; one made before is dead."""
        made = mfa.setup(caller(request), now=timezone.now())
        return Response(
            {
                "secret": made.secret,
                "otpauth_uri": made.uri,
                "qr_code": made.qr_code,
                "message": "Scan the picture with an authenticator app and post the code that it shows.",
            }
        )


class Verify(View):
    """The end of an enrolment."""

    permission_classes = (SignedIn,)

    @extend_schema(request=CodeInput, responses=BackupCodesOutput, operation_id="mfa_verify")
    def post(self, request: Request) -> Response:
        """Prove the new factor with its first code. This token opens everything from now on, every other is dead."""
        given = CodeInput.of(request.data)
        codes = authentication.confirm_enrolment(
            caller(request), given["code"], token=token(request), now=timezone.now()
        )
        return Response({"message": "The second factor is set up. Keep the backup codes.", "backup_codes": codes})


class Disable(View):
    """The end of a second factor."""

    @extend_schema(request=CodeInput, responses=DoneOutput, operation_id="mfa_disable")
    def post(self, request: Request) -> Response:
        """Remove your second factor. This token can but enrol a new one from now on, every other is dead."""
        given, now, user = CodeInput.of(request.data), timezone.now(), caller(request)
        mfa.may_disable(user)  # before a code is spent for nothing
        authentication.check_code(user, given["code"], now=now, by=ref(user))
        mfa.disable(token(request), now=now)
        return Response({"message": "The second factor is removed. Set up a new one to see documents again."})


class BackupCodes(View):
    """Backup codes."""

    @extend_schema(request=CodeInput, responses=BackupCodesOutput, operation_id="mfa_backup_codes")
    def post(self, request: Request) -> Response:
        """Make ten new backup codes; the old ones are dead."""
        given, now, user = CodeInput.of(request.data), timezone.now(), caller(request)
        authentication.check_code(user, given["code"], now=now, by=ref(user))
        codes = mfa.renew_backup_codes(user, now=now)
        return Response({"message": "These replace the backup codes that you had.", "backup_codes": codes})
