"""`manage.py additive`: does any migration do what the release before it cannot live with? Part of `bin/check`."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config import additive


class Command(BaseCommand):
    """Migrations that may run while the old release still does."""

    help = "Refuse migrations that take away, narrow or lock, unless they give a reason (docs/operators.md)."
    requires_system_checks = []

    def handle(self, *_: Any, **__: Any) -> None:
        """Name every finding; fail if there is one."""
        judged = additive.judge()
        for one in judged:
            for finding in one.findings:
                self.stdout.write(f"{one.name}: {finding.what}: {finding.why}")
            for what in one.idle:
                self.stdout.write(f"{one.name}: gives a reason for {what}, which it does not do")
        if judged:
            raise CommandError("Add first, take away a release later; or write the reason into `not_additive`.")
