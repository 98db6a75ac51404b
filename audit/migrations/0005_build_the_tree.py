"""Grows the Merkle tree over the events that a log already has."""

from typing import Any

from django.db import migrations

from audit import tree

WIDTH = 256


def build(apps: Any, _: Any) -> None:
    """Read every leaf's hash once, in order."""
    State, Event = apps.get_model("audit", "State"), apps.get_model("audit", "Event")
    state = State.objects.first()
    if state is None:
        return
    frontier, row = tree.Frontier(), []
    levels: list[list[bytes]] = []
    for leaf_hash in Event.objects.order_by("seq").values_list("leaf_hash", flat=True).iterator(10_000):
        row.append(bytes(leaf_hash))
        frontier.extend(row[-1:])
        if len(row) == WIDTH:
            _store(apps.get_model("audit", "Tile"), levels, 0, frontier.size // WIDTH - 1, row)
            row = []
    state.frontier, state.root = bytes(frontier), frontier.root()
    state.save(update_fields=["frontier", "root"])


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
