"""Nothing that a scanner was seen to miss, and no disguise, goes by without a finding."""

import pytest

from tests.inspection.cases import DISGUISES, MISSED_BY_CLAMAV, SAMPLES, Case
from tests.inspection.looking import kinds, looked

CASES = [*MISSED_BY_CLAMAV, *DISGUISES]


@pytest.mark.parametrize(
    "case", CASES, ids=[f"{number} {case.name} ({case.extension})" for number, case in enumerate(CASES)]
)
def test_what_must_not_pass_is_found(case: Case) -> None:
    assert case.finding in kinds(case.make(), f"a.{case.extension}")


@pytest.mark.parametrize("extension", SAMPLES)
def test_what_the_cases_are_made_from_has_no_finding(extension: str) -> None:
    assert looked(SAMPLES[extension](), f"a.{extension}").findings == ()
