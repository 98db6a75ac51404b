"""What grows with the log, in the sequencer's transaction: full tiles of the tree, and the map from times to places."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from audit import tree
from audit.models import Batch, Event, Tile
from audit.tiles import WIDTH

BATCH_EVENTS: Final = 1000
BATCH_SPAN: Final = timedelta(hours=1)


class Gap(Exception):
    """Hashes are missing below the end of the log: rows or tiles were deleted by hand."""


def tile(first: int, hashes: Sequence[bytes], *, level: int = 0) -> None:
    """Store the tiles that hashes `first`, `first` + 1 ... of this level fill, and those of higher levels.

    Level 0's are the leaves', which must stand in the log already. Raises Gap.
    """
    number, held = divmod(first, WIDTH)
    if held + len(hashes) < WIDTH:
        return
    row = [*_stored(level, first - held, first), *hashes]
    full = [row[at : at + WIDTH] for at in range(0, len(row) - WIDTH + 1, WIDTH)]
    roots = [tree.fold(each) for each in full]
    Tile.objects.bulk_create(
        Tile(level=level, number=place, hashes=b"".join(each), root=root)
        for place, (each, root) in enumerate(zip(full, roots, strict=True), start=number)
    )
    tile(number, roots, level=level + 1)


def _stored(level: int, low: int, high: int) -> list[bytes]:
    """The hashes of this level from `low` to before `high`."""
    leaves = Event.objects.filter(seq__gte=low, seq__lt=high).order_by("seq").values_list("leaf_hash", flat=True)
    below = Tile.objects.filter(level=level - 1, number__gte=low, number__lt=high)
    roots = below.order_by("number").values_list("root", flat=True)
    found = [bytes(each) for each in (roots if level else leaves)]
    if len(found) != high - low:
        raise Gap(f"level {level}: {len(found)} hashes from {low} to {high}")
    return found


def span(first: int, times: Sequence[datetime]) -> None:
    """Note when the events `first`, `first` + 1 ... occurred: in the last row while that is small, then in new ones."""
    last = Batch.objects.order_by("-low").first()
    while times:
        room = BATCH_EVENTS - (last.high + 1 - last.low) if last else 0
        piece = times[: room if room > 0 else BATCH_EVENTS]
        if last and room > 0 and max(piece) - last.earliest < BATCH_SPAN:
            _extend(last, piece)
        else:
            last = _begin(first, piece, after=last)
        first, times = first + len(piece), times[len(piece) :]


def _extend(last: Batch, piece: Sequence[datetime]) -> None:
    last.high += len(piece)
    last.earliest, last.latest = min(last.earliest, *piece), max(last.latest, *piece)
    last.save(update_fields=["high", "earliest", "latest"])


def _begin(first: int, piece: Sequence[datetime], *, after: Batch | None) -> Batch:
    latest = max(after.latest, *piece) if after else max(piece)
    return Batch.objects.create(low=first, high=first + len(piece) - 1, earliest=min(piece), latest=latest)
