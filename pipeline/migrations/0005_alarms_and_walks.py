from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    """What is wrong with the buckets, and how far the look through them has come."""

    dependencies = [("pipeline", "0004_places_and_budgets")]

    operations = [
        migrations.CreateModel(
            name="Alarm",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("stray", "An object in the vault that no version knows"),
                            ("missing", "A version whose object is not in the vault"),
                            ("altered", "A version whose object is not what was put there"),
                        ],
                        max_length=16,
                    ),
                ),
                ("object", models.CharField(help_text="The key in the vault.", max_length=1200)),
                ("words", models.CharField(max_length=500)),
                ("raised_at", models.DateTimeField(db_default=Now())),
                ("seen_at", models.DateTimeField(db_default=Now(), help_text="When it was last found so.")),
                ("resolved_at", models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Walk",
            fields=[
                ("name", models.CharField(max_length=32, primary_key=True, serialize=False)),
                (
                    "marker",
                    models.CharField(
                        blank=True, help_text="The last key that was looked at; empty: none.", max_length=1200
                    ),
                ),
                ("started_at", models.DateTimeField(db_default=Now())),
                (
                    "finished_at",
                    models.DateTimeField(blank=True, help_text="When a walk was last at the bucket's end.", null=True),
                ),
            ],
        ),
        migrations.AddField(
            model_name="alarm",
            name="version",
            field=models.ForeignKey(
                blank=True, null=True, on_delete=models.PROTECT, related_name="alarms", to="pipeline.documentversion"
            ),
        ),
        migrations.AddConstraint(
            model_name="alarm",
            constraint=models.UniqueConstraint(
                condition=models.Q(("resolved_at__isnull", True)), fields=("kind", "object"), name="alarm_stands_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="alarm",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["stray", "missing", "altered"])), name="alarm_kind"
            ),
        ),
    ]
