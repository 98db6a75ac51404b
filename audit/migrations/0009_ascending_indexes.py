"""Indexes that are read backwards are built forwards: events arrive in that order, and the pages stay fuller."""

from django.db import migrations, models

NAMES = ("actor", "object", "action")
NEW = {
    **{name: models.Index(fields=[name, "seq"], name=f"audit_event_{name}") for name in NAMES},
    "outcome": models.Index(
        fields=["outcome", "seq"], condition=~models.Q(outcome="success"), name="audit_event_outcome"
    ),
}


class Migration(migrations.Migration):
    """One index after the other."""

    dependencies = [("audit", "0008_outcome_index")]

    operations = [
        operation
        for name, index in NEW.items()
        for operation in (
            migrations.RemoveIndex("event", f"audit_event_{name}"),
            migrations.AddIndex("event", index),
        )
    ]
