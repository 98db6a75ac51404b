"""The sandbox holds whatever a parser becomes when a hostile file has taken it over.

The real zygote runs, with a `look` of the test's own in the parsers' place: it does what an attacker's
code would try. Every test ends with no process left.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import psutil
import pytest

from pipeline import sandbox
from pipeline.inspection import findings
from pipeline.inspection.report import Report
from pipeline.sandbox import wire

ROOT = Path(__file__).resolve().parents[2]
Behave = Callable[..., None]


def zygotes() -> list[psutil.Process]:
    """Those of this very process; a stack that tests have started has others."""
    return [child for child in psutil.Process().children() if "zygote.py" in " ".join(child.cmdline())]


@pytest.fixture
def behave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Behave]:
    """Put this body in the place of `look` (and of `parts`), in a zygote that starts anew and ends with the test."""
    package = tmp_path / "root" / "pipeline"
    (package / "inspection").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "sandbox").symlink_to(ROOT / "pipeline" / "sandbox")
    for name in ("report", "findings", "formats"):
        (package / "inspection" / f"{name}.py").symlink_to(ROOT / "pipeline" / "inspection" / f"{name}.py")
    (package / "inspection" / "__init__.py").touch()

    def as_(look: str = "", parts: str = "yield from ()") -> None:
        (package / "inspection" / "look.py").write_text(
            "from pipeline.inspection.report import Report\n"
            "def preload(): pass\n"
            "def look(file, *, filename, content_type):\n"
            + textwrap.indent(textwrap.dedent(look), "    ")
            + "\n    return Report('text/plain', (), 'txt')\n"
        )
        (package / "inspection" / "parts.py").write_text(
            "from types import SimpleNamespace as Part\n"
            "def parts(file):\n" + textwrap.indent(textwrap.dedent(parts), "    ")
        )

    sandbox.close()
    monkeypatch.setattr(sandbox, "ROOT", tmp_path / "root")
    yield as_
    sandbox.close()
    assert not zygotes()


def on_disk(content: bytes = b"hello") -> IO[bytes]:
    """A file as the worker has it."""
    file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(content)
    file.flush()
    return file


def inspect(content: bytes = b"hello") -> Report:
    """Look at these bytes in the sandbox."""
    with on_disk(content) as file:
        return sandbox.inspect(file, filename="a.txt", content_type="text/plain", size=len(content))


def test_an_ordinary_report_comes_back(behave: Behave) -> None:
    behave(
        "from pipeline.inspection.report import Finding\n"
        "return Report('text/plain', (Finding('javascript', 2, 'in 2 places'),), 'txt')"
    )
    report = inspect()
    assert report.format == "txt"
    assert [(f.kind, f.count, f.detail) for f in report.findings] == [("javascript", 2, "in 2 places")]


def test_the_child_reads_the_file_from_its_beginning_and_cannot_write_it(behave: Behave) -> None:
    behave("""
        import os
        assert file.read() == b"hello"
        try:
            os.write(file.fileno(), b"x")
        except OSError:
            return Report('text/plain', (), 'txt')
        os._exit(1)
    """)
    with on_disk() as file:
        assert sandbox.inspect(file, filename="a", content_type="b", size=5).format == "txt"
        file.seek(0)
        assert file.read() == b"hello"


DIES = {
    "a crash": "import ctypes; ctypes.string_at(0)",
    "an abort": "import os; os.abort()",
    "an exit": "import os; os._exit(0)",
    "an exception": "raise RuntimeError('as if')",
    "memory": "x = bytearray(600 * 1024 * 1024)",
    "an endless loop": "while True: pass",
    "a report that is none": "return Report('text/plain', 'nonsense', 'txt')",
    "a kind that is none": "from pipeline.inspection.report import Finding\n"
    "return Report('text/plain', (Finding('x'),))",
    "a report that is too long": "import os; from pipeline.sandbox import wire\n"
    "[wire.send(4, wire.JSON, b' ' * 200_000) for _ in range(3)]",
    "garbage": "import os; os.write(4, os.urandom(100_000)); os._exit(0)",
    "a frame without an end": "import os; os.write(4, b'\\\\x00\\\\x00\\\\x10\\\\x00J{'); os._exit(0)",
    "pickle": "import pickle, os; from pipeline.sandbox import wire\nwire.send(4, wire.JSON, pickle.dumps(1))\n"
    "wire.send(4, wire.END); os._exit(0)",
    "two reports": "import os, json; from pipeline.sandbox import wire\n"
    "[wire.send(4, wire.JSON, json.dumps(Report('a/b').values()).encode()) for _ in range(2)]\n"
    "wire.send(4, wire.END); os._exit(0)",
}


@pytest.mark.parametrize("look", DIES.values(), ids=DIES)
def test_a_child_that_dies_or_lies_is_a_finding(behave: Behave, look: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "SECONDS", 1.0)
    behave(look)
    assert inspect().kinds == {findings.DAMAGED}
    behave("")
    sandbox.close()
    assert inspect().format == "txt"  # and the next file is looked at as if nothing had been


WALLS = {
    "no file in sight": "import os; assert os.listdir('/') == []",
    "no file can be made": "open('/x', 'w')",
    "no file can be written": "import tempfile; tempfile.TemporaryFile().write(b'x' * 10)",
    "no password file": "open('/etc/passwd')",
    "no network": "import socket; socket.socket().connect(('127.0.0.1', {port}))",
    "no second process": "import os; os.fork() or os._exit(0)",
    "no program": "import os; os.execv('/bin/sh', ['sh', '-c', 'true'])",
    "no way back": "import os; os.chroot('..')",
    "no other user": "import os; os.setuid(0)",
    "no environment": "import os; assert set(os.environ) <= {{'LC_CTYPE'}}",
    "no other descriptors": "import os; [os.fstat(n) for n in range(5, 200)]",
}
MUST_HOLD = {"no file in sight", "no environment"}


@pytest.mark.parametrize("name", WALLS)
def test_the_walls_hold(behave: Behave, name: str) -> None:
    """What is asserted must be true, and everything else must fail with an OSError."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        attempt = WALLS[name].format(port=listener.getsockname()[1])
        behave(f"""
            try:
                {attempt}
            except OSError:
                return Report('text/plain', (), 'txt')
            return Report('text/plain', (), 'pdf')
        """)
        report = inspect()
    assert report.format == ("pdf" if name in MUST_HOLD else "txt"), report


