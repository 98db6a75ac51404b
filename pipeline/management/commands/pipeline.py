"""`manage.py pipeline stuck|requeue|walks`: what stands still or is late, and how it is set going again.

`requeue` only marks versions as due; the reconciler goes on with them, whether the broker is there or not. Exit code 0
if all that was asked for is done, 1 if a part of it could not be, 2 for a wrong call.
"""

import json
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from audit.trail import Ref
from pipeline import lifecycle, stalled
from pipeline.models import DocumentVersion, Status, Walk

OPERATOR: Final = Ref("system", "manage")
_COLUMNS: Final = ("id", "kind", "status", "since", "owner", "attempts", "size", "next", "reason")
_WALK_COLUMNS: Final = ("name", "started", "finished", "marker")


class Command(BaseCommand):
    """What stands still, from the command line."""

    help = "What stands still or is late: list it, set it going again, see how far the looks through the buckets are."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take a sub-command."""
        commands = parser.add_subparsers(dest="subcommand", required=True)
        _add_stuck(commands.add_parser("stuck", help="list what stands still or is late, the newest first"))
        _add_requeue(commands.add_parser("requeue", help="mark versions as due; the reconciler goes on with them"))
        walks = commands.add_parser("walks", help="show how far each look through a bucket has come")
        _add_json(walks)

    def handle(self, *_: Any, subcommand: str, **options: Any) -> None:
        """Run the sub-command."""
        acts: dict[str, Callable[..., None]] = {"stuck": self._stuck, "requeue": self._requeue, "walks": self._walks}
        acts[subcommand](**options)

    def _stuck(self, *, kind: str, status: str, owner: int | None, limit: int, json: bool, **asked: Any) -> None:
        entries = list(islice(stalled.everything(stalled.Asked(kind, status, owner)), limit + 1))
        self._tell([_row(entry) for entry in entries[:limit]], _COLUMNS, as_json=json)
        if len(entries) > limit:
            self.stderr.write(f"There are more than {limit}: see --limit.")
        if entries and asked["exit_code"]:
            raise CommandError("something stands still or is late", returncode=1)

    def _requeue(self, *, ids: list[UUID], all: bool, kind: str, json: bool, **_: Any) -> None:
        if bool(ids) == all or (kind and not all):
            raise CommandError("name versions, or say --all, with --kind if you like", returncode=2)
        told = [self._requeued(pk, json) for pk in (_those_to_requeue(kind or stalled.STUCK) if all else ids)]
        if failed := told.count(False):
            raise CommandError(f"{failed} of {len(told)} were not requeued", returncode=1)
        if not json:
            self.stdout.write(f"{len(told)} requeued. The reconciler goes on with them.")

    def _requeued(self, pk: UUID, as_json: bool) -> bool:
        """Requeue one, and say what became of it."""
        try:
            version = lifecycle.requeue(pk, by=OPERATOR)
        except DocumentVersion.DoesNotExist:
            return self._said(pk, False, "There is no such version.", as_json)
        except lifecycle.NothingToRequeue as refusal:
            return self._said(pk, False, " ".join(str(refusal.__doc__).split()), as_json)
        return self._said(pk, True, stalled.prospect(version), as_json)

    def _said(self, pk: UUID, requeued: bool, words: str, as_json: bool) -> bool:
        said = {"id": str(pk), "requeued": requeued, "words": words}
        out = self.stdout if requeued or as_json else self.stderr
        out.write(json.dumps(said) if as_json else f"{pk}: {words}")
        return requeued

    def _walks(self, *, json: bool, **_: Any) -> None:
        self._tell([_walk(walk) for walk in Walk.objects.order_by("name")], _WALK_COLUMNS, as_json=json)

    def _tell(self, rows: list[dict[str, Any]], columns: tuple[str, ...], *, as_json: bool) -> None:
        for line in map(json.dumps, rows) if as_json else _table(rows, columns):
            self.stdout.write(line)


def _add_stuck(parser: CommandParser) -> None:
    parser.add_argument("--kind", choices=stalled.KINDS, default="", help="of this kind alone")
    parser.add_argument("--status", choices=Status.values, default="", help="versions in this status alone")
    parser.add_argument("--owner", type=int, metavar="ID", help="documents of this person alone")
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="at most so many (100)")
    parser.add_argument("--exit-code", action="store_true", help="exit with 1 if there is anything")
    _add_json(parser)


def _add_requeue(parser: CommandParser) -> None:
    parser.add_argument("ids", metavar="ID", nargs="*", type=UUID, help="a version's id")
    parser.add_argument(
        "--all", action="store_true", help="all that stand still, but for those whose bytes must be sent again"
    )
    parser.add_argument("--kind", choices=(stalled.STUCK, stalled.LATE), default="", help="with --all: stuck, or late")
    _add_json(parser)


def _add_json(parser: CommandParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def _those_to_requeue(kind: str) -> list[UUID]:
    """All at first, because a list that is read while it is emptied skips some."""
    entries = stalled.everything(stalled.Asked(kind))
    return [entry.version.pk for entry in entries if entry.version and entry.next_action != stalled.Next.SEND_AGAIN]


def _row(entry: stalled.Entry) -> dict[str, Any]:
    version, owner = entry.version, entry.owner
    return {
        "id": entry.id,
        "kind": entry.kind,
        "status": version.status if version else None,
        "since": _moment(entry.since),
        "owner": owner.username if owner else None,
        "attempts": version.attempts if version else None,
        "size": version.size if version else None,
        "next": entry.next_action.value,
        "reason": entry.reason,
    }


def _walk(walk: Walk) -> dict[str, Any]:
    finished = _moment(walk.finished_at) if walk.finished_at else None
    return {"name": walk.name, "started": _moment(walk.started_at), "finished": finished, "marker": walk.marker or None}


def _moment(at: Any) -> str:
    return str(timezone.localtime(at).isoformat(timespec="seconds"))


def _table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> Iterator[str]:
    """Yield lines whose columns stand under each other; the last, the longest, is left as it is."""
    if not rows:
        return
    cells = [columns, *(tuple("-" if row[name] is None else str(row[name]) for name in columns) for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns) - 1)]
    for line in cells:
        yield "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]])
