"""What was signed of this log: every checkpoint among our rows, the one in the bucket, and those that are given.

Each becomes a mark: the root that the tree must have at a size. Whether the signatures are right is found out here,
whether the roots are is for the walk (audit.examine).
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Q

from audit import actions, bucket, note, standing, verify
from audit.findings import Findings, span
from audit.models import Checkpoint, Event

_PAGE: Final = 1000


@dataclass(frozen=True)
class Mark:
    """The root that the tree must have at this size, and who says so."""

    size: int
    root: bytes = field(repr=False)
    of: str
    former: bool = False
    """Under an earlier name of the log. It may differ: that can be why it was begun anew, on the record."""

    def differs(self, found: Findings, good: int) -> None:
        """Note that the tree has another root, and was as it should be at the size `good`."""
        what = f"{span(good, self.size)}: not those that {self.of} was signed over"
        if self.former:
            found.remark(
                f"{what}, under an earlier name of the log", kind="roots that were signed under an earlier name"
            )
        else:
            found.wrong(what, kind="roots that were signed")


class Keys:
    """The keys that may have signed: those that are given, this process's own, and those that the log itself names."""

    def __init__(self, given: Sequence[verify.VerifierKey]) -> None:
        """Raises note.NoSigningKey where there are neither own keys nor given ones."""
        self._given, self._recorded = given, _recorded()
        try:
            note.signers(standing.publication().origin)
        except note.NoSigningKey:
            if not given:
                raise

    def own(self, origin: str) -> list[note.Signer]:
        """This process's keys under that name; none for what cannot be one."""
        try:
            return note.signers(origin)
        except (note.NoSigningKey, ImproperlyConfigured):
            return []

    def trusted(self, origin: str) -> list[verify.VerifierKey]:
        """The keys of which one must have signed what is published."""
        return [*self._given, *(verify.VerifierKey.parse(each.vkey) for each in self.own(origin))]

    def known(self, origin: str) -> list[verify.VerifierKey]:
        """The keys that may have signed what is stored; older ones too, as far as the log tells of them."""
        return [*self.trusted(origin), *self._recorded]


def in_bucket(found: Findings, keys: Keys) -> list[Mark]:
    """Return the published checkpoint, which may not be there yet."""
    row = standing.publication()
    stored = bucket.get(bucket.key(row.generation, "checkpoint"))
    if stored is None:
        if standing.newest_of(row.origin):
            found.wrong("the published checkpoint is gone from the bucket")
        return []
    try:
        said = verify.open_checkpoint(stored[0].decode(errors="replace"), keys.trusted(row.origin))
    except verify.Broken as why:
        found.wrong(f"the checkpoint in the bucket: {why}")
        return []
    if said.origin != row.origin:
        found.wrong(f"the checkpoint in the bucket is one of {said.origin}, this log is {row.origin}")
        return []
    return [Mark(said.size, said.root, "the checkpoint in the bucket")]


def marks(found: Findings, keys: Keys, given: Sequence[Mark], *, low: int, size: int) -> Iterator[Mark]:
    """Yield every mark from the size `low` to `size`, in their order; what is wrong with a signature is noted."""
    name = standing.publication().origin
    origins = Checkpoint.objects.order_by().values_list("origin", flat=True).distinct()
    rows = (_rows(origin, low, size) for origin in origins)
    signed = (
        _signed(found, keys, row, former=row.origin != name) for row in heapq.merge(*rows, key=attrgetter("size"))
    )
    chosen = sorted((each for each in given if low <= each.size <= size), key=attrgetter("size"))
    return heapq.merge(chosen, signed, key=attrgetter("size"))


def _rows(origin: str, low: int, size: int) -> Iterator[Checkpoint]:
    """The rows under one name, a page at a time, as the index has them."""
    rows = Checkpoint.objects.filter(origin=origin, size__lte=size).order_by("size", "id")
    page = list(rows.filter(size__gte=low)[:_PAGE])
    while page:
        yield from page
        last = page[-1]
        page = list(rows.filter(Q(size__gt=last.size) | Q(id__gt=last.pk), size__gte=last.size)[:_PAGE])


def _signed(found: Findings, keys: Keys, row: Checkpoint, *, former: bool) -> Mark:
    """The mark of a row, whose note must be signed and say what the row says."""
    mark = Mark(row.size, bytes(row.root), f"checkpoint {row.pk} over {row.size} events", former)
    if not _is_ours(keys, row) and (why := _refused(keys, row)):
        tell = found.remark if former else found.wrong
        tell(f"{mark.of}: {why}", kind="signatures under an earlier name" if former else "signatures")
    return mark


def _is_ours(keys: Keys, row: Checkpoint) -> bool:
    """Whether the note is, to the byte, what we would sign: much quicker than to verify it (Ed25519 has no chance)."""
    own = keys.own(row.origin)
    try:
        return bool(own) and note.signed(note.body(row.origin, row.size, bytes(row.root)), own) == row.note
    except ValueError:
        return False


def _refused(keys: Keys, row: Checkpoint) -> str:
    """What is wrong with a note; empty if nothing is."""
    try:
        said = verify.open_checkpoint(row.note, keys.known(row.origin))
    except verify.Broken as why:
        return f"{why} (name an older key with --key)" if "not signed by" in str(why) else str(why)
    same = (said.origin, said.size, said.root) == (row.origin, row.size, bytes(row.root))
    return "" if same else "its row says something else than its signed note"


def _recorded() -> list[verify.VerifierKey]:
    """The keys that events tell of: `log.keys_changed` and `log.restarted`."""
    told = Event.objects.filter(action__in=[actions.LOG_KEYS_CHANGED, actions.LOG_RESTARTED]).order_by("seq")
    return [key for event in told for key in _told(event)]


def _told(event: Event) -> list[verify.VerifierKey]:
    try:
        return [verify.VerifierKey.parse(text) for text in event.leaf_values()["facts"].get("keys", ())]
    except (verify.Broken, ValueError, TypeError, KeyError, AttributeError):
        return []  # an event that was altered: the walk tells of it