def test_the_machine_says_which_walls_stand() -> None:
    sandbox.close()
    walls = sandbox.walls()
    assert walls.whole, walls.missing()
    sandbox.close()


def test_what_a_parser_prints_goes_nowhere(behave: Behave, capfd: pytest.CaptureFixture[str]) -> None:
    behave("import sys, os; print('secret content', flush=True); os.write(2, b'secret content')")
    assert inspect().format == "txt"
    out, err = capfd.readouterr()
    assert "secret content" not in out + err


def test_each_file_meets_a_process_that_has_seen_no_other(behave: Behave) -> None:
    behave("""
        import builtins, os
        clean = not hasattr(builtins, "seen")
        builtins.seen = True
        return Report('text/plain', (), 'txt' if clean else 'pdf')
    """)
    assert [inspect().format for _ in range(3)] == ["txt"] * 3


def test_parts_come_one_by_one_and_what_is_left_is_passed_over(behave: Behave) -> None:
    behave(
        parts="""
        for n in range(3):
            yield Part(kind="attachment", chunks=iter([bytes([n]) * 300_000, b"end"]))
    """
    )
    with on_disk() as file:
        sizes: list[int] = []
        for part in sandbox.parts(file, size=5):
            assert part.kind == "attachment"
            sizes.append(len(next(part.chunks)) if not sizes else sum(map(len, part.chunks)))
    assert sizes[1:] == [300_003] * 2


def test_parts_of_a_child_that_dies_are_not_all_of_them(behave: Behave) -> None:
    behave(parts="yield Part(kind='attachment', chunks=iter([b'x']))\nimport os\nos.abort()")
    with on_disk() as file, pytest.raises(sandbox.Unreadable):
        [list(part.chunks) for part in sandbox.parts(file, size=5)]


def test_a_reader_that_gives_up_leaves_no_child(behave: Behave) -> None:
    behave(parts="while True:\n    yield Part(kind='attachment', chunks=iter([b'x' * 100_000]))")
    with on_disk() as file:
        stream = sandbox.parts(file, size=5)
        next(stream)
        stream.close()  # type: ignore[attr-defined]
    behave("")
    assert inspect().format == "txt"


