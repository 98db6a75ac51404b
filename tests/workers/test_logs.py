"""Log lines of workers carry the request, the task and the version; messages carry ids only."""

from types import SimpleNamespace
from uuid import uuid4

import structlog
from django_structlog.celery.receivers import CeleryReceiver

from workers import tasks


def test_a_tasks_lines_name_the_version_and_the_request_that_caused_it() -> None:
    version_id = str(uuid4())
    task = SimpleNamespace(
        name=tasks.validate.name,
        request=SimpleNamespace(kwargs={"version_id": version_id}, __django_structlog__={"request_id": "r1"}),
    )
    CeleryReceiver().receiver_task_prerun("t1", task)
    bound = structlog.contextvars.get_contextvars()
    structlog.contextvars.clear_contextvars()
    assert bound == {"task_id": "t1", "task": "workers.tasks.validate", "version_id": version_id, "request_id": "r1"}


def test_nothing_but_ids_goes_into_a_message() -> None:
    structlog.contextvars.bind_contextvars(request_id="r1", user_id=7, ip="192.0.2.1", secret="x")
    headers: dict[str, object] = {}
    CeleryReceiver().receiver_before_task_publish(headers=headers)
    structlog.contextvars.clear_contextvars()
    assert headers["__django_structlog__"] == {"request_id": "r1"}
