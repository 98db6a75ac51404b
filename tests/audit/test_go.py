"""Verified by code that nobody here wrote: Go's golang.org/x/mod/sumdb follows a log of ours from the bucket.

`go/main.go` calls it. Go and the library come from Debian's packages, unpacked where they are not installed.
"""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from pytest_django import Settings

from audit import checkpoint, note, standing, tree
from audit.models import Event
from devstack import debs
from devstack.places import ROOT
from tests.audit import bucketed
from tests.audit.bucketed import KEYS, ORIGIN, START

pytestmark = [
    pytest.mark.all_only("needs Go and golang.org/x/mod from Debian's packages"),
    pytest.mark.django_db,
    pytest.mark.usefixtures("log_in_bucket"),
    pytest.mark.timeout(600),
]
OLD, NEW = 66_000, 70_001  # level 2 has a tile, and every level a partial one
_CACHE = ROOT / ".stack" / "go"
_Follow = Callable[[Path, str], "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def follow(tmp_path_factory: pytest.TempPathFactory) -> _Follow:
    """Run the compiled program over a folder with a key."""
    folder = tmp_path_factory.mktemp("go")
    go, environment = _go(folder)
    program, source = folder / "follow", Path(__file__).parent / "go" / "main.go"
    subprocess.run([go, "build", "-o", program, source], env=environment, check=True, timeout=300)

    def run(published: Path, key: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([program, published, key], capture_output=True, text=True, check=False, timeout=300)

    return run


def _go(folder: Path) -> tuple[Path, dict[str, str]]:
    """The compiler and the environment that it runs in, the machine's or one unpacked."""
    installed = shutil.which("go")
    if installed:
        root = Path(installed).resolve().parent.parent
    else:
        packages = debs.packages("golang-go", _CACHE / "compiler")
        assert packages, "Go cannot be had: install golang-go, or let apt-get fetch it"
        root = (packages / "usr/lib/go").resolve()
    path = Path("usr/share/gocode")
    library = Path("/") / path
    if not (library / "src/golang.org/x/mod").exists():
        packages = debs.packages("golang-golang-x-mod-dev", _CACHE / "library")
        assert packages, "golang.org/x/mod cannot be had: install golang-golang-x-mod-dev, or let apt-get fetch it"
        library = packages / path
    return root / "bin" / "go", {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "GOROOT": str(root),
        "GOPATH": str(library),
        "GOCACHE": str(folder / "cache"),
        "GO111MODULE": "off",
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }


def published(folder: Path, old: bytes) -> str:
    """Download the log, add an older checkpoint and our own proofs, and return the key."""
    for path, body in bucketed.files().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(body)
    log, seq = standing.look(), 12_345 % standing.size()
    sizes = int(old.split(b"\n")[1]), int((folder / "checkpoint").read_bytes().split(b"\n")[1])
    proof = tree.consistency(*sizes, log.read)
    (folder / "old").write_bytes(old)
    (folder / "consistency").write_text("".join(base64.b64encode(each).decode() + "\n" for each in proof))
    (folder / "event.tlog-proof").write_text(checkpoint.prove(seq))
    (folder / "leaf").write_text(Event.objects.get(seq=seq).leaf)
    return note.signers(ORIGIN)[0].vkey


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, str]:
    """A published log of 700 events, its older checkpoint over 300, and its key."""
    bucketed.grow(300)
    checkpoint.publish(now=START)
    old = bucketed.in_bucket().note.encode()
    bucketed.grow(400)
    checkpoint.publish(now=START)
    return tmp_path, published(tmp_path, old)


def refused(done: "subprocess.CompletedProcess[str]", words: str) -> None:
    """It exited with 1 and said so."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert words in done.stderr


@pytest.mark.django_db(transaction=True)  # so that PostgreSQL keeps its statistics of what is in the tables
def test_go_follows_a_log_of_seventy_thousand_events_from_its_tiles(follow: _Follow, tmp_path: Path) -> None:
    bucketed.grow(OLD)
    while checkpoint.publish(now=START):
        pass
    old = bucketed.in_bucket().note.encode()
    bucketed.grow(NEW - OLD)
    checkpoint.publish(now=START + timedelta(minutes=1))
    key = published(tmp_path, old)
    done = follow(tmp_path, key)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    last = bucketed.in_bucket()
    assert said == {
        "origin": ORIGIN,
        "size": NEW,
        "old_size": OLD,
        "proven": 12_345,
        "root": base64.b64encode(last.root).decode(),
    }
    assert (tmp_path / "tile/2/000.p/1").stat().st_size == 32
    assert bucketed.whole() == NEW
    assert len((tmp_path / "event.tlog-proof").read_bytes()) < 1500


def test_go_follows_a_log_while_its_key_is_changed(follow: _Follow, tmp_path: Path, settings: Settings) -> None:
    bucketed.grow(300)
    checkpoint.publish(now=START)
    old = bucketed.in_bucket().note.encode()
    settings.AUDIT_SIGNING_KEYS = KEYS[:2]
    bucketed.grow(1)
    checkpoint.publish(now=START)
    published(tmp_path, old)
    first, second = (each.vkey for each in note.signers(ORIGIN))
    assert follow(tmp_path, first).returncode == 0
    refused(follow(tmp_path, second), "old:")  # which had not signed yet
    (tmp_path / "old").write_bytes((tmp_path / "checkpoint").read_bytes())
    (tmp_path / "consistency").write_text("")
    assert follow(tmp_path, second).returncode == 0


def test_go_refuses_an_edited_leaf(follow: _Follow, small: tuple[Path, str]) -> None:
    folder, key = small
    bundle = folder / "tile/entries/001"
    bundle.write_bytes(bundle.read_bytes().replace(b'"success"', b'"failure"', 1))
    refused(follow(folder, key), "entries: another root")
    leaf = folder / "leaf"
    leaf.write_text(leaf.read_text().replace("success", "failure"))
    refused(follow(folder, key), "proof:")


def test_go_refuses_swapped_tiles(follow: _Follow, small: tuple[Path, str]) -> None:
    folder, key = small
    one, other = folder / "tile/0/000", folder / "tile/0/001"
    held = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(held)
    refused(follow(folder, key), "tiles:")


def test_go_refuses_a_missing_tile(follow: _Follow, small: tuple[Path, str]) -> None:
    folder, key = small
    (folder / "tile/0/001").unlink()
    assert follow(folder, key).returncode == 1


def test_go_refuses_another_key(follow: _Follow, small: tuple[Path, str]) -> None:
    folder, _ = small
    other = note.Signer(ORIGIN, base64.urlsafe_b64decode(KEYS[1])).vkey
    refused(follow(folder, other), "checkpoint: note has no verifiable signatures")


def test_go_refuses_an_edited_checkpoint(follow: _Follow, small: tuple[Path, str]) -> None:
    folder, key = small
    path = folder / "checkpoint"
    path.write_bytes(path.read_bytes().replace(b"\n700\n", b"\n699\n"))
    refused(follow(folder, key), "checkpoint: invalid signature")
