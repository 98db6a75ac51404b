"""These tests run the sequencer themselves, or look into the outbox: nobody is woken."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from audit import bucket
from tests.audit import bucketed


@pytest.fixture(autouse=True)
def nobody_is_woken(settings: Settings) -> None:
    """No broker is needed."""
    settings.AUDIT_WAKE = ""


@pytest.fixture
def log_in_bucket(settings: Settings) -> Iterator[None]:
    """The vault bucket holds no log yet; what the test publishes is signed with one key and deleted afterwards."""
    settings.AUDIT_ORIGIN, settings.AUDIT_SIGNING_KEYS = bucketed.ORIGIN, bucketed.KEYS[:1]
    bucket.delete_prefix("audit/")
    yield
    bucket.delete_prefix("audit/")
