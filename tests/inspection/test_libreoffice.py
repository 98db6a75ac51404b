"""False alarms over what LibreOffice writes: its own formats, Microsoft's old and new ones, PDF, CSV, pictures."""

import zipfile
from pathlib import Path
from random import Random

import pytest

from tests.inspection import ordinary
from tests.inspection.libreoffice import LibreOffice
from tests.inspection.looking import looked

pytestmark = [pytest.mark.all_only("needs LibreOffice"), pytest.mark.timeout(900)]

CONVERSIONS = {
    "docx": ("doc", "odt", "docx", "pdf"),
    "xlsx": ("xls", "ods", "xlsx", "pdf", "csv"),
    "pptx": ("ppt", "odp", "pptx", "pdf", "png"),
    "odt": ("doc", "odt", "docx"),
    "ods": ("xls", "ods", "xlsx"),
    "odp": ("ppt", "odp", "pptx"),
}
EACH = 10


@pytest.fixture(scope="module")
def libreoffice(tmp_path_factory: pytest.TempPathFactory) -> LibreOffice:
    """LibreOffice, found or fetched; where it cannot be had, this fails and says so."""
    return LibreOffice(tmp_path_factory.mktemp("libreoffice"))


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Documents to convert, by kind."""
    folder = tmp_path_factory.mktemp("sources")
    made: dict[str, list[Path]] = {}
    for kind in CONVERSIONS:
        for number in range(EACH):
            path = folder / f"{kind}{number}.{kind}"
            path.write_bytes(ordinary.MAKERS[kind][1](Random(f"libreoffice {kind} {number}")))
            made.setdefault(kind, []).append(path)
    return made


@pytest.mark.parametrize(("kind", "to"), [(kind, to) for kind, all_ in CONVERSIONS.items() for to in all_])
def test_what_libreoffice_writes_has_no_finding(
    libreoffice: LibreOffice, sources: dict[str, list[Path]], kind: str, to: str
) -> None:
    made = libreoffice.converted(sources[kind], to)
    assert len(made) == EACH
    for path in made:
        report = looked(path.read_bytes(), path.name)
        # In a ppt a chart is an embedded object of LibreOffice, and is found to be one.
        charts = to == "ppt" and _has_charts(next(each for each in sources[kind] if each.stem == path.stem))
        assert report.kinds == ({"embedded_ole"} if charts else set())
        assert report.format == to


def _has_charts(path: Path) -> bool:
    with zipfile.ZipFile(path) as package:
        return any("charts/chart" in name for name in package.namelist())
