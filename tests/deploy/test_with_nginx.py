"""The two nginx configurations in a real nginx: what passes the doors, and what is altered on the way."""

import http.client
import http.server
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.deploy import debian
from tests.deploy.doors import Nginx, Ports, Seen, free, rendered, running
from tests.deploy.files import DEPLOY

pytestmark = [pytest.mark.all_only("needs nginx"), pytest.mark.timeout(300)]
NOBODY, US = "192.0.2.1/32", "127.0.0.1/32"
Door = Callable[[str], Ports]
PASSES = [
    ("POST", "/quarantine"),
    ("POST", "/quarantine/"),
    ("GET", "/vault/documents/a/b?versionId=1"),
]
REFUSED = [
    ("POST", "/quarantine?delete"),
    ("GET", "/quarantine"),
    ("PUT", "/quarantine/incoming/x"),
    ("GET", "/quarantine/incoming/x"),
    ("PUT", "/vault/documents/a/b"),
    ("DELETE", "/vault/documents/a/b?versionId=1"),
    ("GET", "/vault/audit/checkpoint"),
    ("GET", "/vault/documents/../audit/x"),
    ("GET", "/vault"),
    ("GET", "/"),
]
INSIDE = [
    "/readyz",
    "//readyz",
    "/%72eadyz",
    "/x/../readyz",
    "/metrics",
    "/metrics/",
    "/internal/flower-auth/",
    "/internal",
    "//internal/flower-auth/",
    "/%69nternal/flower-auth/",
    "/internal%2fflower-auth/",
    "/x/../internal/flower-auth/",
    "/flower/../internal/flower-auth/",
]


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Nginx:
    """Debian's nginx; where it cannot be had the tests fail."""
    return debian.nginx(tmp_path_factory.mktemp("nginx"))


@pytest.fixture
def door(nginx: Nginx, tmp_path: Path) -> Iterator[Door]:
    """Start an nginx that trusts the given address to end TLS, with a server behind it."""
    with ExitStack() as stack:
        server = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Seen))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)

        def start(tls_proxy: str) -> Ports:
            ports = Ports()
            configuration = rendered(tmp_path, ports, server.server_address[1], tls_proxy)
            stack.enter_context(running(nginx, configuration, ports))
            return ports

        yield start


def test_nginx_accepts_the_door_to_s3(nginx: Nginx, tmp_path: Path) -> None:
    program, env = nginx
    text = (DEPLOY / "s3gate.conf").read_text().replace("/tmp/", f"{tmp_path}/")  # noqa: S108
    (tmp_path / "s3gate.conf").write_text(text)
    argv = (program, "-t", "-p", tmp_path, "-c", tmp_path / "s3gate.conf")
    checked = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_a_client_cannot_say_who_it_is_or_that_it_came_by_tls(door: Door) -> None:
    lies = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil", "Forwarded": "x"}
    seen = door(NOBODY).ask("GET", "/api/documents/", lies).seen
    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert seen["x-forwarded-proto"] == "http"
    assert not {"x-forwarded-host", "forwarded", "x-real-ip"} & set(seen)


def test_what_ends_tls_may_say_so(door: Door) -> None:
    said = {"X-Forwarded-For": "6.6.6.6, 203.0.113.7", "X-Forwarded-Proto": "https"}
    seen = door(US).ask("GET", "/", said).seen
    assert seen["x-forwarded-for"] == "203.0.113.7"  # the last is the one that it saw itself
    assert seen["x-forwarded-proto"] == "https"


def test_what_is_for_the_inside_is_not_found_outside(door: Door) -> None:
    ports = door(NOBODY)
    for path in INSIDE:
        assert ports.ask("GET", path).status == 404, path
    assert ports.ask("GET", "/healthz").status == 200


def test_the_web_takes_no_large_body_and_says_so_as_the_api_does(door: Door) -> None:
    answer = door(NOBODY).ask("POST", "/api/documents/", body=b"x" * 300_000)
    assert answer.status == 413
    assert json.loads(answer.body)["code"] == "too_large"


def test_a_web_that_is_away_is_told_as_the_api_does(nginx: Nginx, tmp_path: Path) -> None:
    ports = Ports()
    with running(nginx, rendered(tmp_path, ports, free(), NOBODY), ports):
        answer = ports.ask("GET", "/api/documents/")
    assert answer.status == 503
    assert answer.headers["Retry-After"]
    assert json.loads(answer.body)["code"] == "unavailable"


def test_every_answer_has_each_security_header_once(door: Door) -> None:
    ports = door(NOBODY)
    for path in ("/", "/readyz", "/healthz"):
        headers = ports.ask("GET", path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"


def test_browsers_put_into_quarantine_and_get_documents_and_no_more(door: Door) -> None:
    ports = door(NOBODY)
    for method, path in PASSES:
        assert ports.ask(method, path, port=ports.s3).status == 200, (method, path)
    for method, path in REFUSED:
        assert ports.ask(method, path, port=ports.s3).status == 403, (method, path)


def test_s3_sees_the_host_that_was_signed_and_no_credential_but_the_signature(door: Door) -> None:
    ports = door(NOBODY)
    sent = {"Host": "files.example:8443", "Authorization": "AWS4 stolen", "Cookie": "sessionid=1"}
    answer = ports.ask("GET", "/vault/documents/a/b?X-Amz-Signature=1", sent, port=ports.s3)
    assert answer.seen["host"] == "files.example:8443"
    assert not {"authorization", "cookie", "x-forwarded-host", "x-forwarded-for"} & set(answer.seen)
    assert "sandbox" in answer.headers["Content-Security-Policy"]


def test_an_upload_is_passed_on_while_it_comes(door: Door) -> None:
    ports = door(NOBODY)
    Seen.began.clear()
    with closing(http.client.HTTPConnection("127.0.0.1", ports.s3, timeout=10)) as connection:
        connection.putrequest("POST", "/quarantine")
        connection.putheader("Content-Length", str(1000 * 1024 * 1024))
        connection.endheaders(b"x" * 1024)
        assert Seen.began.wait(10)


def test_logs_name_neither_people_nor_signatures(door: Door, tmp_path: Path) -> None:
    ports = door(NOBODY)
    ports.ask("GET", "/vault/documents/a/b?X-Amz-Signature=5ec2e7&response-content-disposition=name", port=ports.s3)
    ports.ask("GET", "/quarantine?X-Amz-Signature=5ec2e7", port=ports.s3)
    logged = (tmp_path / "access.log").read_text() + (tmp_path / "error.log").read_text()
    assert "/vault/documents/a/b" in logged
    assert not [word for word in ("5ec2e7", "disposition", "127.0.0.1") if word in logged]
