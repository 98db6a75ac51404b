"""What was refused or failed is found without reading the log through."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """An index on the outcomes that are rare."""

    dependencies = [("audit", "0007_unreadable")]

    operations = [
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                "outcome",
                models.F("seq").desc(),
                condition=~models.Q(outcome="success"),
                name="audit_event_outcome",
            ),
        ),
    ]
