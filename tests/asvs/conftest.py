"""People as an assessor meets them, and a moment at which no code is about to end."""

from collections.abc import Callable

import pytest
from pytest_django import Settings

from tests.api.conftest import early_in_a_step as early_in_a_step
from tests.api.conftest import somebody as somebody
from tests.people import Person


@pytest.fixture(autouse=True)
def alone(settings: Settings) -> None:
    """No worker is needed: mails are looked at as rows. Pages find their files without having collected them."""
    settings.AUDIT_WAKE = settings.MAIL_WAKE = ""
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


@pytest.fixture
def anna(somebody: Callable[..., Person]) -> Person:
    """An investor with both factors."""
    return somebody("anna")


@pytest.fixture
def root(somebody: Callable[..., Person]) -> Person:
    """An admin with both factors."""
    return somebody("root", "admin")
