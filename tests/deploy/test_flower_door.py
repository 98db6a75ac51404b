"""Flower's door: who gets in, what of a request passes, and which paths there are.

The same tests for the three that keep it: our own porter, the nginx that `workers.door` becomes, and the containers'
nginx. Behind them stand a web process and a Flower that do no more than tell what reached them.
"""

import base64
import http.client
import http.server
import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.deploy import debian
from tests.deploy.doors import Nginx, Ports, free, rendered, running
from tests.deploy.files import DEPLOY
from tests.deploy.flower_doors import (
    LOGIN,
    PASSWORD,
    SAYS,
    SITE,
    AtSocket,
    Flower,
    Kept,
    Web,
    at_the_door,
    environment,
    serving,
)
from workers import door, porter

PAGES = [
    "/flower/",
    "/flower/workers",
    "/flower/worker/scan@host-1.example",
    "/flower/tasks",
    "/flower/tasks/datatable",
    "/flower/task/5f0b3a52-3c0b-4b0e-8f0c-1d2b3c4d5e6f",
    "/flower/broker",
    "/flower/api/workers",
    "/flower/api/queues/length",
    "/flower/static/css/flower.css",
]
NOTHING = [
    "/flower/metrics",
    "/flower/healthcheck",
    "/flower/metrics/",
    "/flower//metrics",
    "//flower/metrics",
    "/flower/%6detrics",
    "/flower/%6Detrics",
    "/flower/%256detrics",
    "/flower/./metrics",
    "/flower/../flower/metrics",
    "/flower/static/../metrics",
    "/flower/static/%2e%2e/metrics",
    "/flower/static/%2e%2e%2fmetrics",
    "/flower/static/..%2fmetrics",
    "/flower/static/...",
    "/flower/x/../healthcheck",
    "/flower/metrics%0a",
    "/flower/tasks%0a",
    "/flower/tasks%20HTTP/1.1%0d%0aX:%20y",
    "/flower/metrics%00",
    "/flower%2fmetrics",
    "/flower\\metrics",
    "/flower/metrics;x=1",
    "/flower/login",
    "/flower/logout",
    "/flower/something-new",
    "/flowers",
    "/flower/.ask",
]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder whose name leaves room for sockets."""
    with tempfile.TemporaryDirectory(prefix="door-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Nginx:
    """Debian's nginx; where it cannot be had the tests fail."""
    return debian.nginx(tmp_path_factory.mktemp("nginx"))


@pytest.fixture(scope="module")
def web() -> Iterator[int]:
    """The port of the stand-in for the web process."""
    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)) as server:
        yield server.server_address[1]


@pytest.fixture(scope="module")
def flower(place: Path) -> Iterator[Path]:
    """The socket of the stand-in for Flower."""
    with serving(AtSocket(str(place / "flower.sock"), Flower)):
        yield place / "flower.sock"


with_nginx = pytest.mark.all_only("needs nginx")
KEEPERS = ["porter", pytest.param("nginx", marks=with_nginx), pytest.param("compose", marks=with_nginx)]


@pytest.fixture(scope="module", params=KEEPERS)
def kept(request: pytest.FixtureRequest, web: int, flower: Path, place: Path) -> Iterator[Kept]:
    """Each of the three doors in turn."""
    with ExitStack() as stack:
        if request.param == "compose":
            ports, folder = Ports(), place / "compose"
            folder.mkdir()
            written = rendered(folder, ports, web, "192.0.2.1/32", (flower, LOGIN))
            stack.enter_context(running(request.getfixturevalue("nginx"), written, ports))
            yield Kept(ports.web, "", folder / "access.log")
            return
        port, log = free(), place / f"{request.param}.log"
        env = environment(web, flower, port)
        if request.param == "nginx":
            program, of_nginx = request.getfixturevalue("nginx")
            env = {**of_nginx, **env, "PATH": f"{Path(program).parent}:{os.defpath}"}
        else:
            env["PATH"] = str(place)
        stack.enter_context(at_the_door(env, log))
        assert f'"by": "{request.param}"' in log.read_text()
        yield Kept(port, SITE, log)


@pytest.fixture(autouse=True)
def nothing_seen_yet() -> None:
    Web.asked.clear()
    Flower.seen.clear()
    Flower.go_on.clear()


@pytest.mark.parametrize("path", PAGES)
def test_an_admin_gets_flowers_pages(kept: Kept, path: str) -> None:
    answer = kept.ask(f"{path}?a=1&b=%2e")
    assert answer.status == 200
    assert Flower.seen == [f"{path}?a=1&b=%2e"]


