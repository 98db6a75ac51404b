"""Where the sequencer puts what stood in the outbox and is no leaf."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0006_tiles_and_checkpoints_stay"),
    ]

    operations = [
        migrations.CreateModel(
            name="Unreadable",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("leaf", models.TextField()),
                ("private", models.BinaryField(null=True)),
                ("key_id", models.BigIntegerField(null=True)),
                ("queued_at", models.DateTimeField()),
                ("reason", models.CharField(max_length=200)),
            ],
            options={
                "verbose_name_plural": "unreadable",
            },
        ),
    ]
