"""A temporary folder that can be filled, for those who spool and nobody else."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from bench.breaking import spool
from devstack.places import ROOT
from devstack.procfile import read

needs_namespaces = pytest.mark.skipif(not spool.namespaces(Path("/tmp")), reason="user namespaces are forbidden here")  # noqa: S108


def test_those_that_spool_get_a_file_system_and_all_other_lines_stay(tmp_path: Path) -> None:
    original = ROOT / "Procfile"
    changed = tmp_path / "Procfile"
    changed.write_text(spool.confined(original.read_text()))
    before, after = read(original), read(changed)
    assert before.keys() == after.keys()
    assert {name for name in before if before[name] != after[name]} == {"validate", "scan", "apart"}
    assert shlex.split(after["scan"])[-1].endswith(f"exec {before['scan']}")


@needs_namespaces
def test_a_full_folder_is_full_for_that_process_alone_until_it_is_emptied(tmp_path: Path) -> None:
    line = spool.confined("scan: cat\n").removeprefix("scan: ").strip()
    with subprocess.Popen(
        ["sh", "-c", f"exec {line}"], env={**os.environ, "TMPDIR": str(tmp_path)}, stdin=subprocess.PIPE, stdout=-1
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"here\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"here\n"  # so it is mounted
        inside = Path(f"/proc/{process.pid}/root{tmp_path}")
        filled = spool.fill(tmp_path, [process.pid])
        with pytest.raises(OSError, match="No space left"):
            (inside / "one more").write_bytes(b"x" * 8192)
        assert list(tmp_path.iterdir()) == []
        spool.empty(filled)
        (inside / "one more").write_bytes(b"x" * 8192)
        process.stdin.close()
    assert spool.fill(tmp_path, [process.pid]) == []
