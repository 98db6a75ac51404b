"""The second engine sees every byte of a stream of any length, by rules that are whole and up to date."""

import os
import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import rules
from pipeline.rules import OVERLAP, WINDOW, Sweep
from tests.config.test_settings import example, start

NEEDLE = b"needle in a haystack"
FINDS = rules.compiled({"a": f'rule Needle {{ strings: $a = "{NEEDLE.decode()}" condition: $a }}'})


def swept(chunks: Iterator[bytes] | list[bytes], *sets: rules.Rules) -> str:
    """What the rules find in these chunks."""
    sweep = Sweep(sets or [FINDS])
    for chunk in chunks:
        sweep.feed(chunk)
    return sweep.end()


def cut(body: bytes, size: int) -> list[bytes]:
    """Cut it into chunks."""
    return [body[i : i + size] for i in range(0, len(body), size)]


# --- windows -------------------------------------------------------------------------------------
@pytest.mark.parametrize("chunk", [1000, 256 * 1024, 1024 * 1024, 3 * WINDOW])
@pytest.mark.parametrize(
    "at", [0, WINDOW - len(NEEDLE), WINDOW - 10, WINDOW, WINDOW - OVERLAP - 10, 2 * WINDOW - OVERLAP - 10, 2 * WINDOW]
)
def test_a_match_is_found_wherever_it_stands(at: int, chunk: int) -> None:
    body = bytearray(2 * WINDOW + len(NEEDLE))
    assert swept(cut(bytes(body), chunk)) == ""
    body[at : at + len(NEEDLE)] = NEEDLE
    assert swept(cut(bytes(body), chunk)) == "YARA.Needle"


@pytest.mark.parametrize("at", [WINDOW - OVERLAP, WINDOW - OVERLAP + 1, WINDOW - OVERLAP - 1, WINDOW - 1])
def test_a_match_as_long_as_the_overlap_is_found_across_a_border(at: int) -> None:
    text = random.Random(5).randbytes(OVERLAP // 2).hex()
    long = rules.compiled({"a": f'rule Long {{ strings: $a = "{text}" condition: $a }}'})
    body = bytearray(2 * WINDOW)
    body[at : at + OVERLAP] = text.encode()
    assert swept(cut(bytes(body), 1024 * 1024), long) == "YARA.Long"


def test_a_stream_of_up_to_a_window_is_seen_whole() -> None:
    whole = rules.compiled({"a": f"rule Whole {{ condition: filesize == {WINDOW} and uint8(0) == 1 }}"})
    assert swept(cut(b"\1" + bytes(WINDOW - 1), 1000), whole) == "YARA.Whole"


def test_no_rule_sees_less_of_the_end_than_there_is() -> None:
    seen = rules.compiled({"a": f"rule Tail {{ condition: filesize == {OVERLAP + 7} }}"})
    assert swept([bytes(WINDOW), bytes(7)], seen) == "YARA.Tail"
    assert swept([bytes(WINDOW)], rules.compiled({"a": "rule T { condition: filesize <= 100000 }"})) == ""


def test_nothing_is_asked_about_a_stream_without_bytes() -> None:
    assert swept([b""], rules.compiled({"a": "rule Always { condition: true }"})) == ""


def test_memory_does_not_grow_with_the_stream() -> None:
    chunk = bytes(1024 * 1024)
    tracemalloc.start()
    assert swept(chunk for _ in range(100)) == ""
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 3 * WINDOW


def test_rules_that_take_too_long_are_a_limit_that_was_exceeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "WINDOW_SECONDS", 1.0)
    each = "for all i in (0..filesize): (for all j in (0..filesize): (i + j >= 0))"
    slow = rules.compiled({"a": f"rule Slow {{ condition: {each} }}"})
    assert swept([bytes(WINDOW)], slow) == "Heuristics.Limits.Exceeded.RuleTime"


def test_time_runs_out_over_many_windows_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "STREAM_SECONDS", 0.0)
    assert swept([bytes(WINDOW)]) == rules.TOO_SLOW


def test_several_sets_of_rules_look_at_one_stream() -> None:
    other = rules.compiled({"a": 'rule Other { strings: $a = "other" condition: $a }'})
    assert swept([b"an other"], FINDS, other) == "YARA.Other"
    assert swept([NEEDLE], FINDS, other) == "YARA.Needle"


def test_private_rules_are_not_findings() -> None:
    private = rules.compiled({"a": "private rule P { condition: true } rule R { condition: P and filesize > 3 }"})
    assert swept([b"ab"], private) == ""
    assert swept([b"abcd"], private) == "YARA.R"


