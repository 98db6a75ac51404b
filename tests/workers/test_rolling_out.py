"""An old worker outlives a deploy: whatever a newer release says more, each task does what it knows."""

import inspect
import uuid
from typing import Any

import pytest

from workers.celery import app

app.loader.import_default_modules()
OURS = sorted(name for name in app.tasks if not name.startswith("celery."))


def told(name: str) -> dict[str, str]:
    """What the task cannot do without: ids, of nothing that there is."""
    parameters = inspect.signature(app.tasks[name].run).parameters.values()
    wanted = (one for one in parameters if one.kind is one.KEYWORD_ONLY and one.default is one.empty)
    return {one.name: str(uuid.uuid4()) for one in wanted}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", OURS)
def test_a_task_takes_an_argument_of_a_later_release_and_may_run_twice(name: str) -> None:
    ids = told(name)
    for _ in range(2):
        result: Any = app.tasks[name].apply(kwargs={**ids, "an_argument_of_a_later_release": {"of": ["any kind"]}})
        assert result.state == "SUCCESS", result.traceback


@pytest.mark.parametrize("name", OURS)
def test_a_task_is_told_everything_by_name(name: str) -> None:
    kinds = {one.kind for one in inspect.signature(app.tasks[name].run).parameters.values()}
    assert inspect.Parameter.VAR_KEYWORD in kinds
    assert kinds <= {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}


def test_these_are_all_our_tasks() -> None:
    assert {name for entry in app.conf.beat_schedule.values() for name in [entry["task"]]} < set(OURS)
    assert {f"workers.tasks.{step}" for step in ("validate", "scan", "finalize", "after_end", "mail")} < set(OURS)
