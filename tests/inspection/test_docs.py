"""docs/inspection.md says of cases, findings and limits what the code does."""

import re
import tomllib
from pathlib import Path

from pipeline import policy
from pipeline.inspection import findings, limits
from tests.inspection import ordinary
from tests.inspection.cases import DISGUISES, MISSED_BY_CLAMAV

PAGE = (Path(__file__).parents[2] / "docs" / "inspection.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_finding_stands_there_with_what_is_done_about_it() -> None:
    shipped = tomllib.loads(policy.SHIPPED.read_text())["findings"]
    assert {row[0].strip("`"): row[2] for row in rows("Findings")} == shipped
    assert shipped.keys() == findings.KINDS.keys()


def test_every_case_stands_there_with_what_is_found() -> None:
    cases: dict[tuple[str, str], set[str]] = {}
    for case in [*MISSED_BY_CLAMAV, *DISGUISES]:
        cases.setdefault((case.name, case.finding), set()).add(case.extension)
    told = {(row[0], row[2].strip("`")): set(row[1].split(", ")) for row in rows("Cases") if row[2]}
    assert told == cases


def test_the_limits_are_those_of_the_code() -> None:
    told = {
        row[0]: [int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", row[1])] for row in rows("Limits")
    }
    assert told == {
        "members of a package": [limits.MEMBERS],
        "unpacked, all together": [limits.UNPACKED // limits.MIB],
        "unpacked to packed, from 10 MiB on": [limits.RATIO],
        "files in files": [limits.DEPTH],
        "a file inside another": [limits.NESTED_BYTES // limits.MIB, limits.ATTACHMENT_BYTES // limits.MIB],
        "relationships, content types, manifests": [limits.XML_BYTES // limits.MIB],
        "the main stream of a doc, xls or ppt": [limits.STREAM_BYTES // limits.MIB],
        "objects of a PDF": [limits.PDF_OBJECTS],
        "a picture": [limits.PIXELS // 10**6, limits.PIXEL_BYTES // limits.MIB, 80],
        "all pages of a TIFF": [limits.ALL_PIXELS // 10**6, limits.FRAMES],
        "zeros and line ends behind a file": [limits.PADDING // limits.KIB],
    }
    assert limits.RATIO_FROM == 10 * limits.MIB


def test_the_number_of_ordinary_documents_is_true() -> None:
    assert f"makes {sum(count for _, _, count in ordinary.MAKERS.values())} documents" in PAGE
