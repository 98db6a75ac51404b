"""Flower behind its door, with the real web process, workers and Flower: an admin sees it, and nobody else anything.

What passes a door and what does not is tested in tests/deploy/test_flower_door.py, with each door that there is.
"""

import base64
import hashlib
import importlib
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
import requests
from django.urls import URLPattern, URLResolver, get_resolver

from devstack.client import Client
from devstack.launch import Running
from devstack.places import ROOT
from devstack.ports import answers
from tests import factories
from tests.deploy.doors import free
from tests.journeys.conftest import Account, ensure, pids
from tests.journeys.test_documents import ended, upload
from tests.journeys.visitor import Visitor

As = Callable[[str], Client]
Newcomer = Callable[..., Account]
WORKERS = ("validate", "scan", "apart", "finalize", "audit", "default")
HIDDEN = {"metrics", "healthcheck", "login", "login/", "logout"}
"""What Flower has and the door has not."""


def flowers_paths() -> list[str]:
    """Every path of the Flower that is installed, below /flower/."""
    handlers: list[Any] = importlib.import_module("flower.urls").handlers
    patterns = [getattr(handler, "regex", None) or handler[0] for handler in handlers]
    written = [getattr(pattern, "pattern", pattern) for pattern in patterns]
    name = f"scan@{socket.gethostname()}"
    paths = {re.sub(r"\(\.[+*]\)", name, path).rstrip("$").removeprefix("/") for path in written}
    return sorted({path.replace("/?", "") for path in paths if path != ".*"} | {"static/js/flower.js", "login/"})


def admin_paths() -> list[str]:
    """Every path below /admin/ but the steps of signing in and out."""

    def walk(patterns: list[URLPattern | URLResolver], before: str) -> Iterator[str]:
        for pattern in patterns:
            path = before + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, path)
            elif path.startswith("admin/"):
                yield "/" + re.sub(r"<[^>]+>", "1", path)

    found = {path for path in walk(get_resolver().url_patterns, "") if "(?P" not in path}
    return sorted(found - {"/admin/login/", "/admin/login/code/", "/admin/login/enrol/", "/admin/logout/"})


FLOWER = flowers_paths()
ADMIN = admin_paths()


@pytest.fixture(scope="module")
def admin(stack: Running, used: set[str], newcomer: Newcomer) -> Visitor:
    """An admin in front of a browser, who has passed both steps."""
    visitor = Visitor(stack, used)
    page = visitor.sign_in(newcomer("flora", "admin"))
    assert page.url == stack.details["flower"]  # where the first look was meant to lead
    assert page.status_code == 200
    return visitor


