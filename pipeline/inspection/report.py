"""What was found in a file, and how the sandbox's child tells it to the worker.

No parser is imported here: the worker reads reports too. It trusts none of them: `Report.of` takes
nothing but what a `Report` could have said.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from pipeline.inspection import findings, formats

UNKNOWN: Final = "application/octet-stream"
_MOST_FINDINGS: Final = len(findings.KINDS)
MEDIA_TYPE: Final = re.compile(r"[a-z]+/[A-Za-z0-9_.+-]{1,100}")
_DETAIL: Final = re.compile(r"[A-Za-z0-9_ ,.:;()'/+-]{0,120}")
_LARGEST_COUNT: Final = 2**31 - 1


@dataclass(frozen=True)
class Finding:
    """One kind of thing found, how often, and fixed words about it; never content or names of the file.

    `kind` is one of `findings.KINDS`.
    """

    kind: str
    count: int = 1
    detail: str = ""


class Unsound(Exception):
    """Nothing more can be said of the file than this finding; raised by whoever reads its structure."""

    def __init__(self, kind: str, detail: str = "") -> None:
        """Take what a `Finding` takes."""
        super().__init__(kind, detail)
        self.finding = Finding(kind, 1, detail)


@dataclass(frozen=True)
class Report:
    """What a file is, and what speaks against it, at most once for each kind.

    `media_type` is what its content says. `format` is the format's name in `formats`, where the content
    is what the name says, else "".
    """

    media_type: str
    findings: tuple[Finding, ...] = ()
    format: str = ""

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds that were found."""
        return frozenset(finding.kind for finding in self.findings)

    @classmethod
    def damaged(cls, detail: str = "") -> Self:
        """The report of a file that nobody could read to its end."""
        return cls(UNKNOWN, (Finding(findings.DAMAGED, 1, detail),))

    def values(self) -> dict[str, Any]:
        """Return the report as JSON holds it."""
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return the report that `values` hold. Raises ValueError for anything that is none."""
        if values.keys() != {"media_type", "findings", "format"}:
            raise ValueError("not a report")
        found = values["findings"]
        if not isinstance(found, (list, tuple)) or len(found) > _MOST_FINDINGS:
            raise ValueError("not a list of findings")
        named = values["format"]
        if not isinstance(named, str) or named not in formats.NAMES | {""}:
            raise ValueError("not a format")
        report = cls(_matched(MEDIA_TYPE, values["media_type"]), tuple(_finding(each) for each in found), named)
        if len(report.kinds) != len(found):
            raise ValueError("a kind twice")
        return report


def _finding(values: object) -> Finding:
    if not isinstance(values, dict) or values.keys() != {"kind", "count", "detail"}:
        raise ValueError("not a finding")
    kind, count = values["kind"], values["count"]
    if not isinstance(kind, str) or kind not in findings.KINDS:
        raise ValueError("not a kind of finding")
    if type(count) is not int or not 1 <= count <= _LARGEST_COUNT:
        raise ValueError("not a count")
    return Finding(kind, count, _matched(_DETAIL, values["detail"]))


def _matched(pattern: re.Pattern[str], value: object) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError("not such words")
    return value
