"""Documents, their versions, and what the scanners said of them.

State and constraints only; what happens to a version is told in `lifecycle.py`. What the code
forbids the database forbids too, so that a bug or a hand at a console cannot do it either.
"""

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Exists, ExpressionWrapper, F, OuterRef, Q
from django.db.models.functions import Now

if TYPE_CHECKING:
    from datetime import datetime

    from identity.models import User


_IN_HALF_A_DAY = ExpressionWrapper(Now() + timedelta(hours=12), output_field=models.DateTimeField())


class DocType(models.TextChoices):
    """What an investor hands in."""

    ID = "id", "Identity paper"
    STATEMENT = "statement", "Statement"
    AGREEMENT = "agreement", "Agreement"
    OTHER = "other", "Other"


class Status(models.TextChoices):
    """Where a version is. `lifecycle.ARROWS` says how it gets from one to the next."""

    PENDING = "pending", "Waiting for the bytes"
    RECEIVED = "received", "Received"
    VALIDATED = "validated", "Validated"
    CLEAN = "clean", "Scanned clean"
    AVAILABLE = "available", "Available"
    EXPIRED = "expired", "Expired"
    REJECTED = "rejected", "Rejected"
    INFECTED = "infected", "Infected"
    RECALLED = "recalled", "Recalled"


UNDER_WAY = (Status.RECEIVED, Status.VALIDATED, Status.CLEAN)
UNFINISHED = (Status.PENDING, *UNDER_WAY)
ENDS = (Status.EXPIRED, Status.REJECTED, Status.INFECTED, Status.RECALLED)
TIDIED = (Status.AVAILABLE, Status.EXPIRED, Status.REJECTED)  # infected bytes may be released
IN_VAULT = (Status.AVAILABLE, Status.RECALLED)
APART_AFTER = 3  # deaths of its worker
QUEUEING = Q(status=Status.RECEIVED, entered_at__isnull=True, stuck_reason="")
IN_PLACE = Q(status__in=UNDER_WAY, entered_at__isnull=False, stuck_reason="")
# An older release's scanned versions have no place, and go on all the same.
IN_TURN = Q(status__in=UNFINISHED, stuck_reason="") & (~Q(status=Status.RECEIVED) | Q(entered_at__isnull=False))
# Later versions of the document wait for it. The stuck are out of line. So is one that waits for a place: unless it was
# requeued it has none behind it, and if it was, those may hold the very places that it waits for.
HOLDS_UP = IN_TURN & Q(status__in=UNDER_WAY)


class Document(models.Model):
    """A name under which an owner hands in one version after the other."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner: "models.ForeignKey[User, User]" = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="documents"
    )
    name = models.CharField(max_length=255)
    doc_type = models.CharField(max_length=16, choices=DocType)
    created_at = models.DateTimeField(db_default=Now())
    arrivals = models.PositiveIntegerField(default=0, help_text="Versions received so far.")
    numbers = models.PositiveIntegerField(default=0, help_text="Version numbers given so far.")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["owner", "name", "doc_type"], name="document_once_per_owner_name_type"),
            models.CheckConstraint(condition=Q(doc_type__in=DocType.values), name="document_type"),
            models.CheckConstraint(condition=~Q(name=""), name="document_named"),
        ]

    def __str__(self) -> str:
        return str(self.id)


def sees_all(user: "User") -> bool:
    """Whether a person sees everybody's documents: admins and auditors do."""
    return user.role in {"admin", "auditor"}


def _apart() -> Q:
    return Q(attempts__gte=APART_AFTER) | Q(received_size__gte=settings.LARGE_FILE_BYTES)


def _in_line() -> Q:
    same = DocumentVersion.objects.filter(document_id=OuterRef("document_id"), arrival__lt=OuterRef("arrival"))
    return Q(status=Status.CLEAN) & Q(Exists(same.filter(HOLDS_UP)))


