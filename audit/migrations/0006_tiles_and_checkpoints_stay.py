"""Full tiles and published checkpoints are as append-only as the log that they prove."""

from django.db import migrations

TABLES = ("audit_tile", "audit_checkpoint")
FORWARDS = "\n".join(
    f"""
CREATE TRIGGER {table}_rows_stay BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER {table}_table_stays BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_rows_stay;
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_table_stays;
"""
    for table in TABLES
)
BACKWARDS = "\n".join(
    f"DROP TRIGGER {table}_rows_stay ON {table}; DROP TRIGGER {table}_table_stays ON {table};" for table in TABLES
)


class Migration(migrations.Migration):
    dependencies = [("audit", "0005_build_the_tree")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
