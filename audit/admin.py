"""The log in Django's admin: to look at. There is no form, no action and no delete."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from audit import actions
from audit.looking import LookOnly
from audit.models import Event


class ByAction(admin.SimpleListFilter):
    """Filters by the closed list; Django's own filter would read every row for it."""

    title = "action"
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Every action there is."""
        return [(action, action) for action in sorted(actions.ALL)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        """The events of the chosen action."""
        return queryset.filter(action=self.value()) if self.value() else queryset


@admin.register(Event)
class EventAdmin(LookOnly):
    """Newest first."""

    list_display = ("seq", "occurred_at", "actor", "action", "object", "outcome", "details")
    list_filter = (ByAction,)
    ordering = ("-seq",)
    fields = (
        *("seq", "occurred_at", "sequenced_at", "actor", "action", "object", "subject", "outcome"),
        *("details", "leaf", "hash"),
    )
    readonly_fields = ("details", "hash")

    @admin.display(description="leaf hash")
    def hash(self, event: Event) -> str:
        """The leaf hash in hex."""
        return bytes(event.leaf_hash).hex()
