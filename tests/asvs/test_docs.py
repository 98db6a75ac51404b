"""docs/security.md names every test of this folder, and none that is not there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_table_names_each_test_and_each_test_is_in_the_table() -> None:
    named = set(re.findall(r"`(test_v\d\w+)`", (ROOT / "docs/security.md").read_text()))
    tests = set()
    for path in Path(__file__).parent.glob("test_v*.py"):
        tests |= set(re.findall(r"^def (test_v\d\w+)", path.read_text(), re.MULTILINE))
    assert named - tests == set()
    assert {_id(name) for name in tests} - {_id(name) for name in named} == set()


def _id(name: str) -> str:
    found = re.match(r"test_v\d(_\d+)+", name)
    assert found, name
    return found[0]
