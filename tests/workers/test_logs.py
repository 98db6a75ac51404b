"""Log lines of workers carry the request, the task and the version; messages carry ids only."""

import inspect
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
import structlog
from django_structlog.celery.receivers import CeleryReceiver
from kombu import Connection

from workers import tasks
from workers.celery import app


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


def shown(**kwargs: object) -> tuple[str, str]:
    """What a message that is on its way tells of its arguments, to events, Flower and `inspect`."""
    with Connection("memory://") as connection:
        app.send_task("workers.tasks.validate", kwargs=kwargs, connection=connection)
        channel: Any = connection.default_channel
        message = channel.basic_get("validate", no_ack=True)
    return message.headers["argsrepr"], message.headers["kwargsrepr"]


def test_the_ids_of_a_task_are_shown() -> None:
    version_id = str(uuid4())
    assert shown(version_id=version_id, mail_id="17") == ("()", repr({"version_id": version_id, "mail_id": "17"}))


@pytest.mark.parametrize(
    "said",
    [{"code": "123456"}, {"version_id": "alice@example.com"}, {"mail_id": {"to": "alice"}}, {"email": str(uuid4())}],
)
def test_of_anything_else_only_that_it_is_there(said: dict[str, object]) -> None:
    assert shown(**said) == ("()", repr(dict.fromkeys(said, "...")))


def test_every_task_takes_ids_by_name_alone_and_gives_nothing_back() -> None:
    ours = {name: task for name, task in app.tasks.items() if not name.startswith("celery.")}
    assert len(ours) >= 7
    for name, task in ours.items():
        taken = inspect.signature(task.run).parameters.values()
        named = [p.name for p in taken if p.kind is inspect.Parameter.KEYWORD_ONLY]
        assert all(p.kind in {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD} for p in taken), name
        assert all(parameter.endswith("_id") for parameter in named), name
        assert inspect.signature(task.run).return_annotation in {None, "None"}, name
