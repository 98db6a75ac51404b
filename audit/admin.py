"""The log in Django's admin: to look at. There is no form, no action and no delete.

Tiles have no page: Django's admin knows no keys of two columns, and nobody reads hashes.
"""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from audit import actions
from audit.looking import LookOnly, Read
from audit.models import Checkpoint, Erasure, Event
from audit.trail import Ref


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

    def reading(self, row: Event) -> Read:
        """The leaf is shown; the personal part is only read through the API."""
        return Read(actions.LOG_READ, Ref("event", str(row.seq)))

    @admin.display(description="leaf hash")
    def hash(self, event: Event) -> str:
        """The leaf hash in hex."""
        return bytes(event.leaf_hash).hex()


@admin.register(Checkpoint)
class CheckpointAdmin(LookOnly):
    """What was signed, newest first."""

    list_display = ("origin", "size", "at")
    ordering = ("-id",)
    fields = (*list_display, "root_hash", "note")
    readonly_fields = ("root_hash",)

    def reading(self, row: Checkpoint) -> Read:
        """It says nothing of any event; but what is looked at one by one is recorded, without exception."""
        return Read(actions.LOG_READ, Ref("checkpoint", str(row.pk)))

    @admin.display(description="root")
    def root_hash(self, checkpoint: Checkpoint) -> str:
        """The root in hex."""
        return bytes(checkpoint.root).hex()


@admin.register(Erasure)
class ErasureAdmin(LookOnly):
    """Whose keys are to be destroyed, newest first. Asked for and decided through the API, executed by an operator."""

    list_display = ("person", "requested_by", "requested_at", "decided_by", "decided_at", "approved", "executed_at")
    list_filter = ("approved",)
    ordering = ("-requested_at",)
    fields = (*list_display, "reason")

    def reading(self, row: Erasure) -> Read:
        """Whom it is about."""
        kind, _, uid = row.person.partition(":")
        return Read(actions.USER_READ, Ref(kind, uid), Ref(kind, uid), {"erasure": str(row.pk)})
