"""The whole stack, with real workers, once for all journeys. Nothing here reaches into the product."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devstack.client import Client
from devstack.launch import Running, running

LIMITS = {"UPLOAD_WINDOW_SECONDS": "20", "EXPIRE_GRACE_SECONDS": "1"}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Everything that `bin/stack up` starts, in a folder of its own."""
    with running(Path(tmp_path_factory.mktemp("stack")), fresh=True, settings=LIMITS) as started:
        yield started


@pytest.fixture
def as_(stack: Running) -> Callable[[str], Client]:
    """Sign somebody in over HTTP."""

    def client(username: str) -> Client:
        account = stack.details["accounts"][username]
        api, origin = stack.details["api"], stack.details["console"].rstrip("/")
        token = Client(api, origin=origin).sign_in(account["username"], account["password"])
        return Client(api, origin=origin, token=token)

    return client