@pytest.fixture(scope="module", params=["the stack's", "without nginx"])
def door(request: pytest.FixtureRequest, stack: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Flower's address: at the stack's door, which is nginx where there is one, and at one that is surely none."""
    if request.param == "the stack's":
        yield stack.details["flower"]
        return
    port, folder = free(), tmp_path_factory.mktemp("door")
    env = {**stack.env, "DOOR_BIND": f"127.0.0.1:{port}", "PATH": str(folder)}
    command = (sys.executable, "-m", "workers.door")
    with (folder / "log").open("wb") as log, subprocess.Popen(command, cwd=ROOT, env=env, stderr=log) as process:
        try:
            wait_for(lambda: answers(port))
            yield f"http://127.0.0.1:{port}/flower/"
        finally:
            process.terminate()


def wait_for(true: Callable[[], Any], seconds: float = 20) -> Any:
    """Wait for something to become true; return it."""
    limit = time.monotonic() + seconds
    while not (said := true()):
        assert time.monotonic() < limit, "it did not come true"
        time.sleep(0.2)
    return said


def nothing(answer: requests.Response) -> bool:
    """Whether an answer shows nothing of what is behind a door: it sends one away, or it is no page at all."""
    sent_away = answer.status_code == 302 and "/admin/login/" in answer.headers["Location"]
    return (sent_away or answer.status_code in {403, 404, 405}) and "flower" not in answer.text.lower()


def everything_asked(http: requests.Session, door: str, root: str, **headers: str) -> dict[str, requests.Response]:
    """Ask for every path of Flower and of the admin, to read and to write."""
    asked: dict[str, requests.Response] = {}
    for address in [*(door + path for path in FLOWER), *(root + path for path in ADMIN)]:
        for method in ("GET", "POST"):
            own = {"Origin": address[: address.index("/", 8)], "Sec-Fetch-Site": "same-origin", **headers}
            asked[f"{method} {address}"] = http.request(method, address, headers=own, allow_redirects=False, timeout=30)
    return asked


def seen(asked: dict[str, requests.Response]) -> dict[str, int]:
    """Those that showed something."""
    return {what: answer.status_code for what, answer in asked.items() if not nothing(answer)}


def test_the_lists_of_paths_are_not_empty() -> None:
    assert {"", "workers", "tasks", "tasks/datatable", "broker", "api/workers", "api/tasks", *HIDDEN} <= {*FLOWER}
    assert "/admin/" in ADMIN
    assert len(ADMIN) > 10


def test_an_admin_sees_workers_queues_and_tasks(admin: Visitor, door: str, as_: As) -> None:
    alice = as_("alice")
    version = ended(alice, upload(alice, factories.PDF, f"Seen at {door}", "a.pdf", "application/pdf"))["id"]

    wait_for(lambda: shows(admin.http.get(door, timeout=30), *(f">{name}@" for name in WORKERS)))
    admin.http.get(f"{door}workers?refresh=1", timeout=30)  # it knows the queues of workers that it has asked
    wait_for(lambda: shows(admin.http.get(f"{door}broker", timeout=30), *(f">{queue}<" for queue in WORKERS)))
    tasks = wait_for(lambda: tasks_of(admin, door, version))
    assert tasks["workers.tasks.scan"] == repr({"version_id": version})
    assert {"workers.tasks.validate", "workers.tasks.finalize", "workers.tasks.after_end"} <= tasks.keys()


def shows(page: requests.Response, *words: str) -> bool:
    """Whether a page that opened has all of these words in it, white space aside."""
    told = re.sub(r"\s+", "", page.text)
    return page.status_code == 200 and all(word in told for word in words)


def tasks_of(admin: Visitor, door: str, version: str) -> dict[str, str]:
    """The tasks about a version and their arguments, as the page's search box asks for them, once all are there."""
    origin = door.removesuffix("/flower/")
    asked = {"draw": 1, "start": 0, "length": 100, "order[0][column]": 0, "columns[0][data]": "name"}
    answer = admin.http.post(
        door + "tasks/datatable",
        data={**asked, "search[value]": version},
        headers={"Origin": origin, "Sec-Fetch-Site": "same-origin"},
        timeout=30,
    )
    assert answer.status_code == 200
    found = {row["name"]: row["kwargs"] for row in answer.json()["data"] if row["name"]}
    return found if "workers.tasks.after_end" in found else {}


def test_every_page_of_flowers_opens_for_an_admin_but_those_that_ask_for_no_password(admin: Visitor, door: str) -> None:
    told = {path: admin.http.get(door + path, timeout=30).status_code for path in FLOWER}
    assert {path for path, status in told.items() if status == 404 and path not in HIDDEN} <= {
        f"static/scan@{socket.gethostname()}",  # there is no such file
        f"task/scan@{socket.gethostname()}",  # no such task
        f"api/task/info/scan@{socket.gethostname()}",
    }
    assert {told[path] for path in HIDDEN} == {404}
    assert {told[path] for path in ("", "workers", "tasks", "broker", "api/workers", "api/tasks")} == {200}


def test_the_one_script_in_a_page_is_the_one_that_the_policy_knows(admin: Visitor, door: str) -> None:
    page = admin.http.get(door, timeout=30)
    (script,) = re.findall(r"<script[^>]*>([^<]+)</script>", page.text)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}'" in page.headers["Content-Security-Policy"]


def test_an_admins_visit_is_recorded_once(admin: Visitor, door: str, as_: As, stack: Running) -> None:
    for path in ("", "tasks", "broker"):
        assert admin.http.get(door + path, timeout=30).status_code == 200

    def entries() -> list[dict[str, Any]]:
        address = f"{stack.details['api']}/auditlogs/?action=flower."
        rows = requests.get(address, headers=as_("admin").authorization, timeout=30).json()
        return [row for row in rows if row["user"]["username"] == "flora"]

    assert wait_for(entries)
    time.sleep(1.5)  # a second one would be there by now
    assert len(entries()) == 1


def test_nobody_gets_anything_without_a_session(door: str, stack: Running) -> None:
    root = stack.details["console"].rstrip("/")
    assert seen(everything_asked(requests.Session(), door, root)) == {}


@pytest.mark.parametrize("name", ["alice", "auditor", "admin"])
def test_a_token_of_the_api_opens_neither(door: str, stack: Running, as_: As, name: str) -> None:
    root = stack.details["console"].rstrip("/")
    assert seen(everything_asked(requests.Session(), door, root, **as_(name).authorization)) == {}


@pytest.mark.parametrize("name", ["alice", "auditor"])
def test_who_is_no_admin_does_not_get_past_the_password(stack: Running, used: set[str], name: str) -> None:
    visitor = Visitor(stack, used)
    page = visitor.give_password(stack.details["accounts"][name])
    assert page.status_code == 400
    assert 'name="code"' not in page.text
    assert seen(everything_asked(visitor.http, stack.details["flower"], visitor.root)) == {}


