"""Grows the Merkle tree, and the map from times to places, over the events that a log already has."""

from typing import Any

from django.db import migrations

from audit import tree

WIDTH = 256
RUN = 1000  # events in one row of the map


def build(apps: Any, _: Any) -> None:
    """Read every event's hash and time once, in order."""
    State, Event = apps.get_model("audit", "State"), apps.get_model("audit", "Event")
    state = State.objects.first()
    if state is None:
        return
    frontier, row, times = tree.Frontier(), [], []
    levels: list[list[bytes]] = []
    latest = None
    for leaf_hash, occurred_at in (
        Event.objects.order_by("seq").values_list("leaf_hash", "occurred_at").iterator(10_000)
    ):
        row.append(bytes(leaf_hash))
        times.append(occurred_at)
        frontier.extend(row[-1:])
        if len(row) == WIDTH:
            _store(apps.get_model("audit", "Tile"), levels, 0, frontier.size // WIDTH - 1, row)
            row = []
        if len(times) == RUN:
            latest = _span(apps.get_model("audit", "Batch"), frontier.size, times, latest)
            times = []
    if times:
        _span(apps.get_model("audit", "Batch"), frontier.size, times, latest)
    state.frontier, state.root = bytes(frontier), frontier.root()
    state.save(update_fields=["frontier", "root"])


def _span(Batch: Any, size: int, times: list[Any], latest: Any) -> Any:
    """Note the times of the last events of a log of that size; return the latest time so far."""
    latest = max(times) if latest is None else max(latest, *times)
    Batch.objects.create(low=size - len(times), high=size - 1, earliest=min(times), latest=latest)
    return latest


def _store(Tile: Any, levels: list[list[bytes]], level: int, number: int, hashes: list[bytes]) -> None:
    """Store a full tile, and the one above it where that is full now too."""
    root = tree.fold(hashes)
    Tile.objects.create(level=level, number=number, hashes=b"".join(hashes), root=root)
    if level == len(levels):
        levels.append([])
    levels[level].append(root)
    if len(levels[level]) == WIDTH:
        _store(Tile, levels, level + 1, number // WIDTH, levels[level])
        levels[level] = []


class Migration(migrations.Migration):
    dependencies = [("audit", "0004_proofs")]

    operations = [migrations.RunPython(build, migrations.RunPython.noop)]
