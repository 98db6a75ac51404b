import django.db.models.functions.datetime
import django.db.models.lookups
from django.db import migrations, models

import audit.models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Private",
            fields=[
                ("seq", models.BigIntegerField(primary_key=True, serialize=False)),
                ("key_id", models.BigIntegerField()),
                ("ciphertext", models.BinaryField()),
            ],
            options={
                "verbose_name_plural": "private parts",
            },
        ),
        migrations.CreateModel(
            name="Event",
            fields=[
                ("seq", models.BigIntegerField(primary_key=True, serialize=False)),
                ("occurred_at", models.DateTimeField()),
                ("sequenced_at", models.DateTimeField()),
                ("actor", models.CharField(max_length=200)),
                ("action", models.CharField(max_length=100)),
                ("object", models.CharField(max_length=200)),
                ("subject", models.CharField(blank=True, max_length=200)),
                ("outcome", models.CharField(max_length=20)),
                ("leaf", models.TextField()),
                ("leaf_hash", models.BinaryField(max_length=32)),
            ],
            options={
                "indexes": [
                    models.Index(
                        models.F("actor"),
                        models.OrderBy(models.F("seq"), descending=True),
                        name="audit_event_actor",
                    ),
                    models.Index(
                        models.F("object"),
                        models.OrderBy(models.F("seq"), descending=True),
                        name="audit_event_object",
                    ),
                    models.Index(
                        models.F("action"),
                        models.OrderBy(models.F("seq"), descending=True),
                        name="audit_event_action",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            django.db.models.lookups.GreaterThan(
                                audit.models.Octets(models.F("leaf")), 1
                            ),
                            django.db.models.lookups.LessThanOrEqual(
                                audit.models.Octets(models.F("leaf")), 16384
                            ),
                        ),
                        name="audit_event_leaf_fits",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            django.db.models.lookups.Exact(
                                audit.models.Octets(models.F("leaf_hash")), 32
                            )
                        ),
                        name="audit_event_leaf_hash_is_sha256",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("seq__gte", 0)),
                        name="audit_event_seq_from_0",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Outbox",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("leaf", models.TextField()),
                ("private", models.BinaryField(null=True)),
                ("key_id", models.BigIntegerField(null=True)),
                (
                    "queued_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
            options={
                "verbose_name_plural": "outbox",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            django.db.models.lookups.GreaterThan(
                                audit.models.Octets(models.F("leaf")), 1
                            ),
                            django.db.models.lookups.LessThanOrEqual(
                                audit.models.Octets(models.F("leaf")), 16384
                            ),
                        ),
                        name="audit_outbox_leaf_fits",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("key_id__isnull", True), ("private__isnull", True)),
                            models.Q(("key_id__isnull", False), ("private__isnull", False)),
                            _connector="OR",
                        ),
                        name="audit_outbox_private_has_key",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PrivateKey",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("owner", models.CharField(max_length=200)),
                ("wrapped", models.BinaryField(null=True)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("destroyed_at", models.DateTimeField(null=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("wrapped__isnull", False)),
                        fields=("owner",),
                        name="audit_privatekey_one_living",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("destroyed_at__isnull", False),
                                ("wrapped__isnull", True),
                            ),
                            models.Q(
                                ("destroyed_at__isnull", True),
                                ("wrapped__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="audit_privatekey_lives_or_destroyed",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="State",
            fields=[
                (
                    "id",
                    models.SmallIntegerField(default=1, primary_key=True, serialize=False),
                ),
                ("size", models.BigIntegerField(default=0)),
                ("sequenced_at", models.DateTimeField()),
            ],
            options={
                "verbose_name_plural": "state",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("id", 1)), name="audit_state_is_one_row"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("size__gte", 0)), name="audit_state_size"
                    ),
                ],
            },
        ),
    ]