def test_a_path_may_be_written_in_any_way_that_means_the_same(kept: Kept) -> None:
    assert kept.ask("/flower/worker/scan%40host").status == 200
    assert Flower.seen == ["/flower/worker/scan@host"]


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("session", ["", "unknown", "investor", "moved", "broken", "odd", "created"])
def test_nobody_else_gets_anything(kept: Kept, path: str, session: str) -> None:
    answer = kept.ask(path, session)
    assert Flower.seen == []
    if SAYS.get(session, 401) == 401:
        assert (answer.status, answer.headers["Location"]) == (302, f"{kept.sign_in}/admin/login/?next=/flower/")
    else:
        assert answer.status == (403 if session == "investor" else 503)


@pytest.mark.parametrize("path", NOTHING)
def test_what_is_no_page_is_not_there_for_an_admin_either(kept: Kept, path: str) -> None:
    answer = kept.ask(path)
    # nginx refuses a byte 0 itself, and takes away dots and double slashes before it looks.
    assert answer.status in {404, 400}
    assert Flower.seen == []


def test_a_path_that_names_another_host_leads_nowhere(kept: Kept) -> None:
    assert kept.ask("http://127.0.0.1/flower/metrics").status == 404
    assert Flower.seen == []


def test_every_request_is_asked_for_anew_as_a_get_with_the_browsers_cookie(kept: Kept) -> None:
    for _ in range(2):
        kept.ask("/flower/tasks/datatable", method="POST", body=b"draw=1", Host="127.0.0.1:7", User_Agent="Firefox")
    assert len(Web.asked) == 2
    asked = Web.asked[0]
    assert asked["cookie"] == "theme=dark; sessionid=admin"
    assert (asked["host"], asked["user-agent"]) == ("127.0.0.1:7", "Firefox")
    assert asked["x-forwarded-for"] == "127.0.0.1"
    assert asked["x-forwarded-proto"] == ("https" if kept.sign_in else "http")
    assert "content-length" not in asked
    assert "authorization" not in asked


def test_flower_is_told_the_password_and_no_credential_of_the_browsers(kept: Kept) -> None:
    sent: dict[str, Any] = {
        "Authorization": "Basic c3RvbGVu",
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Proto": "https",
    }
    seen = kept.ask("/flower/", Host="127.0.0.1:7", **sent).seen
    assert seen["authorization"] == f"Basic {LOGIN}"
    assert seen["host"] == "127.0.0.1:7"  # by which Flower knows its own pages
    assert not {"cookie", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip"} & set(seen)


def test_a_password_of_flowers_is_no_way_in(kept: Kept) -> None:
    assert kept.ask("/flower/", "", Authorization=f"Basic {LOGIN}").status == 302
    assert Flower.seen == []


def test_a_form_of_flowers_own_passes_with_its_body(kept: Kept) -> None:
    own: dict[str, Any] = {"Origin": f"http://127.0.0.1:{kept.port}", "Sec_Fetch_Site": "same-origin"}
    answer = kept.ask("/flower/tasks/datatable", method="POST", body=b"draw=1", Content_Type="text/plain", **own)
    told = json.loads(answer.body)
    assert (answer.status, told["method"], told["body"]) == (200, "POST", "draw=1")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site", "Origin": "http://127.0.0.1:1"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9 http://127.0.0.1:9", "Host": "127.0.0.1:9"},
        {"Origin": "https://evil.example", "Sec_Fetch_Site": "same-origin"},
    ],
)
def test_a_form_from_elsewhere_does_not(kept: Kept, headers: dict[str, str]) -> None:
    assert kept.ask("/flower/api/worker/shutdown/scan@h", method="POST", body=b"x", **headers).status == 403
    assert Flower.seen == []


def test_a_link_from_elsewhere_may_lead_here(kept: Kept) -> None:
    assert kept.ask("/flower/", Sec_Fetch_Site="cross-site").status == 200


@pytest.mark.parametrize("session", ["admin", "", "broken"])
def test_every_answer_carries_the_safe_headers_once(kept: Kept, session: str) -> None:
    headers = kept.ask("/flower/", session).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert not {"Set-Cookie", "Www-Authenticate"} & set(headers)
    if session == "admin":
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_an_answer_passes_as_it_comes(kept: Kept) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", kept.port, timeout=5)) as connection:
        connection.request("GET", "/flower/api/tasks?in-pieces", headers={"Cookie": "sessionid=admin"})
        answer = connection.getresponse()
        assert answer.read(1) == b"{"
        Flower.go_on.set()
        assert json.loads(b"{" + answer.read())["path"] == "/flower/api/tasks?in-pieces"


def test_a_request_that_asks_for_the_headers_alone_is_answered(kept: Kept) -> None:
    answer = kept.ask("/flower/", method="HEAD")
    assert (answer.status, answer.body) == (200, b"")


