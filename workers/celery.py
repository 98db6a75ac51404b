"""The Celery app. Messages are nudges; what is true stands in the database.

Every setting that differs from Celery's default has its reason. Ids only, as keyword arguments, JSON.
"""

import contextlib
from typing import Any

from celery import Celery, signals
from django.conf import settings
from django.db import close_old_connections
from django_structlog.celery.steps import DjangoStructLogInitStep
from kombu import Queue

from pipeline import sandbox
from workers import (
    acks,
    logs,  # noqa: F401  (connects its receivers, in whoever sends or works)
)

APART = "apart"  # large files, and versions whose worker died over them: they hold up nobody but each other
QUEUES = ("validate", "scan", APART, "finalize", "audit", "default")
SOFT_SECONDS, HARD_SECONDS = 1500, 1560

acks.install()
app = Celery("strongroom", include=["workers.tasks"])
app.conf.update(
    broker_url=settings.BROKER_URL,
    broker_connection_retry_on_startup=True,
    # A half-open connection is noticed only with a socket_timeout: without one a worker stands for ever.
    broker_transport_options={
        "visibility_timeout": 3600,  # more than any task may take, else Redis gives it out again
        "socket_timeout": 2,  # a worker waits for its several connections one after the other
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 2,
    },
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    task_acks_late=True,  # a killed worker's message comes back
    task_reject_on_worker_lost=True,
    task_soft_time_limit=SOFT_SECONDS,
    task_time_limit=HARD_SECONDS,
    worker_prefetch_multiplier=1,  # long tasks must not sit behind a busy worker
    worker_cancel_long_running_tasks_on_connection_loss=False,  # claims make the double harmless
    worker_send_task_events=True,  # Flower lives on them
    worker_hijack_root_logger=False,  # our JSON lines, in workers too
    task_create_missing_queues=False,  # a misspelt queue is an error, not a place to get lost
    task_default_queue="default",
    # Without a routing key of its own each queue would get every message.
    task_queues=[Queue(name, routing_key=name) for name in QUEUES],
    task_routes={
        "workers.tasks.validate": {"queue": "validate"},
        "workers.tasks.scan": {"queue": "scan"},
        "workers.tasks.finalize": {"queue": "finalize"},
        "audit.sequence": {"queue": "audit"},
        "audit.sweep": {"queue": "audit"},
        "audit.checkpoint": {"queue": "audit"},
    },
    timezone="UTC",
    beat_schedule={
        "audit.sweep": {
            "task": "audit.sweep",
            "schedule": 1.0,
            "options": {"expires": 5.0},  # with no worker about, sweeps must not pile up
        },
        "audit.checkpoint": {
            "task": "audit.checkpoint",
            "schedule": 10.0,
            "options": {"expires": 10.0},  # the same; the next one signs all that this one would have
        },
    },
)
# Celery opens a new database connection for every task unless told otherwise; Django's own rules
# (CONN_MAX_AGE, health checks) decide instead, here below.
app.conf["CELERY_DB_REUSE_MAX"] = 1_000_000
app.steps["worker"].add(DjangoStructLogInitStep)


@signals.setup_logging.connect
def _keep_our_logging(**_: Any) -> None:
    """Django has configured logging; a receiver here keeps Celery from doing it again."""


@signals.task_prerun.connect
@signals.task_postrun.connect
def _check_connections(**_: Any) -> None:
    close_old_connections()


@signals.worker_ready.connect
def _record_the_start(sender: Any, **_: Any) -> None:
    """Once per worker, by the process that the others are forked from; again by its own clock until it is done."""
    from workers import starting  # it needs Django's models, which Celery sets up after this file

    if not starting.recorded(str(sender.hostname).partition("@")[0]):
        sender.timer.call_after(starting.AGAIN_SECONDS, _record_the_start, (sender,))


@signals.worker_process_init.connect
def _start_the_sandbox(**_: Any) -> None:
    """Where files are examined; with the first file it would cost that file a second."""
    if {"validate", "scan", APART} & set(app.amqp.queues.consume_from):
        with contextlib.suppress(sandbox.Unavailable):  # each file that needs it says so
            sandbox.warm()
