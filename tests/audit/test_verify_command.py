"""`verify.py` as an auditor runs it: alone, on any file, with an answer and never a traceback."""

import ast
import base64
import gzip
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import verify
from devstack.places import ROOT
from tests.audit import exports
from tests.audit.exports import OPENING, ORIGIN, OTHER, SIGNER

SCRIPT = ROOT / "audit" / "verify.py"
LOG = exports.leaves(90)
KEY = ["--key", SIGNER.vkey]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with what the house has given out."""
    whole = b"".join(exports.export(LOG, openings={3: OPENING}))
    (tmp_path / "log.jsonl").write_bytes(whole)
    (tmp_path / "log.jsonl.gz").write_bytes(gzip.compress(whole))
    (tmp_path / "part.jsonl").write_bytes(b"".join(exports.export(LOG, shown=[3], against=30)))
    (tmp_path / "now").write_text(exports.checkpoint(LOG).note)
    (tmp_path / "old").write_text(exports.checkpoint(LOG[:30]).note)
    (tmp_path / "3.tlog-proof").write_text(exports.proof(LOG, 3))
    (tmp_path / "3.leaf").write_text(LOG[3])
    (tmp_path / "3.opening").write_bytes(OPENING)
    return tmp_path


def run(capsys: Capture, *words: object) -> tuple[int, str]:
    """The exit code and what was printed."""
    try:
        code = verify.main([str(each) for each in words])
    except SystemExit as left:
        code = int(left.code or 0)
    return code, "".join(capsys.readouterr())


def alone(script: Path, *words: object, isolated: bool = True, folder: Path | None = None) -> tuple[int, str]:
    """As a program of its own, in another folder and without our environment."""
    command = [sys.executable, *(["-I"] if isolated else []), str(script), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder or "/", env={}, timeout=60)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


# --- alone ------------------------------------------------------------------------------------------------------------
def test_a_copy_runs_elsewhere_with_nothing_of_ours(files: Path) -> None:
    copy = files / "copy.py"
    copy.write_bytes(SCRIPT.read_bytes())
    code, said = alone(copy, files / "log.jsonl.gz", *KEY, "--checkpoint", files / "old")
    assert (code, said.startswith(f"VERIFIED: 90 of the 90 events of the log {ORIGIN}")) == (0, True)
    assert alone(copy, files / "log.jsonl.gz", "--key", OTHER.vkey)[0] == 1
    assert alone(copy, files / "log.jsonl.gz")[0] == 2


def test_it_runs_within_its_own_folder_although_python_looks_there_first(files: Path) -> None:
    assert alone(SCRIPT, files / "log.jsonl", *KEY, isolated=False)[0] == 0
    assert alone(Path("verify.py"), files / "now", *KEY, isolated=False, folder=SCRIPT.parent)[0] == 0


def test_no_module_beside_it_has_the_name_of_one_of_the_standard_library() -> None:
    assert not {each.stem for each in SCRIPT.parent.iterdir()} & sys.stdlib_module_names


def test_it_needs_the_standard_library_alone_and_is_python_3_9() -> None:
    tree = ast.parse(SCRIPT.read_text(), feature_version=(3, 9))
    imports = [each for each in ast.walk(tree) if isinstance(each, ast.Import | ast.ImportFrom)]
    names = {name.name for each in imports if isinstance(each, ast.Import) for name in each.names}
    names |= {each.module or "" for each in imports if isinstance(each, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


def test_it_explains_itself(capsys: Capture) -> None:
    code, said = run(capsys, "--help")
    assert code == 0
    for words in ("python -I verify.py log.jsonl", "--checkpoint", "NOT covered: `sequenced_at`", "Exit code 0"):
        assert words in said


# --- an export --------------------------------------------------------------------------------------------------------
def test_it_says_what_an_export_proves(files: Path, capsys: Capture) -> None:
    code, said = run(capsys, files / "log.jsonl", *KEY, "--checkpoint", files / "old")
    root = base64.b64encode(exports.checkpoint(LOG).root).decode()
    assert (code, said.splitlines()) == (
        0,
        [
            f"VERIFIED: 90 of the 90 events of the log {ORIGIN}, root {root}",
            "  Events 0 to 29: as they were when your checkpoint of 30 events was signed.",
            "  Events 30 to 89: as the log's key signed them now. Whoever holds that key could have changed them"
            " before; a checkpoint that you keep from now on rules that out for later.",
            "  Personal parts shown, each the one that its event commits to: 1.",
            "  The first event shown says 2026-11-24T12:00:00.000000Z, the last 2026-11-24T12:00:00.000089Z.",
            "  Not covered by the proof: sequenced_at, filters, made_at.",
        ],
    )


def test_it_says_what_a_part_does_not_prove(files: Path, capsys: Capture) -> None:
    code, said = run(capsys, files / "part.jsonl", *KEY)
    assert code == 0
    assert said.startswith("VERIFIED: 1 of the 90 events")
    assert "89 events are withheld" in said
    assert "not that they are none of those you asked for" in said
    assert "Events 0 to 89: as the log's key signed them now" in said


def test_with_the_newest_checkpoint_nothing_is_left_to_the_key(files: Path, capsys: Capture) -> None:
    code, said = run(capsys, files / "log.jsonl", *KEY, "--checkpoint", files / "now")
    assert code == 0
    assert "Events 0 to 89: as they were" in said
    assert "Whoever holds that key" not in said


def test_it_says_what_is_wrong_with_an_export(files: Path, capsys: Capture) -> None:
    (files / "log.jsonl").write_bytes((files / "log.jsonl").read_bytes().replace(b'"seq":7,', b'"seq":8,'))
    code, said = run(capsys, files / "log.jsonl", *KEY)
    assert (code, said) == (1, "NOT VERIFIED: event 7 is missing: in its place stands event 8\n")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_packed_export_that_is_cut_off_says_so(files: Path, capsys: Capture, kept: float) -> None:
    packed = (files / "log.jsonl.gz").read_bytes()
    (files / "log.jsonl.gz").write_bytes(packed[: int(kept * len(packed))])
    code, said = run(capsys, files / "log.jsonl.gz", *KEY)
    assert (code, said.startswith("NOT VERIFIED: the packed file is cut off or damaged in line ")) == (1, True)


def test_a_packed_export_with_a_turned_bit_is_not_verified(files: Path, capsys: Capture) -> None:
    packed = bytearray((files / "log.jsonl.gz").read_bytes())
    for place in range(20, len(packed), 97):
        packed[place] ^= 4
        (files / "turned").write_bytes(packed)
        code, said = run(capsys, files / "turned", *KEY)
        assert (code, said.startswith("NOT VERIFIED: ")) == (1, True)
        packed[place] ^= 4


def test_a_line_without_end_is_not_read_to_its_end(files: Path, capsys: Capture) -> None:
    for content in (b"{" + b" " * (1 << 21), b"x" * (1 << 21), b"x\n" * (1 << 20)):
        (files / "long").write_bytes(gzip.compress(content))
        code, said = run(capsys, files / "long", *KEY)
        assert (code, "longer than any that belongs here" in said) == (1, True)


# --- a proof, a checkpoint --------------------------------------------------------------------------------------------
def test_it_says_what_a_proof_proves(files: Path, capsys: Capture) -> None:
    words = [files / "3.tlog-proof", *KEY, "--leaf", files / "3.leaf"]
    code, said = run(capsys, *words)
    assert (code, said.startswith(f"VERIFIED: the leaf is event 3 of the log {ORIGIN}, 90 events, root ")) == (0, True)
    (files / "3.leaf").write_text(LOG[3] + "\n")
    assert run(capsys, *words)[0] == 0
    (files / "3.leaf").write_text(LOG[3] + "\n\n")
    assert run(capsys, *words)[0] == 1
    (files / "3.leaf").write_text(LOG[4])
    assert run(capsys, *words) == (
        1,
        "NOT VERIFIED: event 3: the proof does not lead from this leaf to the root over 90 events\n",
    )


def test_the_personal_part_is_shown_as_far_as_a_terminal_may_be_told(files: Path, capsys: Capture) -> None:
    words = [files / "3.tlog-proof", *KEY, "--leaf", files / "3.leaf", "--opening", files / "3.opening"]
    code, said = run(capsys, *words)
    assert (code, 'Its personal part is: {"ip":"192.0.2.1","name":"Ren\u00e9"}' in said) == (0, True)
    (files / "3.opening").write_text(base64.b64encode(OPENING).decode() + "\n")
    assert run(capsys, *words)[0] == 0
    (files / "3.opening").write_bytes(b"\x1f\x8b" + OPENING[2:])  # like gzip, but taken as it is
    assert "is not the one" in run(capsys, *words)[1]
    (files / "3.opening").write_bytes(OPENING.replace(b"192.0.2.1", b"192.0.2.2"))
    assert run(capsys, *words)[0] == 1
    assert verify._printable("a\x1b[31m\u202eb\n\ud800") == "a\\x1b[31m\\u202eb\\n\\ud800"


def test_a_checkpoint_is_verified_by_itself(files: Path, capsys: Capture) -> None:
    code, said = run(capsys, files / "old", *KEY)
    root = base64.b64encode(exports.checkpoint(LOG[:30]).root).decode()
    assert (code, said) == (0, f"VERIFIED: the log {ORIGIN}, 30 events, root {root}\n")
    assert run(capsys, files / "old", "--key", OTHER.vkey)[0] == 1
    assert run(capsys, files / "old", "--key", OTHER.vkey, *KEY)[0] == 0


def test_an_older_checkpoint_is_never_passed_over(files: Path, capsys: Capture) -> None:
    """Where two checkpoints cannot be compared by what is there, that is no success."""
    proof = [files / "3.tlog-proof", "--leaf", files / "3.leaf"]
    for words in (proof, [files / "now"]):
        code, said = run(capsys, *words, *KEY, "--checkpoint", files / "now")
        assert (code, "It is what your checkpoint says." in said) == (0, True)
        code, said = run(capsys, *words, *KEY, "--checkpoint", files / "old")
        assert (code, "this alone cannot be compared with your checkpoint" in said) == (1, True)
    assert "truncated" in run(capsys, files / "old", *KEY, "--checkpoint", files / "now")[1]
    (files / "fork").write_text(exports.checkpoint(exports.leaves(90, first=1)).note)
    assert "there are two logs" in run(capsys, files / "now", *KEY, "--checkpoint", files / "fork")[1]
    (files / "old").write_text("x")
    assert run(capsys, files / "log.jsonl", *KEY, "--checkpoint", files / "old")[0] == 1


# --- wrong calls and any file -----------------------------------------------------------------------------------------
def test_a_wrong_call_is_told_from_a_wrong_file(files: Path, capsys: Capture) -> None:
    for words in (
        [],
        [files / "log.jsonl"],
        [*KEY],
        [files / "log.jsonl", *KEY, "--leaf", files / "3.leaf"],
        [files / "now", *KEY, "--opening", files / "3.opening"],
        [files / "3.tlog-proof", *KEY],
        [files / "log.jsonl", *KEY, "--nonsense"],
    ):
        code, said = run(capsys, *words)
        assert (code, "usage: " in said) == (2, True)


def test_a_file_that_cannot_be_read_and_a_key_that_is_none_are_not_verified(files: Path, capsys: Capture) -> None:
    for words in (
        [files / "absent", *KEY],
        [files, *KEY],
        [files / "log.jsonl", *KEY, "--checkpoint", files / "absent"],
        [files / "log.jsonl", "--key", "nonsense"],
        [files / "log.jsonl", *KEY, "--key", "\udcff+00000000+AA=="],
    ):
        code, said = run(capsys, *words)
        assert (code, said.startswith("NOT VERIFIED: ")) == (1, True)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"{",
        b"{}",
        b"{}\n{}\n",
        b"\x00\xff" * 99,
        b"\x1f\x8b",
        b"\x1f\x8b\x08",
        gzip.compress(b""),
        gzip.compress(b"garbage") + b"garbage",
        b"c2sp.org/tlog-proof@v1",
        b"c2sp.org/tlog-proof@v1\n\n",
        "\u2014 x\n\n\u2014 x AAAAAAA=\n".encode(),
        b"%PDF-1.7",
        "\ufeff{}".encode(),
        "{}\n".encode("utf-16"),
    ],
)
def test_garbage_is_not_verified(files: Path, capsys: Capture, content: bytes) -> None:
    (files / "garbage").write_bytes(content)
    for words in ([files / "garbage"], [files / "log.jsonl", "--checkpoint", files / "garbage"]):
        code, said = run(capsys, *words, *KEY)
        assert (code, "VERIFIED: " in said and not said.startswith("VERIFIED")) in {(1, True), (2, False)}
    for option in ("leaf", "opening"):
        options = {"--leaf": files / "3.leaf", "--opening": files / "3.opening", f"--{option}": files / "garbage"}
        code, said = run(capsys, files / "3.tlog-proof", *KEY, *(each for pair in options.items() for each in pair))
        assert (code, said.startswith("NOT VERIFIED: ")) == (1, True)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=80),
    st.sampled_from([b"", b"{", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", b"c2sp.org/tlog-proof@v1\n"]),
    st.booleans(),
)
def test_no_file_makes_it_stumble(files: Path, capsys: Capture, content: bytes, start: bytes, packed: bool) -> None:
    (files / "any").write_bytes(gzip.compress(start + content) if packed else start + content)
    code, said = run(capsys, files / "any", *KEY, "--leaf", files / "3.leaf")
    assert (code, said.startswith(("NOT VERIFIED: ", "usage: "))) in {(1, True), (2, True)}
