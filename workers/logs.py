"""What a worker's log lines carry: the request that caused them, the task, the version. Ids only."""

from typing import Any

import structlog
from django.dispatch import receiver
from django_structlog.celery.signals import bind_extra_task_metadata, modify_context_before_task_publish

_KEPT = {"request_id", "parent_task_id"}


@receiver(modify_context_before_task_publish)
def keep_the_request_id(context: dict[str, Any], **_: Any) -> None:
    """Put no more than ids into a message: the broker and Flower show it."""
    for key in set(context) - _KEPT:
        del context[key]


@receiver(bind_extra_task_metadata)
def name_the_version(task: Any, **_: Any) -> None:
    """Bind the task's name and the version that it is about."""
    structlog.contextvars.bind_contextvars(task=task.name)
    version_id = (task.request.kwargs or {}).get("version_id")
    if version_id:
        structlog.contextvars.bind_contextvars(version_id=version_id)
