"""False alarms: documents as people's own programs make them are not turned away."""

from random import Random

import pytest

from tests.inspection import ordinary
from tests.inspection.looking import looked

EACH = [(name, number) for name, (_, _, count) in ordinary.MAKERS.items() for number in range(count)]


@pytest.mark.parametrize(("name", "number"), EACH)
def test_an_ordinary_document_has_no_finding(name: str, number: int) -> None:
    extension, make, _ = ordinary.MAKERS[name]
    report = looked(make(Random(f"{name} {number}")), f"a.{extension}")
    assert (report.findings, report.format != "") == ((), True)


def test_they_are_at_least_five_hundred() -> None:
    assert len(EACH) >= 500
