"""People as an assessor meets them: over HTTP, with a password and an authenticator app."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from identity.models import User
from tests import factories
from tests.factories import PASSWORD


@pytest.fixture(autouse=True)
def nobody_is_woken(settings: Settings) -> None:
    """No worker is needed: mails are looked at as rows."""
    settings.AUDIT_WAKE = settings.MAIL_WAKE = ""


@dataclass
class Person:
    """Somebody with a password and, unless `secret` is empty, an authenticator app."""

    user: User
    secret: str
    steps: int = -1

    def code(self) -> str:
        """A code that is good now and was not shown before; there are three in a minute."""
        self.steps += 1
        return factories.code(self.secret, steps=self.steps - 1)

    def login(self, client: APIClient | None = None, **changes: Any) -> Any:
        """Sign in with both factors; the answer."""
        body = {"username": self.user.username, "password": PASSWORD}
        body |= {"mfa_code": self.code()} if self.secret and "mfa_code" not in changes else {}
        return (client or APIClient()).post("/api/auth/login/", {**body, **changes}, format="json")

    def client(self) -> APIClient:
        """A client that has signed in."""
        answer = self.login()
        assert "token" in answer.json(), answer.json()
        return bearer(answer.json()["token"])


def bearer(token: str) -> APIClient:
    """A client that sends this token."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    return client


@pytest.fixture
def somebody(db: None) -> Callable[..., Person]:
    """Make a person of a role, enrolled unless said otherwise."""

    def make(username: str, role: str = "investor", *, enrolled: bool = True) -> Person:
        user = factories.person(username, role, password=PASSWORD, email=f"{username}@example.test")
        return Person(user, factories.enrolled(user) if enrolled else "")

    return make


@pytest.fixture
def anna(somebody: Callable[..., Person]) -> Person:
    """An investor with both factors."""
    return somebody("anna")


@pytest.fixture
def root(somebody: Callable[..., Person]) -> Person:
    """An admin with both factors."""
    return somebody("root", "admin")


def now() -> Any:
    """The present moment."""
    return timezone.now()
