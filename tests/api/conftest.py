"""People with passwords and authenticator apps, and calls counted by each test for itself."""

import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
import time_machine
from pytest_django import Settings

from identity import mfa
from tests import factories
from tests.factories import PASSWORD
from tests.people import Person


@pytest.fixture(autouse=True)
def apart(settings: Settings) -> None:
    """Nobody is woken, and what one test calls does not count in another."""
    settings.AUDIT_WAKE = settings.MAIL_WAKE = ""
    settings.ENFORCE_INITIAL_PASSWORD_CHANGE = True
    settings.CACHES = {"default": {**settings.CACHES["default"], "KEY_PREFIX": f"strongroom:test:{uuid4()}"}}


@pytest.fixture(autouse=True)
def early_in_a_step() -> Iterator[None]:
    """The time step of a code began a second ago: none ends between making a code and showing it."""
    step = mfa.STEP_SECONDS
    with time_machine.travel(time.time() // step * step + 1):
        yield


@pytest.fixture
def somebody(db: None) -> Callable[..., Person]:
    """Make a person of a role; with an authenticator app unless said otherwise."""

    def make(username: str, role: str = "investor", *, enrolled: bool = True) -> Person:
        user = factories.person(username, role, password=PASSWORD, email=f"{username}@example.test")
        return Person(user, factories.enrolled(user) if enrolled else "")

    return make


@pytest.fixture
def carol(somebody: Callable[..., Person]) -> Person:
    """An investor with both factors."""
    return somebody("carol")


@pytest.fixture
def newton(somebody: Callable[..., Person]) -> Person:
    """An investor who has no second factor yet."""
    return somebody("newton", enrolled=False)


@pytest.fixture
def rhea(somebody: Callable[..., Person]) -> Person:
    """An admin with both factors."""
    return somebody("rhea", "admin")