@pytest.mark.parametrize("enrolled", [True, False])
def test_an_admin_who_gave_the_password_alone_gets_nothing(
    stack: Running, used: set[str], newcomer: Newcomer, enrolled: bool
) -> None:
    visitor = Visitor(stack, used)
    page = visitor.give_password(newcomer(f"half{int(enrolled)}", "admin", enrolled=enrolled))
    assert page.status_code == 200
    assert 'name="code"' in page.text  # the password was right
    assert seen(everything_asked(visitor.http, stack.details["flower"], visitor.root)) == {}


def demote(stack: Running, account: Account) -> None:
    ensure(stack, {**account, "role": "auditor", "email": f"{account['username']}@example.test"})


def deactivate(stack: Running, account: Account) -> None:
    sql(stack, "update identity_user set is_active = false where username = %s", account["username"])


def take_the_second_factor(stack: Running, account: Account) -> None:
    user = "(select id from identity_user where username = %s)"
    sql(stack, f"delete from identity_mfadevice where user_id = {user}", account["username"])


def sql(stack: Running, text: str, *values: str) -> None:
    with closing(psycopg2.connect(stack.details["database_url"])) as connection, connection:
        connection.cursor().execute(text, values)


@pytest.mark.parametrize("fall", [demote, deactivate, take_the_second_factor])
def test_an_admin_who_ceases_to_be_one_gets_nothing_from_the_next_request_on(
    stack: Running,
    used: set[str],
    newcomer: Newcomer,
    fall: Callable[[Running, Account], None],
) -> None:
    account = newcomer(f"fallen-{fall.__name__}", "admin")
    visitor = Visitor(stack, used)
    visitor.sign_in(account)
    assert visitor.http.get(stack.details["flower"], timeout=30).status_code == 200
    fall(stack, account)
    assert seen(everything_asked(visitor.http, stack.details["flower"], visitor.root)) == {}


def test_who_signed_out_gets_nothing(stack: Running, used: set[str], newcomer: Newcomer) -> None:
    visitor = Visitor(stack, used)
    visitor.sign_in(newcomer("leaver", "admin"))
    assert visitor.http.get(stack.details["flower"], timeout=30).status_code == 200
    visitor.send(visitor.http.get(f"{visitor.root}/admin/", timeout=30), to=f"{visitor.root}/admin/logout/")
    assert seen(everything_asked(visitor.http, stack.details["flower"], visitor.root)) == {}


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://evil.example"}]
)
def test_another_page_makes_an_admins_browser_do_nothing(admin: Visitor, door: str, headers: dict[str, str]) -> None:
    for path in FLOWER:
        answer = admin.http.post(door + path, headers=headers, allow_redirects=False, timeout=30)
        assert answer.status_code in {403, 404}, path


def test_flower_looks_and_touches_nothing(admin: Visitor, door: str) -> None:
    own = {"Origin": door.removesuffix("/flower/"), "Sec-Fetch-Site": "same-origin"}
    controls = [
        path for path in FLOWER if re.match("api/(worker/|task/(apply|async|send|abort|time|rate|revoke))", path)
    ]
    assert len(controls) > 10
    for path in controls:
        assert admin.http.post(door + path, headers=own, timeout=30).status_code == 403, path


class AtSocket(HTTPConnection):
    """HTTP to a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        """Connect to it."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self._path)


def at_the_socket(stack: Running, path: str, login: str = "") -> int:
    headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()} if login else {}
    with closing(AtSocket(stack.env["FLOWER_SOCKET"])) as connection:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status


def test_flowers_own_socket_asks_for_the_doors_password(stack: Running, used: set[str]) -> None:
    used.add(stack.env["FLOWER_BASIC_AUTH"].partition(":")[2])
    for path in ("/flower/", "/flower/tasks", "/flower/api/workers", "/flower/broker"):
        assert at_the_socket(stack, path) == 401
        assert at_the_socket(stack, path, "flower:wrong") == 401
        assert at_the_socket(stack, path, stack.env["FLOWER_BASIC_AUTH"]) == 200
    assert at_the_socket(stack, "/flower/metrics") == 200  # which is why the door has no such page
    assert Path(stack.env["FLOWER_SOCKET"]).parent.stat().st_mode & 0o077 == 0


def test_flower_listens_at_no_port(stack: Running) -> None:
    family = [psutil.Process(pids(stack)["flower"])]
    family += family[0].children(recursive=True)
    listening = [c for process in family for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert listening == []


def test_stack_json_tells_of_the_door_and_of_no_way_round_it(stack: Running) -> None:
    assert stack.details["flower"].endswith("/flower/")
    assert stack.env["FLOWER_BASIC_AUTH"] not in json.dumps(stack.details)
    led = requests.get(f"{stack.details['console']}flower/", timeout=30, allow_redirects=False)
    assert led.headers["Location"] == stack.details["flower"]
