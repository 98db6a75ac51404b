"""`manage.py grant`: give the database's roles their rights, after every `migrate`, as the owner. Safe to run again."""

import re
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import ProgrammingError, connection

from config import grants

_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,50}", re.ASCII)


class Command(BaseCommand):
    """Rights in the database."""

    help = "Give the roles that Strongroom's processes connect as their rights, and take what is too much."
    requires_system_checks = []  # `migrate` before it has run them

    def add_arguments(self, parser: CommandParser) -> None:
        """The options."""
        parser.add_argument("--prefix", default="strongroom", help="what the roles' names begin with (strongroom)")
        parser.add_argument("--print", action="store_true", help="print the SQL, for whoever runs it, and do nothing")

    def handle(self, *_: Any, prefix: str, **options: Any) -> None:
        """Grant, or print what would be granted."""
        if not _NAME.fullmatch(prefix):
            raise CommandError("--prefix takes lower-case letters, digits and _")
        try:
            if options["print"]:
                self._print(prefix)
            else:
                self._grant(prefix)
        except (grants.Ungoverned, grants.NotAsPlanned) as refused:
            raise CommandError(str(refused)) from refused
        except ProgrammingError as refused:
            raise CommandError(f"{refused}Run `migrate` first, and both as the owner of the database.") from refused

    def _print(self, prefix: str) -> None:
        body = "".join(f"{statement};\n" for statement in grants.statements(prefix))
        self.stdout.write(f"BEGIN;\n{body}COMMIT;")

    def _grant(self, prefix: str) -> None:
        wanted, found = grants.logins(prefix), grants.present(prefix)
        if not found:
            owner = connection.settings_dict["USER"]
            self.stdout.write(
                f"nothing to grant: there are no roles {', '.join(wanted)}, so every process connects as {owner}, who "
                "could alter the log (docs/operators.md, Database roles)"
            )
            return
        if missing := [name for name in wanted if name not in found]:
            raise CommandError(f"there is no role {' or '.join(missing)}; make it first (docs/operators.md)")
        tables = grants.apply(prefix)
        self.stdout.write(f"{', '.join(wanted)}: rights to {tables} tables")
