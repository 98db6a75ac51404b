"""What the log stores. No foreign keys: nothing anywhere may cascade into the record.

`Outbox` holds exact leaves from the transaction that made them until the sequencer gives them their
place in `Event`, which the database keeps from being changed or emptied (migration 0002). Personal
values stand apart, encrypted (`Private`, `PrivateKey`), because they must be erasable.
"""

import json
import uuid
from datetime import datetime
from typing import Any, Self

from django.db import models
from django.db.models.functions import Now
from django.db.models.lookups import Exact, GreaterThan, LessThanOrEqual

from audit import actions, leaf, tree

_NAME = 200  # "kind:uid"; Ref refuses longer ones


class Octets(models.Func):
    """The length in bytes, as PostgreSQL counts it (migrations name this class)."""

    function = "octet_length"
    output_field = models.IntegerField()


def _leaf_fits(name: str) -> models.CheckConstraint:
    length = Octets(models.F("leaf"))
    return models.CheckConstraint(
        condition=models.Q(GreaterThan(length, 1)) & models.Q(LessThanOrEqual(length, leaf.MAX_BYTES)),
        name=name,
    )


class Outbox(models.Model):
    """A leaf that is committed but has no place in the log yet. In no order but that of arrival."""

    id = models.BigAutoField(primary_key=True)
    leaf = models.TextField()
    private = models.BinaryField(null=True)
    key_id = models.BigIntegerField(null=True)
    queued_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "outbox"
        constraints = [
            _leaf_fits("audit_outbox_leaf_fits"),
            models.CheckConstraint(
                condition=models.Q(private__isnull=True, key_id__isnull=True)
                | models.Q(private__isnull=False, key_id__isnull=False),
                name="audit_outbox_private_has_key",
            ),
        ]

    def __str__(self) -> str:
        return f"outbox {self.pk}"


class Unreadable(models.Model):
    """What stood in the outbox and is no leaf, as it was found (audit.sequencer); an event tells of it."""

    id = models.BigIntegerField(primary_key=True)  # as in the outbox
    leaf = models.TextField()
    private = models.BinaryField(null=True)
    key_id = models.BigIntegerField(null=True)
    queued_at = models.DateTimeField()
    reason = models.CharField(max_length=_NAME)

    class Meta:
        verbose_name_plural = "unreadable"

    def __str__(self) -> str:
        return f"outbox {self.pk}: {self.reason}"


class EventQuerySet(models.QuerySet["Event"]):
    """The filters by which the log is read; each is served by an index."""

    def by(self, actor: str) -> Self:
        """Acts of one actor, named as `str(Ref)` names it: "user:12"."""
        return self.filter(actor=actor)

    def on(self, *targets: str) -> Self:
        """Acts upon any of these objects, named as `str(Ref)` names them."""
        return self.filter(object__in=targets)

    def doing(self, prefix: str) -> Self:
        """Acts whose name begins with `prefix` ("version.", "auth.signed_in")."""
        return self.filter(action__in=actions.matching(prefix))

    def within(self, since: datetime | None, until: datetime | None, low: int, high: int) -> Self:
        """What occurred from `since` on and before `until`; it must stand at the places `low` to `high`."""
        near = self.filter(seq__gte=low, seq__lte=high)
        near = near.filter(occurred_at__gte=since) if since else near
        return near.filter(occurred_at__lt=until) if until else near

    def newest(self, *, before: int | None = None) -> Self:
        """Newest first; with `before`, only those before that place. Slice it, never count it."""
        earlier = self if before is None else self.filter(seq__lt=before)
        return earlier.order_by("-seq")


class Event(models.Model):
    """One event in its place. `leaf` is the record; the other columns repeat it to be searched."""

    # The place in the log: 0, 1, 2 ... without a gap; RFC 6962's leaf index.
    seq = models.BigIntegerField(primary_key=True)
    occurred_at = models.DateTimeField()
    sequenced_at = models.DateTimeField()
    actor = models.CharField(max_length=_NAME)
    action = models.CharField(max_length=100)
    object = models.CharField(max_length=_NAME)
    subject = models.CharField(max_length=_NAME, blank=True)
    outcome = models.CharField(max_length=20)
    leaf = models.TextField()
    leaf_hash = models.BinaryField(max_length=32)

    objects = EventQuerySet.as_manager()

    class Meta:
        constraints = [
            _leaf_fits("audit_event_leaf_fits"),
            models.CheckConstraint(
                condition=models.Q(Exact(Octets(models.F("leaf_hash")), 32)),
                name="audit_event_leaf_hash_is_sha256",
            ),
            models.CheckConstraint(condition=models.Q(seq__gte=0), name="audit_event_seq_from_0"),
        ]
        indexes = [
            # Read backwards, and smaller so than in descending order (25 bytes for each event).
            models.Index(fields=["actor", "seq"], name="audit_event_actor"),
            models.Index(fields=["object", "seq"], name="audit_event_object"),
            models.Index(fields=["action", "seq"], name="audit_event_action"),
            # What was refused or failed is rare, and looked for; the rest is found at once, going back.
            models.Index(fields=["outcome", "seq"], condition=~models.Q(outcome="success"), name="audit_event_outcome"),
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.action}"

    def leaf_values(self) -> dict[str, Any]:
        """The leaf, read."""
        values: dict[str, Any] = json.loads(self.leaf)
        return values

    @property
    def details(self) -> str:
        """The readable line."""
        return str(self.leaf_values()["details"])

    @property
    def actor_kind(self) -> str:
        """What did it: "user", "system", "anonymous"."""
        return self.actor.partition(":")[0]

    @property
    def actor_uid(self) -> str:
        """Which one of its kind."""
        return self.actor.partition(":")[2]


