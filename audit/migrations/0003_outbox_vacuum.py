"""The outbox is emptied all the time: vacuum it by what was deleted, not by a share of it."""

from django.db import migrations

FORWARDS = """
ALTER TABLE audit_outbox SET (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_cost_delay = 0
)
"""

BACKWARDS = """
ALTER TABLE audit_outbox RESET (
    autovacuum_vacuum_scale_factor,
    autovacuum_vacuum_threshold,
    autovacuum_vacuum_cost_delay
)
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_append_only")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
