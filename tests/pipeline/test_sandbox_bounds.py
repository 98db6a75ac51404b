"""Files that are made to exhaust whoever opens them end within the sandbox's bounds, and leave nothing behind."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pipeline import sandbox
from tests.inspection import makers

SECONDS = 10.0
MEMORY_KIB = 512 * 1024
HOSTILE = makers.hostile() | makers.heavy()


@pytest.fixture(scope="module", autouse=True)
def zygote() -> Iterator[None]:
    """One for the module, and none after it."""
    sandbox.warm()
    yield
    sandbox.close()
    assert not [p for p in psutil.Process().children() if "zygote.py" in " ".join(p.cmdline())]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_ends_within_ten_seconds_and_512_mb_of_its_child(name: str) -> None:
    extension, body = HOSTILE[name]
    before = set(Path(tempfile.gettempdir()).iterdir())
    with tempfile.TemporaryFile() as file:
        file.write(body)
        file.flush()
        sandbox.inspect(file, filename=f"a.{extension}", content_type="application/octet-stream", size=len(body))
    ended = sandbox.last()
    assert ended.cpu_seconds < SECONDS, ended
    assert ended.rss_kib < MEMORY_KIB, ended
    left = set(Path(tempfile.gettempdir()).iterdir()) - before
    assert not [path for path in left if path.name.startswith("strongroom-empty")]
    assert not psutil.pid_exists(ended.pid)
