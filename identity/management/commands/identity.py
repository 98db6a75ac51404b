"""`manage.py identity ensure`: makes accounts or brings them up to date.

They come as a JSON list on standard input:

    [{"username": "alice", "email": "", "role": "investor", "password": "..."}]

Safe to run again. All of them or none. Passwords come by standard input because a command line is
visible to every process of the machine.
"""

import json
import sys
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from identity import accounts

_REQUIRED: Final = {"username", "role", "password"}
_ALLOWED: Final = _REQUIRED | {"email"}


class Command(BaseCommand):
    """Accounts from the command line."""

    help = "Accounts: make them or bring them up to date."

    def add_arguments(self, parser: CommandParser) -> None:
        """One subcommand so far."""
        subcommands = parser.add_subparsers(dest="subcommand", required=True)
        subcommands.add_parser("ensure", help="a JSON list of accounts on standard input")

    def handle(self, *_: Any, **__: Any) -> None:
        """Run the subcommand."""
        entries = _read(sys.stdin.read())
        with transaction.atomic():
            for place, entry in enumerate(entries):
                try:
                    user = accounts.ensure(
                        username=entry["username"],
                        email=entry.get("email", ""),
                        role=entry["role"],
                        password=entry["password"],
                    )
                except ValidationError as error:
                    raise CommandError(f"account {place}: {'; '.join(error.messages)}") from error
                self.stdout.write(f"{user.username}: {user.role}")


def _read(text: str) -> list[dict[str, str]]:
    """The accounts; a CommandError says what is wrong without repeating what was sent."""
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise CommandError("standard input is not JSON") from error
    if not isinstance(entries, list):
        raise CommandError("standard input is not a JSON list")
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict) or not _REQUIRED <= entry.keys() <= _ALLOWED:
            raise CommandError(f"account {place}: needs username, role, password; may have email")
        if not all(isinstance(value, str) for value in entry.values()):
            raise CommandError(f"account {place}: every value is text")
    return entries
