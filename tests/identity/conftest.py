"""These tests run the sequencer themselves, or look into the outbox: nobody is woken."""

import pytest
from pytest_django import Settings


@pytest.fixture(autouse=True)
def nobody_is_woken(settings: Settings) -> None:
    """No broker is needed."""
    settings.AUDIT_WAKE = settings.MAIL_WAKE = ""
