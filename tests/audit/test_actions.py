"""The closed list of actions: what auditors read is what the log takes."""

import re
from pathlib import Path

from audit import actions

PAGE = Path(__file__).parents[2] / "docs" / "audit-events.md"


def test_the_docs_list_exactly_the_actions_that_there_are() -> None:
    listed = re.findall(r"^\| `([a-z_.]+)` \|", PAGE.read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(actions.ALL)


def test_actions_are_dotted() -> None:
    assert [action for action in sorted(actions.ALL) if not re.fullmatch(r"[a-z_]+\.[a-z_]+", action)] == []
