"""What the child says is taken only if a report could have said it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.inspection import findings, formats
from pipeline.inspection.report import Finding, Report

REPORT = Report("application/pdf", (Finding("javascript", 2, "in 2 places"), Finding("attachment")), "pdf")


def test_a_report_comes_back_as_it_was_sent() -> None:
    assert Report.of(REPORT.values()) == REPORT
    assert Report.of(Report.damaged("it died (time)").values()).kinds == {"damaged"}


def changed(**changes: Any) -> dict[str, Any]:
    """The report's values with these changes."""
    return REPORT.values() | changes


def found(**changes: Any) -> dict[str, Any]:
    """The report with a finding that has these changes."""
    return changed(findings=[{"kind": "macro", "count": 1, "detail": ""} | changes])


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"media_type": "a/b"},
        changed(more=1),
        changed(media_type="<script>"),
        changed(media_type=None),
        changed(media_type="a/" + "b" * 200),
        changed(format="exe"),
        changed(format=[]),
        changed(format=None),
        changed(findings={}),
        changed(findings=["macro"]),
        changed(findings=[REPORT.values()["findings"][0]] * 2),
        changed(findings=[{"kind": "macro", "count": 1, "detail": ""}] * 100),
        found(kind="clean"),
        found(kind=[]),
        found(count=0),
        found(count=True),
        found(count=1.5),
        found(count=2**40),
        found(detail="<b>"),
        found(detail="x" * 200),
        found(detail="a\nb"),
        found(detail=None),
        found(more=1),
    ],
)
def test_what_is_no_report_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"not|twice"):
        Report.of(values)


def test_every_finding_says_what_it_is_and_what_to_do() -> None:
    for kind in findings.KINDS.values():
        assert kind.words.endswith(".")
        assert kind.advice.endswith(".")


def test_formats_have_names_of_their_own() -> None:
    assert len(formats.NAMES) == len(formats.FORMATS)


def test_the_worker_loads_no_parser_with_the_words_that_it_shares() -> None:
    asked = (
        "import sys; from pipeline.inspection import findings, formats, report, limits; "
        "print(sorted({'magic', 'PIL', 'pikepdf', 'olefile', 'msoffcrypto', 'zipfile', 'zlib', 'defusedxml', 'pyexpat'}"
        " & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    said = subprocess.run([sys.executable, "-S", "-c", asked], cwd=root, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
