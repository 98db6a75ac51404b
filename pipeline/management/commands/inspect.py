"""`manage.py inspect FILE…`: what the service would say of local files, without uploading them.

It looks as a worker does, in the sandbox, and judges by the policy. It does not scan for malware.
"""

import json
import mimetypes
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from pipeline import policy, reasons, sandbox
from pipeline.inspection import findings, formats
from pipeline.models import DocType


class Command(BaseCommand):
    """Local files, judged."""

    help = "Tell what the service would say of local files. Exit 1 if it would refuse one of them."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take files, the type of document that they would be, and the form of the answer."""
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
        parser.add_argument("--type", choices=DocType.values, default=DocType.OTHER.value, help="default: other")
        parser.add_argument("--json", action="store_true", help="one JSON object a line")

    def handle(self, *_: Any, files: list[Path], type: str, json: bool, **__: Any) -> None:
        """Look at each file."""
        refused = 0
        for path in files:
            said = _said(path, type)
            refused += not said["accepted"]
            self.stdout.write(_line(said) if json else _words(said))
        if refused:
            raise CommandError(f"{refused} of {len(files)} would be refused", returncode=1)


def _said(path: Path, doc_type: str) -> dict[str, Any]:
    declared = formats.of(path.name)
    kind = declared.media_type if declared else mimetypes.guess_type(path.name)[0] or formats.GENERIC
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            report = sandbox.inspect(file, filename=path.name, content_type=kind, size=size)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
    except sandbox.Unavailable as error:
        raise CommandError(str(error)) from error
    judgement = policy.load().judge(report, doc_type=doc_type, size=size)
    return {
        "file": str(path),
        "accepted": not judgement.reason_code,
        "media_type": report.media_type,
        "reason_code": judgement.reason_code or None,
        "reason": reasons.WORDS.get(judgement.reason_code),
        "flags": list(judgement.flags),
        "findings": [{"kind": each.kind, "count": each.count, "detail": each.detail} for each in report.findings],
    }


def _line(said: dict[str, Any]) -> str:
    return json.dumps(said, ensure_ascii=False)


def _words(said: dict[str, Any]) -> str:
    """A line for the file and one for each finding."""
    verdict = "would be taken" if said["accepted"] else f"would be refused ({said['reason_code']}): {said['reason']}"
    lines = [f"{said['file']}: {said['media_type']}; {verdict}"]
    for each in said["findings"]:
        more = f" ({each['detail']})" if each["detail"] else ""
        lines.append(f"  {each['kind']} x {each['count']}{more}: {findings.KINDS[each['kind']].words}")
    return "\n".join(lines)
