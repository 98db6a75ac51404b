"""How the tests look at a file: as the sandbox's child does, and the report taken as the worker takes it."""

import io
import json

from pipeline.inspection import formats
from pipeline.inspection.look import WHOLE, look
from pipeline.inspection.report import Report


def looked(body: bytes, filename: str, content_type: str = formats.GENERIC, *, stumbles: bool = False) -> Report:
    """Return the report on a body under a name and declared type.

    `stumbles`: a parser may give up in a way that the checker did not foresee; otherwise that fails the
    test, because it would hide mistakes of the checker itself.
    """
    report = look(io.BytesIO(body), filename=filename, content_type=content_type)
    assert Report.of(json.loads(json.dumps(report.values()))) == report
    assert stumbles or all(finding.detail != WHOLE for finding in report.findings)
    return report


def kinds(body: bytes, filename: str, content_type: str = formats.GENERIC) -> set[str]:
    """Return the kinds of what is found."""
    return set(looked(body, filename, content_type).kinds)