def test_a_reader_that_gives_up_leaves_no_descriptor(behave: Behave) -> None:
    """As the scanner does with each file in whose parts it finds malware."""
    behave(parts="while True:\n    yield Part(kind='attachment', chunks=iter([b'x' * 100_000]))")
    sandbox.warm()
    before = psutil.Process().num_fds()
    for _ in range(3):
        with on_disk() as file:
            stream = sandbox.parts(file, size=5)
            next(stream)
            stream.close()  # type: ignore[attr-defined]
    sandbox.warm()
    assert psutil.Process().num_fds() == before


def test_a_child_that_cannot_be_prepared_says_nothing_about_its_file(behave: Behave) -> None:
    behave("")
    (sandbox.ROOT / "pipeline/inspection/look.py").write_text(
        "import resource\ndef preload():\n    def refuse(*_): raise OSError('as if')\n    resource.setrlimit = refuse\n"
    )
    with pytest.raises(sandbox.Unavailable):
        inspect()


def test_a_worker_that_is_held_to_less_already_looks_all_the_same(behave: Behave) -> None:
    behave("")
    (sandbox.ROOT / "pipeline/inspection/look.py").write_text(
        "import resource\n"
        "from pipeline.inspection.report import Report\n"
        "def preload(): resource.setrlimit(resource.RLIMIT_CPU, (5, 5))\n"
        "def look(file, *, filename, content_type):\n"
        "    assert resource.getrlimit(resource.RLIMIT_CPU) == (5, 5)\n"
        "    return Report('text/plain', (), 'txt')\n"
    )
    assert inspect().format == "txt"


def test_a_sandbox_that_cannot_start_is_a_fault_and_no_finding(behave: Behave) -> None:
    behave("")
    (sandbox.ROOT / "pipeline/inspection/look.py").write_text("raise ImportError('as if')")
    with pytest.raises(sandbox.Unavailable):
        inspect()


def test_a_zygote_that_was_killed_is_a_fault_and_the_next_file_gets_a_new_one(behave: Behave) -> None:
    behave("")
    sandbox.warm()
    [zygote] = zygotes()
    zygote.kill()
    zygote.wait(5)
    with pytest.raises(sandbox.Unavailable):
        inspect()
    assert inspect().format == "txt"


def test_a_child_killed_from_outside_says_nothing_about_its_file(behave: Behave) -> None:
    behave("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(sandbox.Unavailable):
        inspect()


def test_a_starved_child_says_nothing_about_its_file(behave: Behave, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "SECONDS", 0.5)
    behave("import time; time.sleep(30)")
    started = time.monotonic()
    with pytest.raises(sandbox.Unavailable):
        inspect()
    assert time.monotonic() - started < 10


def test_nothing_outlives_a_worker_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pipeline import sandbox\n"
        "sandbox.warm(); print('ready', flush=True); input()\n"
    )
    worker = subprocess.Popen([sys.executable, "-c", program, str(ROOT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert worker.stdout
    assert worker.stdout.readline() == b"ready\n"
    children = psutil.Process(worker.pid).children(recursive=True)
    assert children
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    psutil.wait_procs(children, timeout=10)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    worker.stdout.close()
    assert worker.stdin
    worker.stdin.close()


def test_a_worker_loads_no_parser() -> None:
    """Whoever works on documents imports the domain; what reads hostile bytes must not come with it."""
    program = (
        "import django, sys; django.setup()\n"
        "import workers.tasks, pipeline.sandbox, pipeline.policy, pipeline.lifecycle\n"
        "print(sorted({'magic', 'pikepdf', 'PIL', 'olefile', 'msoffcrypto', 'defusedxml', 'pylibmagic'}"
        " & set(sys.modules)))"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    answer = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_frames_are_read_whole_or_not_at_all() -> None:
    reader, writer = os.pipe()
    try:
        wire.send(writer, wire.JSON, json.dumps({"a": 1}).encode())
        wire.send(writer, wire.BYTES, b"x" * 1000)
        wire.send(writer, wire.END)
        assert list(wire.frames(reader, patience=1)) == [(wire.JSON, b'{"a": 1}'), (wire.BYTES, b"x" * 1000)]
        wire.send(writer, wire.JSON, b"[]")
        with pytest.raises(wire.Cut):
            wire.said(next(wire.frames(reader, patience=1))[1])
        with pytest.raises(wire.Late):
            next(wire.frames(reader, patience=0.05))
    finally:
        os.close(reader)
        os.close(writer)
