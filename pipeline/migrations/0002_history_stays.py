"""What the lifecycle promises, the database keeps too: arrows, immutability, no deletion.

The arrows are those of `lifecycle.ARROWS` at the time of this migration; a later arrow comes with a
migration that replaces the function. Additive: older code never did what this refuses.
"""

from django.db import migrations

_VERSIONS = """
CREATE FUNCTION pipeline_version_keeps() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    -- How the work goes on may change after the end; what was received, found and numbered may not.
    moving text[] := ARRAY['status', 'status_at', 'due_at', 'attempts', 'stuck_reason', 'tidied_at',
                           'reason_code', 'reason'];
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
        RAISE EXCEPTION 'a version never goes from % to %', OLD.status, NEW.status
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
CREATE TRIGGER pipeline_version_keeps BEFORE UPDATE OR DELETE ON pipeline_documentversion
    FOR EACH ROW EXECUTE FUNCTION pipeline_version_keeps();
"""

_DOCUMENTS = """
CREATE FUNCTION pipeline_document_keeps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'documents are never deleted' USING ERRCODE = 'restrict_violation';
    END IF;
    IF (OLD.id, OLD.owner_id, OLD.name, OLD.doc_type) <> (NEW.id, NEW.owner_id, NEW.name, NEW.doc_type) THEN
        RAISE EXCEPTION 'a document keeps its owner, name and type' USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.arrivals < OLD.arrivals OR NEW.numbers < OLD.numbers THEN
        RAISE EXCEPTION 'a document''s counters never go back' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER pipeline_document_keeps BEFORE UPDATE OR DELETE ON pipeline_document
    FOR EACH ROW EXECUTE FUNCTION pipeline_document_keeps();
"""

_SCANS = """
CREATE FUNCTION pipeline_scan_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what a scanner said stays said' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER pipeline_scan_stays BEFORE UPDATE OR DELETE ON pipeline_scan
    FOR EACH ROW EXECUTE FUNCTION pipeline_scan_stays();
"""


def _drop(what: str, table: str) -> str:
    return f"DROP TRIGGER {what} ON {table}; DROP FUNCTION {what}();"


class Migration(migrations.Migration):
    """Triggers on documents, versions and scans."""

    dependencies = [("pipeline", "0001_initial")]

    operations = [
        migrations.RunSQL(_VERSIONS, _drop("pipeline_version_keeps", "pipeline_documentversion")),
        migrations.RunSQL(_DOCUMENTS, _drop("pipeline_document_keeps", "pipeline_document")),
        migrations.RunSQL(_SCANS, _drop("pipeline_scan_stays", "pipeline_scan")),
    ]
