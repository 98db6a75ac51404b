"""People, as admins see them, and what admins do to accounts.

Looking takes an admin; each act takes one who has just shown the second factor, and says why.
The rules, the mails and the records are in `identity.acts`.
"""

from collections.abc import Callable
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from api.fields import Input, Line, Text
from api.mfa import DoneOutput
from api.pages import Pages
from api.permissions import ActsAsAdmin, IsAdmin, caller
from api.role_requests import RoleRequestOutput
from api.views import View
from identity import accounts, acts
from identity.models import Role, User


class Newest(Pages):
    """The newest account first."""

    ordering = ("-id",)


class Filters(Input):
    """Whom to look for; all of it optional."""

    role = serializers.ChoiceField(choices=Role.choices, required=False)
    active = serializers.BooleanField(required=False)
    q = Text(required=False, max_length=150, help_text="A part of the user name or of the e-mail address.")
    cursor = serializers.CharField(required=False)
    limit = serializers.IntegerField(required=False, min_value=1, max_value=1000)


class PersonOutput(serializers.Serializer[User]):
    """An account. Neither password nor secret of anybody is in any answer."""

    id = serializers.IntegerField()
    username = serializers.CharField()
    email = serializers.CharField()
    role = serializers.CharField()
    is_active = serializers.BooleanField()
    mfa_enabled = serializers.SerializerMethodField()
    mfa_locked = serializers.SerializerMethodField()
    password_change_required = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField(source="date_joined")
    last_login = serializers.DateTimeField(allow_null=True)

    def get_mfa_enabled(self, user: User) -> bool:
        """Whether there is a second factor."""
        device = getattr(user, "mfa_device", None)
        return bool(device and device.confirmed_at)

    def get_mfa_locked(self, user: User) -> bool:
        """Whether too many wrong codes have put it out of use."""
        device = getattr(user, "mfa_device", None)
        return bool(device and device.disabled_at)

    def get_password_change_required(self, user: User) -> bool:
        """Whether the password that an admin has set still stands."""
        return accounts.owes_a_password(user)


class Investors(View):
    """Everybody."""

    permission_classes = (IsAdmin,)

    @extend_schema(parameters=[Filters], responses=PersonOutput(many=True), operation_id="investors_list")
    def get(self, request: Request) -> Response:
        """List accounts, the newest first. The next page is in the `Link` header."""
        pages = Newest()
        page = pages.paginate_queryset(_matching(Filters.of(request.query_params.dict())), request) or []
        return pages.get_paginated_response([PersonOutput(each).data for each in page])


class Investor(View):
    """One account."""

    permission_classes = (IsAdmin,)

    @extend_schema(responses=PersonOutput, operation_id="investors_read")
    def get(self, request: Request, id: int) -> Response:
        """Return an account."""
        person = acts.read(caller(request), _person(id), now=timezone.now())
        return Response(PersonOutput(person).data)


class NewUserInput(Input):
    """The account to make."""

    username = Text(max_length=150)
    password = Text(
        required=False,
        allow_blank=True,
        trim_whitespace=False,
        help_text="Must be changed at the first sign-in. Without one the person gets a link to choose their own.",
    )
    email = serializers.EmailField(required=False, allow_blank=True, max_length=254)
    role = serializers.ChoiceField(choices=Role.choices, required=False, help_text="investor (if not said) or auditor.")


class NewUserOutput(DoneOutput):
    """The account made."""

    user_id = serializers.IntegerField()
    username = serializers.CharField()
    email = serializers.CharField()
    role = serializers.CharField()


class CreateUser(View):
    """New accounts."""

    permission_classes = (ActsAsAdmin,)

    @extend_schema(request=NewUserInput, responses=NewUserOutput, operation_id="investors_create_user")
    def post(self, request: Request) -> Response:
        """Make an account for an investor or an auditor."""
        given = NewUserInput.of(request.data)
        user = acts.create_user(
            caller(request),
            username=given["username"],
            email=given.get("email", ""),
            password=given.get("password"),
            role=Role(given.get("role", Role.INVESTOR)),
            now=timezone.now(),
        )
        said = "They must change the password at the first sign-in." if given.get("password") else "A link was mailed."
        made = {"user_id": user.pk, "username": user.username, "email": user.email, "role": user.role}
        return Response({"message": f"Account made. {said}", **made})


class ReasonInput(Input):
    """Why, for the person and for the record."""

    reason = Line(min_length=3, max_length=500)


