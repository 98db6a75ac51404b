"""People in Django's admin: to look at. Nobody's role, activity, password or second factor changes here.

Both known ways up through Django's UserAdmin (granting oneself a flag, setting a stronger user's
password) need a form that writes; there is none, and no secret, hash or digest is shown. What an
admin may do to an account is in `identity.acts`.
"""

from django.contrib import admin
from django.contrib.auth.models import Group
from django.http import HttpRequest

from audit.looking import LookOnly, Read, of_person
from identity import mfa
from identity.models import AdminAct, ApiToken, Attempts, Mail, MfaDevice, RoleRequest, User

admin.site.unregister(Group)  # Django's own, with a form that writes; what somebody may do follows from the role

_BY_USER = ("user__username", "=user__id")
_BY_USER_HELP = "A part of a user name, or a user's number."


@admin.register(User)
class UserAdmin(LookOnly):
    """The password's hash is not shown."""

    list_display = ("username", "email", "role", "is_active", "date_joined", "last_login")
    list_filter = ("role", "is_active")
    search_fields = ("username", "email", "=id")
    search_help_text = "A part of a user name or e-mail address, or a user's number."
    ordering = ("username",)
    fields = (
        *("username", "email", "role", "is_active", "date_joined", "last_login", "security_epoch"),
        *("must_change_password", "initial_secret_expires_at"),
    )

    def reading(self, row: User) -> Read:
        """The person."""
        return of_person(row.pk)


@admin.register(ApiToken)
class TokenAdmin(LookOnly):
    """The one used last first. The list is all there is: a page of one token would have its digest in the address."""

    list_display = ("id", "user", "kind", "auth_time", "mfa_at", "last_used_at", "expiry")
    list_display_links = None
    list_filter = ("kind",)
    list_select_related = ("user",)
    search_fields = ("=id", *_BY_USER)
    search_help_text = "A token's id, a part of a user name, or a user's number."
    ordering = ("-last_used_at",)
    fields = list_display

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> None:
        """None, whatever is asked for."""
        return


@admin.register(MfaDevice)
class MfaDeviceAdmin(LookOnly):
    """The secret is not shown, sealed or not."""

    list_display = ("user", "setup_at", "confirmed_at", "disabled_at", "key_id")
    list_select_related = ("user",)
    search_fields = _BY_USER
    search_help_text = _BY_USER_HELP
    ordering = ("-setup_at",)
    fields = (*list_display, "backup_codes_left")
    readonly_fields = ("backup_codes_left",)

    @admin.display(description="backup codes left")
    def backup_codes_left(self, device: MfaDevice) -> int:
        """How many are still good."""
        return mfa.backup_codes_left(device.user)

    def reading(self, row: MfaDevice) -> Read:
        """Whose it is."""
        return of_person(row.user_id)


@admin.register(Attempts)
class AttemptsAdmin(LookOnly):
    """What was tried in vain last, first. The list is all there is: a page of one would have its key in the address."""

    list_display = ("key", "failures", "last_at", "not_before", "succeeded_at")
    list_display_links = None
    search_fields = ("key",)
    search_help_text = "user-12 (passwords) or code:12 (codes) for a person, or a part of an address."
    ordering = ("-last_at",)
    fields = list_display

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> None:
        """None, whatever is asked for."""
        return


@admin.register(Mail)
class MailAdmin(LookOnly):
    """Newest first. What a mail says is not kept."""

    list_display = ("kind", "user", "created_at", "due_at", "attempts", "sent_at", "dropped_at")
    list_select_related = ("user",)
    search_fields = ("=id", "kind", *_BY_USER)
    search_help_text = "A mail's id, its kind, a part of a user name, or a user's number."
    ordering = ("-created_at",)
    fields = list_display

    def reading(self, row: Mail) -> Read:
        """To whom it goes."""
        return of_person(row.user_id)


@admin.register(RoleRequest)
class RoleRequestAdmin(LookOnly):
    """Newest first. They are decided through the API, by a second admin."""

    list_display = ("user", "requested_by", "requested_at", "decided_by", "decided_at", "granted")
    list_filter = ("granted",)
    list_select_related = ("user", "requested_by", "decided_by")
    search_fields = ("=id", *_BY_USER)
    search_help_text = "A request's id, a part of a user name, or a user's number."
    ordering = ("-requested_at",)
    fields = (*list_display, "reason")

    def reading(self, row: RoleRequest) -> Read:
        """Who is to become an admin."""
        return of_person(row.user_id)


@admin.register(AdminAct)
class AdminActAdmin(LookOnly):
    """Newest first: who cannot be whose second person."""

    list_display = ("at", "admin", "kind", "user")
    list_filter = ("kind",)
    list_select_related = ("admin", "user")
    search_fields = ("admin__username", *_BY_USER)
    search_help_text = "A part of either's user name, or a user's number."
    ordering = ("-at",)
    fields = list_display

    def reading(self, row: AdminAct) -> Read:
        """To whom it was done."""
        return of_person(row.user_id)
