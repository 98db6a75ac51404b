from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Indexes of the few rows that are unfinished, late or stuck, built beside those who write."""

    atomic = False

    dependencies = [("pipeline", "0005_alarms_and_walks")]

    operations = [
        AddIndexConcurrently(
            model_name="documentversion",
            index=models.Index(
                condition=models.Q(
                    ("status__in", ("pending", "received", "validated", "clean")),
                    ("stuck_reason", ""),
                    models.Q(
                        models.Q(("status", "received"), _negated=True), ("entered_at__isnull", False), _connector="OR"
                    ),
                ),
                fields=["status", "due_at"],
                name="version_due_in_turn",
            ),
        ),
        AddIndexConcurrently(
            model_name="documentversion",
            index=models.Index(
                condition=models.Q(
                    ("status__in", ("pending", "received", "validated", "clean")),
                    ("stuck_reason", ""),
                    models.Q(
                        models.Q(("status", "received"), _negated=True), ("entered_at__isnull", False), _connector="OR"
                    ),
                ),
                fields=["late_at"],
                name="version_late",
            ),
        ),
        AddIndexConcurrently(
            model_name="documentversion",
            index=models.Index(
                condition=models.Q(("entered_at__isnull", True), ("status", "received"), ("stuck_reason", "")),
                fields=["owner", "received_at"],
                name="version_queueing",
            ),
        ),
        AddIndexConcurrently(
            model_name="documentversion",
            index=models.Index(
                condition=models.Q(
                    ("entered_at__isnull", False),
                    ("status__in", ("received", "validated", "clean")),
                    ("stuck_reason", ""),
                ),
                fields=["owner"],
                name="version_in_place",
            ),
        ),
        AddIndexConcurrently(
            model_name="documentversion",
            index=models.Index(
                condition=models.Q(("status", "pending")), fields=["owner", "expires_at"], name="version_open"
            ),
        ),
        AddIndexConcurrently(
            model_name="documentversion",
            index=models.Index(fields=["owner", "created_at"], name="version_by_owner"),
        ),
        AddIndexConcurrently(
            model_name="documentversion",
            index=models.Index(
                condition=models.Q(("stuck_reason", ""), _negated=True), fields=["-stuck_at"], name="version_stuck"
            ),
        ),
        AddIndexConcurrently(
            model_name="documentversion",
            index=models.Index(
                models.OrderBy(models.F("checked_at"), nulls_first=True),
                condition=models.Q(("status__in", ("available", "recalled"))),
                name="version_unchecked",
            ),
        ),
        RemoveIndexConcurrently(model_name="documentversion", name="version_due"),
    ]
