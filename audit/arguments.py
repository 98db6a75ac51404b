"""What is typed behind `manage.py audit`, read strictly: what is no such value is refused, and the option named."""

from argparse import ArgumentTypeError
from datetime import datetime
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from audit import actions, signed, standing, verify
from audit.models import Checkpoint
from audit.trail import Ref


def place(text: str) -> int:
    """An event's place in the log."""
    return _number(text, "a place in the log: 0, 1, 2 ...")


def account(text: str) -> int:
    """The number of an account."""
    return _number(text, "the number of an account")


def action(text: str) -> str:
    """An action's name, or the beginning of one."""
    if not text or not actions.matching(text):
        raise ArgumentTypeError(f"no action is, or begins with, {text!r}")
    return text


def object(text: str) -> str:
    """What was acted on."""
    kind, _, uid = text.partition(":")
    try:
        return str(Ref(kind, uid))
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is not a kind and an id, such as version:UUID or user:12") from error


def moment(text: str) -> datetime:
    """A time with its zone (RFC 3339)."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ArgumentTypeError(f"{text!r} is not a time with a zone, such as 2026-11-24T12:00:00Z")
    return found


def vkey(text: str) -> verify.VerifierKey:
    """A verification key."""
    try:
        return verify.VerifierKey.parse(text)
    except verify.Broken as why:
        raise ArgumentTypeError(str(why)) from why


def checkpoint(path: Path, keys: signed.Keys) -> verify.Checkpoint:
    """Return the checkpoint in a file, of this log under any of its names, signed by a key that is known.

    Raises CommandError, note.NoSigningKey, OSError.
    """
    text = path.read_text(errors="replace")
    origin = text.partition("\n")[0]
    try:
        said = verify.open_checkpoint(text, keys.known(origin))
    except (verify.Broken, ImproperlyConfigured) as why:
        raise CommandError(f"{path}: {why}") from why
    name = standing.publication().origin
    if said.origin != name and not Checkpoint.objects.filter(origin=said.origin).exists():
        raise CommandError(f"{path} is a checkpoint of {said.origin}; this log is {name}")
    return said


def size(path: Path, under: Checkpoint) -> int:
    """Return the size that a checkpoint in a file names, if an export under `under` can be compared with it.

    Whether the checkpoint is true is for whoever verifies the export to say. Raises CommandError, OSError.
    """
    origin, number, *_ = [*path.read_text(errors="replace").split("\n"), ""]
    if not (number.isascii() and number.isdigit() and len(number) < 20):
        raise CommandError(f"{path} is not a checkpoint")
    if origin != under.origin:
        raise CommandError(f"{path} is a checkpoint of {origin}; this log is {under.origin}: they cannot be compared")
    if int(number) > under.size:
        raise CommandError(
            f"{path} is of {number} events, this log's newest checkpoint of {under.size}: "
            "look with `manage.py audit verify`"
        )
    return int(number)


def _number(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ArgumentTypeError(f"{text!r} is not {what}")
    return int(text)
