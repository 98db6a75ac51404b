"""Small JSON files that are private and never seen half written."""

import json
import os
from pathlib import Path
from typing import Any


def write(path: Path, value: Any) -> None:
    """Write `value` to `path` with mode 0600, atomically: a reader sees the old text or the new."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)
        file.write("\n")
    draft.replace(path)


def read(path: Path) -> dict[str, Any]:
    """Return the object in `path`; an empty one if there is no such file or it is not ours to trust (cut, not JSON)."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
