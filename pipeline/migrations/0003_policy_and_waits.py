from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("pipeline", "0002_history_stays"),
    ]

    operations = [
        migrations.AddField(
            model_name="documentversion",
            name="flags",
            field=models.JSONField(
                blank=True, default=list, help_text="Findings that the policy lets pass, but names."
            ),
        ),
        migrations.AddField(
            model_name="documentversion",
            name="found",
            field=models.JSONField(blank=True, default=list, help_text="Kinds of what inspection has found."),
        ),
        migrations.AddField(
            model_name="documentversion",
            name="policy_sha256",
            field=models.CharField(blank=True, help_text="The policy that judged it.", max_length=64),
        ),
        migrations.AddField(
            model_name="documentversion",
            name="waits_for",
            field=models.CharField(blank=True, help_text="What it waits for; it goes on by itself.", max_length=200),
        ),
        migrations.AddField(
            model_name="scan",
            name="signatures_dated",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="scan",
            name="config_sha256",
            field=models.CharField(blank=True, help_text="Of everything of ours that decides.", max_length=64),
        ),
    ]
