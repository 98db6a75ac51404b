"""The database itself keeps the log from being changed or emptied.

ENABLE ALWAYS: the triggers hold under session_replication_role too, which switches ordinary ones
off. An outbox row is deleted when it gets its place, but what it says is never altered. Whoever
owns the tables can still disable a trigger; that is what proofs are for.
"""

from django.db import migrations

FORWARDS = """
CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: the log is append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER audit_event_rows_stay BEFORE UPDATE OR DELETE ON audit_event
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_event_table_stays BEFORE TRUNCATE ON audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_outbox_rows_stay BEFORE UPDATE ON audit_outbox
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_outbox_table_stays BEFORE TRUNCATE ON audit_outbox
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();

ALTER TABLE audit_event ENABLE ALWAYS TRIGGER audit_event_rows_stay;
ALTER TABLE audit_event ENABLE ALWAYS TRIGGER audit_event_table_stays;
ALTER TABLE audit_outbox ENABLE ALWAYS TRIGGER audit_outbox_rows_stay;
ALTER TABLE audit_outbox ENABLE ALWAYS TRIGGER audit_outbox_table_stays;
"""

BACKWARDS = """
DROP TRIGGER audit_event_rows_stay ON audit_event;
DROP TRIGGER audit_event_table_stays ON audit_event;
DROP TRIGGER audit_outbox_rows_stay ON audit_outbox;
DROP TRIGGER audit_outbox_table_stays ON audit_outbox;
DROP FUNCTION audit_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
