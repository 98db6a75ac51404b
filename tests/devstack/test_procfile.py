"""The one list of our own processes."""

from pathlib import Path

import pytest

from devstack import procfile
from devstack.places import ROOT

LINES = procfile.read(ROOT / "Procfile")


def test_the_procfile_lists_every_process() -> None:
    workers = {"validate", "scan", "apart", "finalize", "audit", "default"}
    assert set(LINES) == workers | {"web", "reconcile", "scrub", "beat", "metrics", "flower", "door"}


@pytest.mark.parametrize("name", ["validate", "scan", "apart", "finalize", "audit", "default"])
def test_a_worker_serves_the_queue_of_its_name_and_is_known_by_it(name: str) -> None:
    assert f" -n {name}@%h -Q {name} " in LINES[name]
    found = procfile._WORKER.search(LINES[name])
    assert found
    assert found[1] == name


def test_flower_stands_behind_a_password_and_only_looks() -> None:
    assert "FLOWER_BASIC_AUTH:?" in LINES["flower"]
    assert "--read-only" in LINES["flower"]
    assert "--unix-socket" in LINES["flower"]
    assert "--url-prefix=flower" in LINES["flower"]  # where its door is


def test_comments_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("# a note: with a colon\n\nweb: serve --port $PORT\nbroken\n")
    assert procfile.read(tmp_path / "Procfile") == {"web": "serve --port $PORT"}
