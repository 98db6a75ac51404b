"""`manage.py audit verify|prove|key|export|restart|erase`: the log from the command line.

`verify`, `key` and `restart` run where the signing key is (in containers: the service `audit`); `prove`, `export` and
`erase` need the database alone. Each says what it did on standard output; what goes wrong is a line on standard error
and exit code 1, a wrong call 2.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, Final, Never
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error, transaction
from django.utils import timezone
from tqdm import tqdm

from audit import (
    actions,
    arguments,
    bucket,
    checkpoint,
    erasure,
    examine,
    export,
    note,
    private,
    signed,
    standing,
    tiles,
    trail,
    verify,
)
from audit.findings import Findings
from audit.models import Erasure, Event, Private
from audit.trail import Ref

OPERATOR: Final = Ref("system", "manage")
_RECORDED: Final = 10  # lines of what is wrong, in the event


class Command(BaseCommand):
    """The audit log from the command line."""

    help = "The audit log: verify it, prove an event, export it, print its key, begin it anew, erase a person."

    def add_arguments(self, parser: CommandParser) -> None:
        """The sub-commands."""
        commands = parser.add_subparsers(dest="subcommand", required=True)
        _add_verify(commands.add_parser("verify", help="check the whole stored log, and say what is wrong and where"))
        _add_prove(commands.add_parser("prove", help="write the proof of one event"))
        commands.add_parser("key", help="print the verification keys, one a line")
        _add_export(commands.add_parser("export", help="write the log, or a part of it, to a file"))
        _add_restart(commands.add_parser("restart", help="begin a log with a new name, where the old one cannot go on"))
        _add_erase(commands.add_parser("erase", help="destroy the personal values of those whose erasure is approved"))

    def handle(self, *_: Any, subcommand: str, **options: Any) -> None:
        """Run the sub-command."""
        acts: dict[str, Callable[..., None]] = {
            "verify": self._verify,
            "prove": self._prove,
            "key": self._key,
            "export": self._export,
            "restart": self._restart,
            "erase": self._erase,
        }
        with _said():
            acts[subcommand](**options)

    def _verify(self, *, key: list[verify.VerifierKey], no_bucket: bool, no_progress: bool, **files: Any) -> None:
        keys, begun = signed.Keys(key), perf_counter()
        old, start = (arguments.checkpoint(files[each], keys) if files[each] else None for each in ("old", "start"))
        with _bar(no_progress) as bar:
            bar.total = max(0, standing.size() - (start.size if start else 0))
            found = examine.examine(keys=key, old=old, start=start, published=not no_bucket, progress=bar.update)
        rate = int(found.events / (perf_counter() - begun))
        _record_verified(found, start, published=not no_bucket)
        for line in (*found.remarks, *found.problems):
            self.stderr.write(line)
        if found.count:
            raise CommandError(f"NOT VERIFIED: {found.count} wrong among {found.events} events")
        read = f"{found.events} were read, {rate:,} a second"
        self.stdout.write(f"VERIFIED: {found.size} events, root {found.root.hex()}; {read}")

    def _prove(self, *, seq: int, output: Path, opening: bool, **_: Any) -> None:
        event = Event.objects.filter(seq=seq).first()
        if event is None:
            raise CommandError(f"there is no event {seq}")
        files = {"tlog-proof": checkpoint.prove(seq).encode(), "leaf": event.leaf.encode()}
        if opening:
            files["opening"] = _revealed(event)
        for suffix, content in files.items():
            _write(output / f"{seq}.{suffix}", content)
        stem = output / str(seq)
        also = f" --opening {stem}.opening" if opening else ""
        self.stdout.write(
            f"Written: {', '.join(f'{stem}.{suffix}' for suffix in files)}. To check them, anywhere:\n"
            f"python -I audit/verify.py {stem}.tlog-proof --leaf {stem}.leaf{also} --key VKEY"
        )

    def _key(self, **_: Any) -> None:
        for signer in note.signers(standing.publication().origin):
            self.stdout.write(signer.vkey)

    def _export(self, *, output: Path, form: str, gzip: bool, no_progress: bool, **asked: Any) -> None:
        under, against, openings = checkpoint.latest(), asked.pop("against"), asked.pop("openings")
        if under is None:
            raise CommandError("nothing has been published yet: there is nothing that an export could prove")
        if form == "csv" and (openings or against):
            raise CommandError(
                "--format csv proves nothing: neither --openings nor --against goes with it", returncode=2
            )
        with _bar(no_progress) as bar:
            bar.total = under.size
            made = export.write(
                output,
                under,
                _filters(asked),
                form=form,
                packed=gzip,
                against=arguments.size(against, under) if against else 0,
                openings=openings,
                actor=OPERATOR,
                now=timezone.now(),
                progress=lambda place: bar.update(place - bar.n),
            )
        self.stdout.write(f"{output}: {made.events} of the log's first {made.size} events, SHA-256 {made.sha256}")
        if newer := standing.size() - under.size:
            self.stdout.write(f"Not in it: the {newer} events that are newer than the last checkpoint.")

    def _restart(self, *, reason: str, force: bool, yes: bool, **_: Any) -> None:
        if not yes and not _confirmed("Begin a new log? Checkpoints of the old one cannot be compared with it."):
            raise CommandError("nothing was changed")
        origin = checkpoint.restart(reason=reason, actor=OPERATOR, now=timezone.now(), force=force)
        self.stdout.write(f"The log is now {origin}. Make its verification keys known:")
        self._key()

    def _erase(self, *, ids: list[UUID], **_: Any) -> None:
        for request in ids:
            try:
                keys = erasure.execute(request, now=timezone.now())
            except (erasure.NoSuchErasure, erasure.NotApproved, erasure.Executed) as refusal:
                raise CommandError(f"{request}: {_words(refusal)}") from refusal
            self.stdout.write(f"{request}: executed, {keys} keys destroyed")
        if not ids:
            for each in Erasure.objects.order_by("requested_at"):
                self.stdout.write(f"{each.pk} {each.person} {_state(each)}")


def _add_verify(parser: CommandParser) -> None:
    parser.add_argument(
        "--checkpoint", dest="old", metavar="FILE", type=Path, help="an older checkpoint that the log must continue"
    )
    parser.add_argument(
        "--from", dest="start", metavar="FILE", type=Path, help="a checkpoint; the events that it covers are not read"
    )
    parser.add_argument(
        "--key",
        metavar="VKEY",
        action="append",
        default=[],
        type=arguments.vkey,
        help="trust this key too",
    )
    parser.add_argument("--no-bucket", action="store_true", help="do not look at what is published")
    _add_progress(parser)


def _add_prove(parser: CommandParser) -> None:
    parser.add_argument("seq", metavar="SEQ", type=arguments.place, help="the event's place in the log")
    parser.add_argument("--output", metavar="FOLDER", type=Path, default=Path(), help="where to write; default: here")
    parser.add_argument("--opening", action="store_true", help="also reveal the personal part; that is recorded")


def _add_export(parser: CommandParser) -> None:
    parser.add_argument("--output", metavar="FILE", type=Path, required=True, help="the file to write")
    parser.add_argument(
        "--format", dest="form", choices=export.FORMATS, default="jsonl", help="jsonl proves itself; csv is for reading"
    )
    parser.add_argument("--gzip", action="store_true", help="packed")
    parser.add_argument("--since", metavar="TIME", type=arguments.moment, help="occurred then or later (RFC 3339)")
    parser.add_argument("--until", metavar="TIME", type=arguments.moment, help="occurred before")
    parser.add_argument("--user", metavar="ID", type=arguments.account, help="acts of this person")
    parser.add_argument(
        "--action", metavar="PREFIX", type=arguments.action, help="an action, or the beginning: version."
    )
    parser.add_argument("--object", metavar="KIND:UID", type=arguments.object, help="acts on version:UUID, user:12 ...")
    parser.add_argument("--document", metavar="UUID", type=UUID, help="what concerns a document, its versions too")
    parser.add_argument(
        "--against", metavar="FILE", type=Path, help="a checkpoint with which a part of the log shall be comparable"
    )
    parser.add_argument("--openings", action="store_true", help="with personal values, where they are not erased")
    _add_progress(parser)


def _add_restart(parser: CommandParser) -> None:
    parser.add_argument("--reason", metavar="WORDS", required=True, help="why; kept in the log")
    parser.add_argument("--force", action="store_true", help="also where the log could go on")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def _add_erase(parser: CommandParser) -> None:
    parser.add_argument(
        "ids", metavar="ID", nargs="*", type=UUID, help="an approved request; without any, all requests are listed"
    )


def _add_progress(parser: CommandParser) -> None:
    parser.add_argument("--no-progress", action="store_true", help="no bar; there is none without a terminal either")


@contextmanager
def _said() -> Iterator[None]:
    """What goes wrong, in a line."""
    try:
        yield
    except note.NoSigningKey as error:
        raise CommandError("AUDIT_SIGNING_KEYS is empty: run this where the log's signing key is") from error
    except bucket.FAULTS as error:
        raise CommandError(f"the bucket does not answer as it should: {error}") from error
    except Error as error:
        raise CommandError(f"the database does not answer as it should: {' '.join(str(error).split())}") from error
    except (tiles.NoSuchTile, IndexError) as error:
        raise CommandError("the tree has a hole: look with `manage.py audit verify`") from error
    except private.WrongKey as error:
        raise CommandError("the personal part opens with none of AUDIT_ENCRYPTION_KEYS") from error
    except (checkpoint.NotCovered, checkpoint.NothingWrong) as error:
        raise CommandError(_words(error)) from error
    except (checkpoint.Refused, export.Hole, private.Damaged, ImproperlyConfigured, OSError) as error:
        raise CommandError(str(error)) from error


def _bar(no_progress: bool) -> "tqdm[Never]":
    """A bar on standard error, where that is a terminal."""
    return tqdm(unit=" events", unit_scale=True, disable=True if no_progress else None, file=sys.stderr)


def _record_verified(found: Findings, start: verify.Checkpoint | None, *, published: bool) -> None:
    with transaction.atomic():
        trail.record(
            actions.LOG_VERIFIED,
            actor=OPERATOR,
            object=Ref("log", standing.publication().origin),
            outcome="failure" if found.count else "success",
            details=f"Verified {found.events} of {found.size} events: {found.count or 'nothing'} wrong.",
            facts={
                "size": found.size,
                "root": found.root.hex(),
                "from": start.size if start else 0,
                "bucket": published,
                "problems": found.count,
                **({"found": [line[:300] for line in found.problems[:_RECORDED]]} if found.count else {}),
            },
        )


def _revealed(event: Event) -> bytes:
    """The opening of the event's personal part; that it was revealed is recorded before anybody sees it."""
    try:
        opened = private.opening(event)
    except Private.DoesNotExist as error:
        raise CommandError(f"event {event.seq} has no personal part") from error
    except private.Erased as error:
        raise CommandError(f"the personal part of event {event.seq} has been erased") from error
    kind, _, uid = (event.subject or event.actor).partition(":")
    with transaction.atomic():
        trail.record(
            actions.LOG_REVEALED,
            actor=OPERATOR,
            object=Ref("event", str(event.seq)),
            subject=Ref(kind, uid) if kind == "user" else None,
            details=f"Wrote the event {event.seq} to files, its personal values too.",
            facts={"form": "opening"},
        )
    return opened


def _write(path: Path, content: bytes) -> None:
    """For its owner's eyes."""
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(content)


def _filters(asked: dict[str, Any]) -> export.Filters:
    since, until, document = asked["since"], asked["until"], asked["document"]
    if since and until and since >= until:
        raise CommandError("--since is not before --until", returncode=2)
    return export.Filters(
        user=asked["user"],
        action=asked["action"] or "",
        object=asked["object"] or "",
        document=str(document or ""),
        since=since,
        until=until,
    )


def _confirmed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise CommandError("nobody is there to be asked: say --yes")
    return input(f"{question} [yes/no] ").strip() == "yes"


def _words(refusal: Exception) -> str:
    """The message of an exception whose docstring is the message."""
    return " ".join(str(refusal.__doc__).split())


def _state(each: Erasure) -> str:
    if each.executed_at:
        return f"executed {each.executed_at.isoformat()}"
    return {None: "open", True: "approved", False: "refused"}[each.approved]
