"""What a worker's log lines carry, and what is shown of a task: the request, the task, the version. Ids only."""

import re
from typing import Any

import structlog
from celery import signals
from django.dispatch import receiver
from django_structlog.celery.signals import bind_extra_task_metadata, modify_context_before_task_publish

_KEPT = {"request_id", "parent_task_id"}
_AN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9]{1,18}")


@receiver(modify_context_before_task_publish)
def keep_the_request_id(context: dict[str, Any], **_: Any) -> None:
    """Put no more than ids into a message: the broker and Flower show it."""
    for key in set(context) - _KEPT:
        del context[key]


@signals.before_task_publish.connect
def show_ids_only(body: Any, headers: dict[str, Any], **_: Any) -> None:
    """Write into a message what is shown of its arguments: ids by name, and of all else that there is something.

    Here and not by Flower's `format_task`, which its API passes over. Pages, events and `inspect` read these headers.
    """
    args, kwargs, _embed = body
    headers["argsrepr"] = "(...)" if args else "()"
    headers["kwargsrepr"] = repr({name: value if _is_id(name, value) else "..." for name, value in kwargs.items()})


@receiver(bind_extra_task_metadata)
def name_the_version(task: Any, **_: Any) -> None:
    """Bind the task's name and the version that it is about."""
    structlog.contextvars.bind_contextvars(task=task.name)
    version_id = (task.request.kwargs or {}).get("version_id")
    if version_id:
        structlog.contextvars.bind_contextvars(version_id=version_id)


def _is_id(name: str, value: object) -> bool:
    return name.endswith("_id") and bool(_AN_ID.fullmatch(str(value)))
