"""Events as rows of a table that people open in a spreadsheet. It is for reading, and proves nothing."""

import json
from typing import Final

from audit.models import Event

HEADER: Final = (
    *("seq", "occurred_at", "sequenced_at", "actor", "action", "object", "subject", "outcome"),
    *("details", "facts", "request_id"),
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def row(event: Event) -> list[str]:
    """Return the event's cells, in HEADER's order."""
    leaf = event.leaf_values()
    cells = (
        *(str(event.seq), event.occurred_at.isoformat(), event.sequenced_at.isoformat()),
        *(event.actor, event.action, event.object, event.subject, event.outcome),
        *(str(leaf["details"]), json.dumps(leaf["facts"], ensure_ascii=False), str(leaf.get("request_id", ""))),
    )
    return [defused(cell) for cell in cells]


def defused(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula (OWASP, CSV Injection)."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
