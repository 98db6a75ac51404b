"""The sandbox's child sees no files: whatever a parser imports at its first use must be there before."""

import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

from pipeline import sandbox
from pipeline.inspection import formats
from tests.inspection import cases, makers, ordinary
from tests.inspection.looking import looked
from tests.inspection.test_pdf import WAYS

CHILD = """
import io, pickle, sys
from pipeline.inspection import look as looking
from pipeline.inspection.parts import parts

looking.preload()
before = set(sys.modules)
for extension, body in pickle.load(sys.stdin.buffer):
    report = looking.look(io.BytesIO(body), filename=f"a.{extension}", content_type="application/octet-stream")
    if not report.findings:
        for part in parts(io.BytesIO(body)):
            for _ in part.chunks:
                pass
print(sorted(set(sys.modules) - before))
"""


def files() -> list[tuple[str, bytes]]:
    """Cases and ordinary documents of every kind: extension and bytes."""
    made = [(case.extension, case.make()) for case in [*cases.MISSED_BY_CLAMAV[5:], *cases.DISGUISES]]
    made += [(extension, make()) for extension, make in cases.SAMPLES.items()]
    made += [(kind, make(Random(number))) for kind, make, _ in ordinary.MAKERS.values() for number in range(4)]
    return [*made, *(("pdf", makers.pdf_with(b"words", **way)) for way in WAYS.values())]


def test_nothing_is_imported_while_a_file_is_looked_at() -> None:
    said = subprocess.run(
        [sys.executable, "-c", CHILD],
        cwd=Path(__file__).parents[2],
        input=pickle.dumps(files()),
        capture_output=True,
        check=True,
    )
    assert said.stdout.decode().strip() == "[]"


def test_the_sandbox_which_sees_no_files_finds_the_same() -> None:
    for extension, body in files():
        with tempfile.TemporaryFile() as file:
            file.write(body)
            file.flush()
            report = sandbox.inspect(file, filename=f"a.{extension}", content_type=formats.GENERIC, size=len(body))
        assert report == looked(body, f"a.{extension}")
