"""People in Django's admin: to look at. Nobody's role, activity or password changes here.

Both known ways up through Django's UserAdmin (granting oneself a flag, setting a stronger user's
password) need a form that writes; there is none.
"""

from django.contrib import admin

from audit.looking import LookOnly
from identity.models import User


@admin.register(User)
class UserAdmin(LookOnly):
    """The password's hash is not shown."""

    list_display = ("username", "email", "role", "is_active", "date_joined", "last_login")
    list_filter = ("role", "is_active")
    search_fields = ("username", "email")
    ordering = ("username",)
    fields = (
        *("username", "email", "role", "is_active", "date_joined", "last_login", "security_epoch"),
        *("must_change_password", "initial_secret_expires_at"),
    )