class Versions(models.QuerySet["DocumentVersion"]):
    """Filters that are used in more than one place."""

    def visible_to(self, user: "User") -> Self:
        """Those of `user`; all of them for who may see everybody's (admins, auditors)."""
        return self if sees_all(user) else self.filter(document__owner=user)

    def earlier_in_line(self, version: "DocumentVersion") -> Self:
        """Versions of the same document that were received before and hold it up."""
        return self.filter(HOLDS_UP, document_id=version.document_id, arrival__lt=version.arrival)

    def not_in_line(self) -> Self:
        """All but the scanned ones that wait for an earlier version of their document to end."""
        return self.exclude(_in_line())

    def due(self, status: Status, now: "datetime") -> Self:
        """Those of a status that stand still and are due to be looked at, but for the stuck; longest due first.

        `IN_TURN` of one status, which is said once: said twice, PostgreSQL takes it for rarer than it is, and sorts all
        that there are instead of reading the first from the index.
        """
        placed = Q(entered_at__isnull=False) if status == Status.RECEIVED else Q()
        return self.filter(placed, status=status, stuck_reason="", due_at__lte=now).order_by("due_at")

    def apart(self) -> Self:
        """Those that are worked on apart from all others."""
        return self.filter(_apart())

    def together(self) -> Self:
        """The others."""
        return self.exclude(_apart())

    def queueing(self) -> Self:
        """Received ones that wait for one of their owner's places."""
        return self.filter(QUEUEING)

    def in_place(self, owner_id: int) -> Self:
        """Those of an owner that are being checked, each in one of the owner's places."""
        return self.filter(IN_PLACE, owner_id=owner_id)

    def over_budget(self, now: "datetime") -> Self:
        """Those that have been in their status for longer than that may last, but for the stuck; longest first."""
        return self.filter(IN_TURN, late_at__lte=now).order_by("late_at")

    def stuck(self) -> Self:
        """Those that stand until an admin requeues them; the newest first."""
        return self.exclude(stuck_reason="").order_by("-stuck_at")

    def untidied(self, now: "datetime", ended_before: "datetime") -> Self:
        """Ended versions whose policy ended before, and whose quarantine was not looked at since."""
        found = self.filter(status__in=TIDIED, tidied_at__isnull=True, expires_at__lte=ended_before, due_at__lte=now)
        return found.order_by("expires_at")


