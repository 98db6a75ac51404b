"""`manage.py identity ensure|unlock|rotate`: accounts from the command line.

`ensure` makes accounts or brings them up to date. They come as a JSON list on standard input:

    [{"username": "alice", "email": "", "role": "investor", "password": "...", "totp_secret": "..."}]

Safe to run again. All of them or none. Secrets come by standard input because a command line is
visible to every process of the machine.
"""

import json
import sys
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from identity import accounts, acts, mfa
from identity.models import User

_REQUIRED: Final = {"username", "role", "password"}
_ALLOWED: Final = _REQUIRED | {"email", "totp_secret"}


class Command(BaseCommand):
    """Accounts from the command line."""

    help = "Accounts: make them or bring them up to date, unlock one, seal second factors anew."

    def add_arguments(self, parser: CommandParser) -> None:
        """The subcommands."""
        subcommands = parser.add_subparsers(dest="subcommand", required=True)
        subcommands.add_parser("ensure", help="a JSON list of accounts on standard input")
        unlock = subcommands.add_parser("unlock", help="forget wrong passwords and codes, unlock the second factor")
        unlock.add_argument("username")
        unlock.add_argument("--reason", default="unlocked by an operator", help="kept in the audit log")
        subcommands.add_parser("rotate", help="seal every second factor with the first of MFA_ENCRYPTION_KEYS")

    def handle(self, *_: Any, subcommand: str, **options: Any) -> None:
        """Run the subcommand."""
        if subcommand == "ensure":
            self._ensure(_read(sys.stdin.read()))
        elif subcommand == "unlock":
            self._unlock(options["username"], options["reason"])
        else:
            self._rotate()

    def _ensure(self, entries: list[dict[str, str]]) -> None:
        with transaction.atomic():
            for place, entry in enumerate(entries):
                try:
                    user = _bring_about(entry)
                except ValidationError as error:
                    raise CommandError(f"account {place}: {'; '.join(error.messages)}") from error
                except ValueError as error:
                    raise CommandError(f"account {place}: totp_secret is not base32 of 160 bits") from error
                self.stdout.write(f"{user.username}: {user.role}")

    def _unlock(self, username: str, reason: str) -> None:
        user = User.objects.named(username)
        if user is None:
            raise CommandError("there is no account of that name")
        acts.unlock(accounts.SYSTEM, user, reason=reason, now=timezone.now())
        self.stdout.write(f"{user.username}: unlocked")

    def _rotate(self) -> None:
        try:
            self.stdout.write(f"{mfa.rotate_keys()} sealed anew; nothing needs the other keys now")
        except mfa.WrongKey as error:
            raise CommandError("a secret opens with none of MFA_ENCRYPTION_KEYS; nothing was changed") from error


def _bring_about(entry: dict[str, str]) -> User:
    user = accounts.ensure(
        username=entry["username"], email=entry.get("email", ""), role=entry["role"], password=entry["password"]
    )
    if secret := entry.get("totp_secret"):
        mfa.enrol_with(user, secret, by=accounts.SYSTEM, now=timezone.now())
    return user


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
            raise CommandError(f"account {place}: needs username, role, password; may have email, totp_secret")
        if not all(isinstance(value, str) for value in entry.values()):
            raise CommandError(f"account {place}: every value is text")
    return entries