# --- the folder ----------------------------------------------------------------------------------
@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Path:
    """The operator's folder, with one rule."""
    settings.YARA_RULES = str(tmp_path)
    (tmp_path / "zebra.yar").write_text(rule("Zebra"))
    return tmp_path


def rule(name: str) -> str:
    """A rule that finds its own name in lower case."""
    return f'rule {name} {{ meta: reason = "later" strings: $a = "{name.lower()}" condition: $a }}'


def found(body: bytes) -> str:
    """What the rules of the folder find."""
    current = rules.current()
    assert current
    return swept([body], current)


@pytest.fixture
def time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is looked at each time."""
    monkeypatch.setattr(rules, "CHECK_SECONDS", 0.0)


def test_no_folder_is_no_rules(settings: Any) -> None:
    settings.YARA_RULES = ""
    assert rules.current() is None


def test_every_file_of_rules_at_any_depth_is_used_and_names_may_repeat(folder: Path) -> None:
    (folder / "birds").mkdir()
    (folder / "birds" / "crow.YARA").write_text(f"{rule('Crow')} {rule('Zebra').replace('zebra', 'okapi')}")
    (folder / "notes.txt").write_text("not rules")
    (folder / ".git").mkdir()
    (folder / ".git" / "old.yar").write_text("rule broken {")
    assert [found(body) for body in (b"a zebra", b"a crow", b"an okapi", b"an emu")] == [
        *("YARA.Zebra", "YARA.Crow", "YARA.Zebra", "")
    ]


def test_rules_are_compiled_once_until_the_folder_changes(folder: Path, time_passes: None) -> None:
    first = rules.current()
    assert first
    os.utime(folder / "zebra.yar", (0, 0))
    assert rules.current() is first
    (folder / "zebra.yar").write_text(rule("Emu"))
    second = rules.current()
    assert second
    assert second.digest != first.digest
    assert (found(b"a zebra"), found(b"an emu")) == ("", "YARA.Emu")


def test_the_folder_is_looked_at_only_now_and_then(folder: Path) -> None:
    assert found(b"an emu") == ""
    (folder / "emu.yar").write_text(rule("Emu"))
    assert found(b"an emu") == ""


BROKEN = {
    "a mistake": "rule a { condition: $b }",
    "an include": 'include "zebra.yar"',
    "a module that takes files apart": 'import "pe" rule a { condition: pe.is_pe }',
    "a rule that leans on such a one": 'import "zip" rule a { condition: zip.is_zip } rule b { condition: a }',
    "a module that nobody has": 'import "horoscope" rule a { condition: true }',
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_rules_are_whole_or_not_used_at_all(folder: Path, time_passes: None, text: str) -> None:
    assert rules.current()
    (folder / "broken.yar").write_text(text)
    for _ in range(2):
        with pytest.raises(rules.Unsound):
            rules.current()
    (folder / "broken.yar").unlink()
    assert found(b"a zebra") == "YARA.Zebra"


def test_a_file_that_is_not_text_is_unsound(folder: Path) -> None:
    (folder / "b.yar").write_bytes(b"\xff\xfe")
    with pytest.raises(rules.Unsound):
        rules.current()


@pytest.mark.parametrize(("name", "why"), [("", "holds no"), ("nowhere", "No such file")])
def test_a_folder_without_rules_is_a_mistake(settings: Any, tmp_path: Path, name: str, why: str) -> None:
    settings.YARA_RULES = str(tmp_path / name)
    with pytest.raises(rules.Unsound, match=why):
        rules.current()


def test_modules_that_only_count_are_there() -> None:
    text = 'import "math" import "hash" rule a { condition: math.entropy(0, filesize) > 7.5 }'
    assert swept([os.urandom(100_000)], rules.compiled({"a": text})) == "YARA.a"


# --- the start -----------------------------------------------------------------------------------
def test_rules_that_cannot_be_used_are_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "a.yar").write_text(rule("Zebra"))
    env = {**example(), "YARA_RULES": str(tmp_path)}
    assert start("check", **env).returncode == 0
    (tmp_path / "b.yar").write_text("rule b { condition: $c }")
    refused = start("check", **env)
    assert refused.returncode != 0
    assert "strongroom.E011" in refused.stderr
    assert "b.yar" in refused.stderr


@pytest.mark.parametrize("name", ["CLAMD_ADDRESSES", "CLAMD_ADDRESS"])
def test_an_address_that_is_none_is_refused_at_the_start(name: str) -> None:
    assert start("check", **{**example(), "CLAMD_ADDRESSES": "tcp://a:3310 , unix:///b"}).returncode == 0
    refused = start("check", **{**example(), name: "clamd:3310"})
    assert refused.returncode != 0
    assert "strongroom.E012" in refused.stderr
