"""People as they come: with a password and an authenticator app, over HTTP."""

import json
from dataclasses import dataclass
from typing import Any

from rest_framework.test import APIClient

from audit.models import Outbox
from identity.models import User
from tests import factories
from tests.factories import PASSWORD


@dataclass
class Person:
    """Somebody with a password and, unless `secret` is empty, an authenticator app."""

    user: User
    secret: str
    shown: int = 0

    def code(self) -> str:
        """A code that is good now and was not shown before. There are three at any moment."""
        self.shown += 1
        return factories.code(self.secret, steps=self.shown - 2)

    def login(self, **changes: Any) -> Any:
        """Post to the login, with a code if there is an app; the answer."""
        body = {"username": self.user.username, "password": PASSWORD}
        if self.secret and "mfa_code" not in changes:
            body["mfa_code"] = self.code()
        return post(APIClient(), "auth/login/", {**body, **changes})

    def client(self) -> APIClient:
        """A client that has signed in."""
        answer = self.login()
        assert answer.status_code == 200, answer.json()
        return bearer(answer.json()["token"])


def bearer(token: str) -> APIClient:
    """A client that sends this token."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    return client


def post(client: APIClient, path: str, body: Any = None) -> Any:
    """POST JSON under /api/."""
    return client.post(f"/api/{path}", {} if body is None else body, format="json")


def refusal(answer: Any) -> tuple[int, str]:
    """Status and code of a refusal, which must be one: words under `error`, and nothing that is read as success."""
    said = answer.json()
    assert isinstance(said["error"], str)
    assert said["error"]
    assert "message" not in said
    assert "token" not in said
    return answer.status_code, said["code"]


def recorded(action: str) -> list[dict[str, Any]]:
    """The events of an action, in order."""
    leaves = [json.loads(row.leaf) for row in Outbox.objects.order_by("id")]
    return [leaf for leaf in leaves if leaf["action"] == action]