class State(models.Model):
    """Where the log ends. One row; the sequencer locks it."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    size = models.BigIntegerField(default=0)  # the seq that comes next
    frontier = models.BinaryField(default=b"")  # tree.Frontier over all events
    root = models.BinaryField(default=tree.EMPTY_ROOT)
    sequenced_at = models.DateTimeField()  # never goes back

    class Meta:
        verbose_name_plural = "state"
        constraints = [
            models.CheckConstraint(condition=models.Q(id=1), name="audit_state_is_one_row"),
            models.CheckConstraint(condition=models.Q(size__gte=0), name="audit_state_size"),
        ]

    def __str__(self) -> str:
        return f"{self.size} events"


class Tile(models.Model):
    """A full tile of the Merkle tree (audit.tiles): 256 hashes and the hash over them."""

    pk = models.CompositePrimaryKey("level", "number")
    level = models.SmallIntegerField()
    number = models.BigIntegerField()
    hashes = models.BinaryField()
    root = models.BinaryField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(Exact(Octets(models.F("hashes")), 8192))
                & models.Q(Exact(Octets(models.F("root")), 32)),
                name="audit_tile_is_full",
            ),
        ]

    def __str__(self) -> str:
        return f"tile {self.level}/{self.number}"


class Batch(models.Model):
    """Which times a run of events spans: a window of time becomes a span of places (audit.reading).

    `latest` is the latest moment of this run and of all before it, so it never falls from run to run.
    """

    low = models.BigIntegerField(primary_key=True)
    high = models.BigIntegerField()  # the place of its last event
    earliest = models.DateTimeField()
    latest = models.DateTimeField()

    class Meta:
        verbose_name_plural = "batches"
        indexes = [models.Index("latest", "low", name="audit_batch_latest")]

    def __str__(self) -> str:
        return f"events {self.low} to {self.high}"


class Checkpoint(models.Model):
    """A signed statement of the tree's size and root, as it was published."""

    id = models.BigAutoField(primary_key=True)
    origin = models.CharField(max_length=_NAME)
    size = models.BigIntegerField()
    root = models.BinaryField()
    note = models.TextField()  # C2SP signed note, byte for byte
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index("origin", models.F("size").desc(), models.F("id").desc(), name="audit_checkpoint_newest")
        ]

    def __str__(self) -> str:
        return f"{self.origin} at {self.size}"


class Publication(models.Model):
    """What stands in the bucket: under which name, how far, and why nothing is signed where that is so. One row."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    origin = models.CharField(max_length=_NAME)
    generation = models.PositiveSmallIntegerField(default=1)  # one more for each restart
    exported = models.BigIntegerField(default=0)  # up to here every full tile is in the bucket
    refusal = models.TextField(blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="audit_publication_is_one_row")]

    def __str__(self) -> str:
        return self.origin


class Erasure(models.Model):
    """A request to destroy a person's data keys; executed only once a second person has approved it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    person = models.CharField(max_length=_NAME)  # as `str(Ref)` names them: "user:12"
    reason = models.TextField()
    requested_by = models.CharField(max_length=_NAME)
    requested_at = models.DateTimeField()
    decided_by = models.CharField(max_length=_NAME, blank=True)
    decided_at = models.DateTimeField(null=True)
    approved = models.BooleanField(null=True)
    executed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["person"], condition=models.Q(decided_at__isnull=True), name="audit_erasure_one_open"
            ),
            models.CheckConstraint(
                condition=models.Q(approved__isnull=True, decided_at__isnull=True, decided_by="")
                | (models.Q(approved__isnull=False, decided_at__isnull=False) & ~models.Q(decided_by="")),
                name="audit_erasure_decided_or_open",
            ),
            models.CheckConstraint(
                condition=~models.Q(approved=True)
                | (
                    ~models.Q(decided_by=models.F("requested_by"))
                    & ~models.Q(person=models.F("requested_by"))
                    & ~models.Q(person=models.F("decided_by"))
                ),
                name="audit_erasure_takes_two",
            ),
            models.CheckConstraint(
                condition=models.Q(executed_at__isnull=True) | models.Q(approved=True),
                name="audit_erasure_executed_if_approved",
            ),
        ]

    def __str__(self) -> str:
        return f"erasure of {self.person}"


class PrivateKey(models.Model):
    """A person's data key, encrypted. Erasure empties `wrapped` for good and notes when."""

    id = models.BigAutoField(primary_key=True)
    owner = models.CharField(max_length=_NAME)
    wrapped = models.BinaryField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    destroyed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["owner"],
                condition=models.Q(wrapped__isnull=False),
                name="audit_privatekey_one_living",
            ),
            models.CheckConstraint(
                condition=models.Q(wrapped__isnull=True, destroyed_at__isnull=False)
                | models.Q(wrapped__isnull=False, destroyed_at__isnull=True),
                name="audit_privatekey_lives_or_destroyed",
            ),
        ]

    def __str__(self) -> str:
        return f"data key of {self.owner}"


class Private(models.Model):
    """The encrypted personal part of an event. May be deleted; `Event` may not."""

    seq = models.BigIntegerField(primary_key=True)
    key_id = models.BigIntegerField()
    ciphertext = models.BinaryField()

    class Meta:
        verbose_name_plural = "private parts"

    def __str__(self) -> str:
        return f"private part of {self.seq}"