def test_the_log_names_neither_cookies_nor_queries(kept: Kept) -> None:
    kept.ask("/flower/tasks?search=a-query")
    kept.ask("/flower/broker", "investor")
    limit = time.monotonic() + 5
    while "/flower/broker" not in (logged := kept.log.read_text()):
        assert time.monotonic() < limit, logged
        time.sleep(0.05)
    assert not [word for word in ("a-query", "sessionid", LOGIN, PASSWORD, "127.0.0.1:7") if word in logged]


@pytest.mark.parametrize("keeper", ["porter", pytest.param("nginx", marks=with_nginx)])
def test_while_the_web_or_flower_is_away_nothing_is_passed_on(
    keeper: str, web: int, flower: Path, place: Path, request: pytest.FixtureRequest
) -> None:
    env = environment(free(), flower, free())
    env["PATH"] = str(place)
    if keeper == "nginx":
        program, of_nginx = request.getfixturevalue("nginx")
        env = {**of_nginx, **env, "PATH": f"{Path(program).parent}:{os.defpath}"}
    away = place / f"away-{keeper}"
    away.mkdir()
    with at_the_door(env, away / "log"):
        assert Kept(int(env["DOOR_BIND"].partition(":")[2]), "", away).ask("/flower/").status == 503
        assert Flower.seen == []
    if keeper == "nginx":  # its configuration holds Flower's password
        assert {path.stat().st_mode & 0o077 for path in (place / "door", place / "door/nginx.conf")} == {0}
    env |= {"PORT": str(web), "FLOWER_SOCKET": str(away / "none.sock")}
    with at_the_door(env, away / "log"):
        assert Kept(int(env["DOOR_BIND"].partition(":")[2]), "", away).ask("/flower/").status == 503


def test_the_root_leads_to_flower(web: int, flower: Path, place: Path) -> None:
    env = {**environment(web, flower, free()), "PATH": str(place)}
    with at_the_door(env, place / "root.log"):
        for path in ("/", "/flower"):
            answer = Kept(int(env["DOOR_BIND"].partition(":")[2]), "", place).ask(path, "")
            assert (answer.status, answer.headers["Location"]) == (302, "/flower/")


def test_an_nginx_that_cannot_do_it_is_as_good_as_none(web: int, flower: Path, place: Path) -> None:
    (place / "old").mkdir()
    (place / "old/nginx").write_text("#!/bin/sh\necho unknown directive auth_request >&2; exit 1\n")
    (place / "old/nginx").chmod(0o755)
    env = {**environment(web, flower, free()), "PATH": f"{place}/old:{os.defpath}"}
    with at_the_door(env, place / "old.log"):
        logged = (place / "old.log").read_text()
    assert "unknown directive auth_request" in logged
    assert '"by": "porter"' in logged


@pytest.mark.parametrize(
    "wrong",
    [
        {"FLOWER_BASIC_AUTH": ""},
        {"FLOWER_SOCKET": ""},
        {"PUBLIC_URL": ""},
        {"PUBLIC_URL": "javascript:alert(1)"},
        {"PUBLIC_URL": 'http://x"; evil'},
        {"DOOR_BIND": "5555"},
        {"DOOR_BIND": "127.0.0.1:80;evil"},
        {"PORT": "http"},
    ],
)
def test_a_door_that_is_not_described_does_not_open(wrong: dict[str, str], tmp_path: Path) -> None:
    env = {**environment(1, tmp_path / "flower.sock", 2), **wrong}
    with pytest.raises(door.Unset) as reason:
        door.read(env)
    assert next(iter(wrong)) in str(reason.value)
    assert PASSWORD not in str(reason.value)


def test_who_listens_everywhere_is_asked_here() -> None:
    assert door.read({**environment(8000, Path("/s"), 2), "WEB_HOST": "::"}).web == "127.0.0.1:8000"


def test_the_password_is_in_no_text_about_the_door() -> None:
    assert LOGIN not in repr(door.read(environment(1, Path("/s"), 2)))


def test_both_know_the_same_pages_and_headers() -> None:
    rules = (DEPLOY / "flower.conf").read_text()
    assert f'location ~ "{porter.PATH}"' in rules
    for name, value in porter.HEADERS.items():
        assert re.search(rf'add_header {name} "?{re.escape(value)}"? always;', rules), name


def test_nginx_in_its_container_is_given_the_password_in_the_form_that_it_sends(tmp_path: Path) -> None:
    script = f'. "{DEPLOY}/flower-login.envsh"; env | grep ^FLOWER_LOGIN='
    long = f"flower:{'x' * 100}"
    ran = subprocess.run(
        ["sh", "-ec", script],
        env={"PATH": os.defpath, "FLOWER_BASIC_AUTH": long},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == f"FLOWER_LOGIN={base64.b64encode(long.encode()).decode()}\n"
    assert os.access(DEPLOY / "flower-login.envsh", os.X_OK)  # the image's entrypoint passes over what it may not run
