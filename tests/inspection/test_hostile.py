"""Files made to exhaust whoever opens them end in a finding.

How soon, and in how little memory, the sandbox's tests say.
"""

import pytest

from tests.inspection import makers
from tests.inspection.looking import looked

SET = makers.hostile()
HEAVY = makers.heavy()


@pytest.mark.parametrize("name", SET)
def test_a_hostile_file_ends_in_a_finding(name: str) -> None:
    extension, body = SET[name]
    assert looked(body, f"a.{extension}").findings


@pytest.mark.parametrize("name", HEAVY)
def test_a_heavy_file_is_taken_all_the_same(name: str) -> None:
    extension, body = HEAVY[name]
    assert looked(body, f"a.{extension}").findings == ()
