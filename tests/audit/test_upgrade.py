"""A log from before there were proofs gets its tree and its map of times when it is migrated."""

from importlib import import_module

import pytest
from django.apps import apps

from audit import examine
from audit.models import Batch, Event, State, Tile
from tests.audit import bucketed


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("log_in_bucket")
@pytest.mark.parametrize("count", [0, 1, 700, 2000])
def test_the_tree_and_the_map_are_those_that_the_sequencer_would_have_grown(count: int) -> None:
    if count:
        bucketed.grow(count)
    grown = list(Tile.objects.order_by("level", "number").values_list("level", "number", "root"))
    root = State.objects.values_list("root", flat=True).first()
    with bucketed.bypassed():
        Tile.objects.all().delete()
        Batch.objects.all().delete()
        State.objects.update(frontier=b"", root=bytes(32))
    import_module("audit.migrations.0005_build_the_tree").build(apps, None)
    assert list(Tile.objects.order_by("level", "number").values_list("level", "number", "root")) == grown
    assert State.objects.values_list("root", flat=True).first() == root
    assert (examine.examine().problems, Event.objects.count()) == ([], count)
