"""What runs beside the web process: Celery's tasks, the reconciler, the scrub, beat's chores, the metrics."""

import os

# Here, because every process of ours but the web enters through this package.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