class ResetMfa(View):
    """Somebody's second factor, lost."""

    permission_classes = (ActsAsAdmin,)

    @extend_schema(request=ReasonInput, responses=DoneOutput, operation_id="investors_reset_mfa")
    def post(self, request: Request, id: int) -> Response:
        """Take the second factor away: the person can but enrol a new one. Their sessions end."""
        _do(acts.reset_mfa, request, id, ReasonInput)
        return _done("The second factor is reset. At the next sign-in they set up a new one.")


class RevokeSessions(View):
    """Somebody's sessions."""

    permission_classes = (ActsAsAdmin,)

    @extend_schema(request=ReasonInput, responses=DoneOutput, operation_id="investors_revoke_sessions")
    def post(self, request: Request, id: int) -> Response:
        """End every token and browser session of the person."""
        _do(acts.revoke_sessions, request, id, ReasonInput)
        return _done("All sessions are ended.")


class Unlock(View):
    """Somebody who has tried too often."""

    permission_classes = (ActsAsAdmin,)

    @extend_schema(request=ReasonInput, responses=DoneOutput, operation_id="investors_unlock")
    def post(self, request: Request, id: int) -> Response:
        """Forget wrong passwords and codes, and let a locked second factor be used again."""
        given = ReasonInput.of(request.data)
        acts.unlock(accounts.ref(caller(request)), _person(id), **given, now=timezone.now())
        return _done("The account is unlocked.")


class Deactivate(View):
    """An account that nobody is to use any more."""

    permission_classes = (ActsAsAdmin,)

    @extend_schema(request=ReasonInput, responses=DoneOutput, operation_id="investors_deactivate")
    def post(self, request: Request, id: int) -> Response:
        """Let nobody sign in to the account. Its documents and the record stay."""
        _do(acts.deactivate, request, id, ReasonInput)
        return _done("The account is deactivated.")


class Reactivate(View):
    """An account that is to be used again."""

    permission_classes = (ActsAsAdmin,)

    @extend_schema(request=ReasonInput, responses=DoneOutput, operation_id="investors_reactivate")
    def post(self, request: Request, id: int) -> Response:
        """Let the person sign in again, with the password and second factor they had."""
        _do(acts.reactivate, request, id, ReasonInput)
        return _done("The account is active again.")


class EmailInput(ReasonInput):
    """The new address."""

    email = serializers.EmailField(max_length=254)


class Email(View):
    """Where somebody's mails go."""

    permission_classes = (ActsAsAdmin,)

    @extend_schema(request=EmailInput, responses=DoneOutput, operation_id="investors_change_email")
    def post(self, request: Request, id: int) -> Response:
        """Change the address. The old one hears of it, and the person's sessions end."""
        _do(acts.change_email, request, id, EmailInput)
        return _done("The address is changed.")


class RoleInput(ReasonInput):
    """The new role."""

    role = serializers.ChoiceField(choices=Role.choices)


class RoleOutput(DoneOutput):
    """Done; or, for the admin role, asked for: `role_request` waits for a second admin."""

    role_request = RoleRequestOutput(allow_null=True)


class ChangeRole(View):
    """What somebody is to the house."""

    permission_classes = (ActsAsAdmin,)

    @extend_schema(
        request=RoleInput, responses={200: RoleOutput, 202: RoleOutput}, operation_id="investors_change_role"
    )
    def post(self, request: Request, id: int) -> Response:
        """Change the role: at once, or for the admin role when a second admin has approved it (202)."""
        asked = _do(acts.change_role, request, id, RoleInput)
        if asked is None:
            return Response({"message": "The role is changed.", "role_request": None})
        said = {"message": "A second admin has to approve it.", "role_request": RoleRequestOutput(asked).data}
        return Response(said, status=202)


def _matching(asked: dict[str, Any]) -> QuerySet[User]:
    people = acts.people()
    if "role" in asked:
        people = people.filter(role=asked["role"])
    if "active" in asked:
        people = people.filter(is_active=asked["active"])
    if "q" in asked:
        people = people.filter(Q(username__icontains=asked["q"]) | Q(email__icontains=asked["q"]))
    return people


def _person(id: int) -> User:
    person = acts.people().filter(pk=id).first()
    if person is None:
        raise NotFound("There is no such account.")
    return person


def _do(act: Callable[..., Any], request: Request, id: int, body: type[ReasonInput]) -> Any:
    """One act of the caller on a person; each takes the admin, the person, and what the body says."""
    given = body.of(request.data)
    return act(caller(request), _person(id), **given, now=timezone.now())


def _done(words: str) -> Response:
    return Response({"message": words})
