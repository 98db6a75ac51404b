"""Documents, versions and scans in Django's admin: to look at, not to move."""

from django.contrib import admin

from audit import actions
from audit.looking import LookOnly, Read
from audit.trail import Ref
from pipeline.models import Document, DocumentVersion, Scan


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


@admin.register(DocumentVersion)
class VersionAdmin(LookOnly):
    """Newest first; what stands still says why."""

    list_display = ("id", "document", "status", "number", "reason_code", "flags", "stuck_reason", "size", "created_at")
    list_filter = ("status",)
    list_select_related = ("document",)
    search_fields = ("=id", "=document__id", "=sha256")
    search_help_text = "A version's id, its document's id, or a SHA-256."
    ordering = ("-created_at",)

    def reading(self, row: DocumentVersion) -> Read:
        """As through the API."""
        return _of_version(row)


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
