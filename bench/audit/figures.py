"""One measured number, its limit, and how they are told."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number with its unit; `most` or `least` is the limit, if it has one."""

    name: str
    value: float
    unit: str
    most: float | None = None
    least: float | None = None

    @property
    def kept(self) -> bool:
        """Whether the limit is kept."""
        return (self.most is None or self.value <= self.most) and (self.least is None or self.value >= self.least)

    def line(self) -> str:
        """A row of the table."""
        limit = f"<= {self.most:g}" if self.most is not None else f">= {self.least:g}" if self.least is not None else ""
        verdict = "" if not limit else "pass" if self.kept else "FAIL"
        return f"{self.name:58} {self.value:>12,.3f} {self.unit:9} {limit:>12} {verdict}"

    def told(self) -> dict[str, Any]:
        """For the line of JSON."""
        limits = {"most": self.most, "least": self.least}
        known = {name: limit for name, limit in limits.items() if limit is not None}
        return {"name": self.name, "value": round(self.value, 4), "unit": self.unit, **known, "pass": self.kept}


def percentile(values: Sequence[float], share: int) -> float:
    """The value below which so many per cent of the others lie."""
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]
