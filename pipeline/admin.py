"""Documents, versions, scans and alarms in Django's admin: to look at, not to move.

The one act is to requeue what stands still, which takes a fresh second factor and only marks it as due: the
reconciler, or the scrub, goes on with it.
"""

from typing import Any, cast

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from audit import actions
from audit.looking import AsksAgain, LookOnly, Read
from audit.trail import Ref
from pipeline import lifecycle, stalled
from pipeline.models import Alarm, Document, DocumentVersion, Scan, Versions


def _of_version(version: DocumentVersion) -> Read:
    document = version.document
    owner = Ref("user", str(document.owner_id))
    return Read(actions.DOCUMENT_READ, Ref("version", str(version.pk)), owner, {"document": str(document.pk)})


@admin.register(Document)
class DocumentAdmin(LookOnly):
    """Newest first."""

    list_display = ("id", "owner", "name", "doc_type", "numbers", "created_at")
    list_filter = ("doc_type",)
    list_select_related = ("owner",)
    search_fields = ("=id", "name", "owner__username")
    search_help_text = "A document's id, a part of its name, or of its owner's user name."
    ordering = ("-created_at",)

    def reading(self, row: Document) -> Read:
        """The document as such, of which no version is shown."""
        document, owner = Ref("document", str(row.pk)), Ref("user", str(row.owner_id))
        return Read(actions.DOCUMENT_READ, document, owner, {"document": str(row.pk)})


class Stalled(admin.SimpleListFilter):
    """Filters by what has an index of its own."""

    title = "what stands still"
    parameter_name = "stalled"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The kinds of `pipeline.stalled` that are versions, and those that wait for a place."""
        return [(stalled.STUCK, "stuck"), (stalled.LATE, "late"), ("queueing", "waiting for a place")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DocumentVersion]) -> QuerySet[DocumentVersion]:
        """The versions of the chosen kind."""
        versions = cast(Versions, queryset)
        if self.value() == stalled.STUCK:
            return versions.exclude(stuck_reason="")
        if self.value() == stalled.LATE:
            return versions.over_budget(timezone.now())
        return versions.queueing() if self.value() == "queueing" else queryset


@admin.register(DocumentVersion)
class VersionAdmin(LookOnly):
    """Newest first; what stands still says why, and can be requeued."""

    list_display = (
        *("id", "document", "status", "number", "reason_code", "flags", "stuck_reason", "stuck_at", "waits_for"),
        *("attempts", "size", "created_at"),
    )
    list_filter = ("status", Stalled)
    list_select_related = ("document",)
    search_fields = ("=id", "=document__id", "=sha256")
    search_help_text = "A version's id, its document's id, or a SHA-256."
    ordering = ("-created_at",)
    actions = ("requeue",)
    change_form_template = "pipeline/version.html"

    def reading(self, row: DocumentVersion) -> Read:
        """As through the API."""
        return _of_version(row)

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """Offer to requeue it where there is something to requeue."""
        entry = stalled.of(obj, timezone.now())
        context |= {"may_requeue": entry is not None, "standing": entry.reason if entry else ""}
        return super().render_change_form(request, context, add, change, form_url, obj)

    @admin.action(description="Requeue what stands still or is late")
    def requeue(self, request: HttpRequest, chosen: QuerySet[DocumentVersion]) -> HttpResponse | None:
        """Mark the chosen versions as due, once the second factor was shown a moment ago."""
        if again := cast(AsksAgain, self.admin_site).ask_again(request):
            return again
        by, done, left = Ref("user", str(request.user.pk)), 0, 0
        for pk in list(chosen.values_list("pk", flat=True)):
            try:
                lifecycle.requeue(pk, by=by)
            except lifecycle.NothingToRequeue:
                left += 1
            else:
                done += 1
        rest = f" {left} neither stood still nor were late." if left else ""
        self.message_user(request, f"{done} requeued.{rest}", messages.SUCCESS if done else messages.WARNING)
        return None


@admin.register(Scan)
class ScanAdmin(LookOnly):
    """Newest first."""

    list_display = (
        *("id", "version", "verdict", "signature", "engine", "engine_version", "signatures", "signatures_dated", "at"),
    )
    list_filter = ("verdict", "engine")
    list_select_related = ("version",)
    search_fields = ("=version__id",)
    search_help_text = "A version's id."
    ordering = ("-id",)

    def reading(self, row: Scan) -> Read:
        """A scan is a part of what is known of its version."""
        return _of_version(row.version)


class Standing(admin.SimpleListFilter):
    """Filters by whether it still is so."""

    title = "whether it stands"
    parameter_name = "stands"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Yes or no."""
        return [("yes", "stands"), ("no", "resolved")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alarm]) -> QuerySet[Alarm]:
        """The alarms that do, or do not."""
        return queryset.filter(resolved_at__isnull=self.value() == "yes") if self.value() else queryset


@admin.register(Alarm)
class AlarmAdmin(LookOnly):
    """Newest first: what is, or was, wrong with the vault."""

    list_display = ("kind", "object", "version", "raised_at", "seen_at", "resolved_at")
    list_filter = ("kind", Standing)
    search_fields = ("=object", "=version__id")
    search_help_text = "A key in the vault, or a version's id."
    ordering = ("-id",)
    fields = (*list_display, "words")

    def reading(self, row: Alarm) -> Read:
        """Of the version that it is about; of the alarm alone where it is about none."""
        if row.version:
            return _of_version(row.version)
        return Read(actions.DOCUMENT_READ, Ref("alarm", str(row.pk)))
