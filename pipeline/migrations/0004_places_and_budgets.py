"""How long a status may last, whose place a version has, and when its object in the vault was last checked."""

import datetime

from django.conf import settings
from django.db import migrations, models
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

_VERSIONS = """
CREATE OR REPLACE FUNCTION pipeline_version_keeps() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    -- How the work goes on may change after the end; what was received, found and numbered may not.
    moving text[] := ARRAY['status', 'status_at', 'due_at', 'attempts', 'stuck_reason', 'tidied_at',
                           'reason_code', 'reason'%s];
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'versions are never deleted' USING ERRCODE = 'restrict_violation';
    END IF;
    IF OLD.status <> NEW.status AND NOT (OLD.status || '>' || NEW.status) = ANY (ARRAY[
        'pending>received', 'pending>expired',
        'received>validated', 'received>rejected',
        'validated>clean', 'validated>infected', 'validated>rejected',
        'clean>available'
    ]) THEN
        RAISE EXCEPTION 'a version never goes from %% to %%', OLD.status, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.status NOT IN ('pending', 'received', 'validated', 'clean')
       AND to_jsonb(OLD) - moving <> to_jsonb(NEW) - moving THEN
        RAISE EXCEPTION 'a version that has ended never changes' USING ERRCODE = 'restrict_violation';
    END IF;
    IF OLD.status <> 'pending'
       AND (OLD.s3_version_id, OLD.etag, OLD.received_size, OLD.arrival, OLD.received_at)
           IS DISTINCT FROM (NEW.s3_version_id, NEW.etag, NEW.received_size, NEW.arrival, NEW.received_at) THEN
        RAISE EXCEPTION 'what was pinned stays pinned' USING ERRCODE = 'restrict_violation';
    END IF;
    IF OLD.sha256 <> '' AND OLD.sha256 <> NEW.sha256 THEN
        RAISE EXCEPTION 'a hash never changes' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
"""
_NEW = ", 'owner_id', 'entered_at', 'late_at', 'waits_for', 'waited_at', 'stuck_at', 'checked_at'"

# Quotas and places ask about what is unfinished and about the last day alone.
_OWNERS = """
UPDATE pipeline_documentversion AS version SET owner_id = document.owner_id
  FROM pipeline_document AS document
 WHERE document.id = version.document_id AND version.owner_id IS NULL
   AND (version.status IN ('pending', 'received', 'validated', 'clean')
        OR version.created_at > now() - interval '1 day')
"""


class Migration(migrations.Migration):
    """Columns that may be empty, so that the release before goes on writing rows."""

    not_additive = {
        "RunSQL CREATE OR REPLACE FUNCTION": "It refuses no more than it did: more columns may change after the end.",
        "RunSQL UPDATE": "Only rows that are unfinished or a day old: few, however large the table is.",
    }

    dependencies = [
        ("pipeline", "0003_policy_and_waits"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunSQL(_VERSIONS % _NEW, _VERSIONS % ""),
        migrations.AddField(
            model_name="documentversion",
            name="checked_at",
            field=models.DateTimeField(
                blank=True, help_text="When the vault's object was last read and hashed again.", null=True
            ),
        ),
        migrations.AddField(
            model_name="documentversion",
            name="entered_at",
            field=models.DateTimeField(
                blank=True,
                help_text="When it got one of its owner's places; a received one without waits for it.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="documentversion",
            name="late_at",
            field=models.DateTimeField(
                blank=True,
                db_default=models.ExpressionWrapper(
                    CombinedExpression(Now(), "+", models.Value(datetime.timedelta(seconds=43200))),
                    output_field=models.DateTimeField(),
                ),
                help_text="When its status will have lasted too long.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="documentversion",
            name="owner",
            field=models.ForeignKey(
                db_index=False,
                help_text="The document's owner, for quotas and places; the document says who owns it.",
                null=True,
                on_delete=models.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="documentversion",
            name="stuck_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="documentversion",
            name="waited_at",
            field=models.DateTimeField(blank=True, help_text="When it last met what it waits for.", null=True),
        ),
        migrations.RunSQL(_OWNERS, migrations.RunSQL.noop),
    ]