class DocumentVersion(models.Model):
    """One upload: from the POST that was offered to the immutable object in the vault."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    document = models.ForeignKey(Document, on_delete=models.PROTECT, related_name="versions")
    uploader: "models.ForeignKey[User, User]" = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    owner: "models.ForeignKey[User | None, User | None]" = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        db_index=False,
        help_text="The document's owner, for quotas and places; the document says who owns it.",
    )
    status = models.CharField(max_length=16, choices=Status, default=Status.PENDING)
    status_at = models.DateTimeField(db_default=Now(), help_text="When the status last changed.")

    # What the caller declared.
    filename = models.CharField(max_length=255)
    content_type = models.CharField(max_length=127)
    size = models.PositiveBigIntegerField(help_text="Bytes, as declared; S3 enforces it.")
    declared_sha256 = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(help_text="When the POST policy ends.")

    # What was received: one S3 version, pinned.
    received_at = models.DateTimeField(null=True, blank=True)
    arrival = models.PositiveIntegerField(
        null=True, blank=True, help_text="Place in the order in which the document's bytes came."
    )
    s3_version_id = models.CharField(max_length=1024, blank=True)
    etag = models.CharField(max_length=128, blank=True)
    received_size = models.PositiveBigIntegerField(null=True, blank=True)

    # What was found.
    validated_at = models.DateTimeField(null=True, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    media_type = models.CharField(max_length=127, blank=True, help_text="What the file really is.")
    found = models.JSONField(default=list, blank=True, help_text="Kinds of what inspection has found.")
    flags = models.JSONField(default=list, blank=True, help_text="Findings that the policy lets pass, but names.")
    policy_sha256 = models.CharField(max_length=64, blank=True, help_text="The policy that judged it.")
    scanned_at = models.DateTimeField(null=True, blank=True)

    # Where it came to rest.
    available_at = models.DateTimeField(null=True, blank=True)
    number = models.PositiveIntegerField(null=True, blank=True)
    vault_version_id = models.CharField(max_length=1024, blank=True)
    reason_code = models.CharField(max_length=64, blank=True)
    reason = models.CharField(max_length=500, blank=True)

    # How the work on it goes.
    due_at = models.DateTimeField(db_default=Now(), help_text="When to nudge it next.")
    entered_at = models.DateTimeField(
        null=True, blank=True, help_text="When it got one of its owner's places; a received one without waits for it."
    )
    late_at = models.DateTimeField(
        null=True, blank=True, db_default=_IN_HALF_A_DAY, help_text="When its status will have lasted too long."
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    waits_for = models.CharField(max_length=200, blank=True, help_text="What it waits for; it goes on by itself.")
    waited_at = models.DateTimeField(null=True, blank=True, help_text="When it last met what it waits for.")
    stuck_reason = models.CharField(max_length=500, blank=True)
    stuck_at = models.DateTimeField(null=True, blank=True)
    checked_at = models.DateTimeField(
        null=True, blank=True, help_text="When the vault's object was last read and hashed again."
    )
    tidied_at = models.DateTimeField(
        null=True, blank=True, help_text="When quarantine was found empty after the policy's end."
    )

    objects = Versions.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(status__in=Status.values), name="version_status"),
            models.CheckConstraint(condition=Q(size__gt=0), name="version_size_positive"),
            models.UniqueConstraint(fields=["document", "arrival"], name="version_arrival_once"),
            models.UniqueConstraint(fields=["document", "number"], name="version_number_once"),
            models.CheckConstraint(condition=Q(number__gte=1), name="version_number_from_one"),
            models.CheckConstraint(
                condition=Q(status__in=[Status.PENDING, Status.EXPIRED], s3_version_id="")
                | (
                    ~Q(status__in=[Status.PENDING, Status.EXPIRED])
                    & ~Q(s3_version_id="")
                    & ~Q(etag="")
                    & Q(received_at__isnull=False, arrival__isnull=False)
                    & Q(received_size__isnull=False)
                ),
                name="version_received_is_pinned",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=[Status.VALIDATED, Status.CLEAN, *IN_VAULT])
                | Q(sha256__regex=r"^[0-9a-f]{64}$", received_size=F("size")),
                name="version_validated_is_hashed",
            ),
            models.CheckConstraint(
                condition=Q(status__in=IN_VAULT, number__isnull=False, available_at__isnull=False)
                & ~Q(vault_version_id="")
                | ~Q(status__in=IN_VAULT) & Q(number__isnull=True, vault_version_id=""),
                name="version_numbered_only_in_vault",
            ),
            models.CheckConstraint(condition=~Q(status__in=ENDS) | ~Q(reason_code=""), name="version_end_has_reason"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["status", "due_at"], condition=IN_TURN, name="version_due_in_turn"),
            models.Index(fields=["late_at"], condition=IN_TURN, name="version_late"),
            models.Index(fields=["owner", "received_at"], condition=QUEUEING, name="version_queueing"),
            models.Index(fields=["owner"], condition=IN_PLACE, name="version_in_place"),
            models.Index(fields=["owner", "expires_at"], condition=Q(status=Status.PENDING), name="version_open"),
            models.Index(fields=["owner", "created_at"], name="version_by_owner"),
            models.Index(fields=["-stuck_at"], condition=~Q(stuck_reason=""), name="version_stuck"),
            models.Index(
                F("checked_at").asc(nulls_first=True),
                condition=Q(status__in=IN_VAULT),
                name="version_unchecked",
            ),
            models.Index(
                fields=["expires_at"],
                condition=Q(status__in=TIDIED, tidied_at__isnull=True),
                name="version_untidied",
            ),
            models.Index(fields=["document", "-created_at"], name="version_by_document"),
            models.Index(fields=["status", "status_at"], name="version_by_status"),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def apart(self) -> bool:
        """Whether it is worked on apart: workers died over it, or it is so large that others would wait behind it."""
        return self.attempts >= APART_AFTER or (self.received_size or 0) >= settings.LARGE_FILE_BYTES

    @property
    def incoming_key(self) -> str:
        """The key in quarantine: an id, never a name (OWASP ASVS 5.3.2)."""
        return f"incoming/{self.id}"

    @property
    def vault_key(self) -> str:
        """The key in the vault."""
        return f"documents/{self.document_id}/{self.id}"


class Scan(models.Model):
    """What one engine said of one version's bytes, and what it had looked at."""

    id = models.BigAutoField(primary_key=True)
    version = models.ForeignKey(DocumentVersion, on_delete=models.PROTECT, related_name="scans")
    at = models.DateTimeField(db_default=Now())
    engine = models.CharField(max_length=32)
    engine_version = models.CharField(max_length=64)
    signatures = models.CharField(max_length=128, help_text="Version and date of the database.")
    signatures_dated = models.DateTimeField(null=True, blank=True)
    config_sha256 = models.CharField(max_length=64, blank=True, help_text="Of everything of ours that decides.")
    scanned_bytes = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    verdict = models.CharField(max_length=16)
    signature = models.CharField(max_length=255, blank=True, help_text="What the engine found.")
    seconds = models.FloatField()

    def __str__(self) -> str:
        return f"{self.version_id} {self.verdict}"


class Alarm(models.Model):
    """Something about the buckets that should never be, and stands until it is no longer so."""

    class Kind(models.TextChoices):
        """What is wrong."""

        STRAY = "stray", "An object in the vault that no version knows"
        MISSING = "missing", "A version whose object is not in the vault"
        ALTERED = "altered", "A version whose object is not what was put there"

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=16, choices=Kind)
    object = models.CharField(max_length=1200, help_text="The key in the vault.")
    version = models.ForeignKey(DocumentVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="alarms")
    words = models.CharField(max_length=500)
    raised_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now(), help_text="When it was last found so.")
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["kind", "object"], condition=Q(resolved_at__isnull=True), name="alarm_stands_once"
            ),
            models.CheckConstraint(condition=Q(kind__in=["stray", "missing", "altered"]), name="alarm_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.object}"


class Walk(models.Model):
    """How far a walk through a bucket has come, so that the next process goes on from there."""

    name = models.CharField(max_length=32, primary_key=True)
    marker = models.CharField(max_length=1200, blank=True, help_text="The last key that was looked at; empty: none.")
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True, help_text="When a walk was last at the bucket's end.")

    def __str__(self) -> str:
        return self.name
