"""Flower's door where there is no nginx: the rules of `deploy/flower.conf` once more, on Tornado, which Flower brings.

For one machine and a few people: answers pass through as they come, bodies are small. `workers.door` starts it.
"""

import asyncio
import re
import signal
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.httpserver import HTTPServer
from tornado.netutil import Resolver
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.web import Application, Finish, HTTPError, RequestHandler

if TYPE_CHECKING:
    from workers.door import Door

LARGEST = 256 * 1024
"""Bytes of a request's body: Flower's forms are short."""
PATH = (
    r"^/flower/(?:(?:worker|task|api|static)(?:/(?!\.+(?:/|$))[A-Za-z0-9_@.:+~-]+)+"
    r"|workers|tasks(?:/datatable)?|broker)?$(?!\n)"
)
"""What there is: Flower's pages, and not /metrics and /healthcheck, which ask Flower for no password."""
TO_FLOWER = (
    "Accept", "Accept-Language", "Content-Type", "Host", "If-Modified-Since", "If-None-Match", "Origin", "Range",
    "Sec-Fetch-Site", "User-Agent", "X-Requested-With",
)  # fmt: skip
FROM_FLOWER = ("Accept-Ranges", "Content-Length", "Content-Range", "Content-Type", "Etag", "Last-Modified")
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        # The hash is of the one script that stands in a page of Flower's: `var autorefresh = 1;`.
        "default-src 'self'; script-src 'self' 'sha256-A0YIP5A+DKoseGAUTHRoMPDkKPK5cKzfYH3mjcCKtj8='; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
FAULTS = (HTTPClientError, OSError)


Tell = Callable[..., None]


def serve(door: "Door", tell: Tell) -> None:
    """Serve at `door.bind` until SIGTERM or SIGINT; `tell` is told of each request."""
    asyncio.run(_serve(door, tell))


async def _serve(door: "Door", tell: Tell) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    host, _, port = door.bind.rpartition(":")
    server = HTTPServer(_application(door, tell), max_body_size=LARGEST, max_buffer_size=2 * LARGEST)
    server.listen(int(port), host)
    await stop.wait()
    server.stop()


def _application(door: "Door", tell: Tell) -> Application:
    ask = SimpleAsyncHTTPClient(force_instance=True, max_clients=50)
    behind = SimpleAsyncHTTPClient(
        force_instance=True, max_clients=50, max_body_size=2**40, resolver=_ToSocket(str(door.socket))
    )
    given = {"door": door, "ask": ask, "behind": behind}
    return Application([(r"(?s).*", Porter, given)], log_function=partial(_log, tell))


class _ToSocket(Resolver):
    """Finds every name at one unix socket."""

    def initialize(self, path: str) -> None:
        self._path = path

    async def resolve(self, *_: Any, **__: Any) -> list[tuple[int, Any]]:
        return [(socket.AF_UNIX, self._path)]


class Porter(RequestHandler):
    """One request at the door: does it lead anywhere, may it come from there, may this browser, and then in."""

    def initialize(self, door: "Door", ask: SimpleAsyncHTTPClient, behind: SimpleAsyncHTTPClient) -> None:
        """Take the door and the two clients: to ask the web process, and to speak to Flower."""
        self._door, self._ask, self._behind = door, ask, behind

    def set_default_headers(self) -> None:
        """Put the safe headers on every answer, our own included."""
        self.clear_header("Server")
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def compute_etag(self) -> None:
        """Make none of our own."""

    def check_xsrf_cookie(self) -> None:
        """Have no cookie of our own: `_from_elsewhere` is the rule."""

    def write_error(self, status_code: int, **_: Any) -> None:
        """Say no more than the status."""
        self.finish(f"{status_code}\n")

    async def prepare(self) -> None:
        """Let pass who may; anything unforeseen is an exception, and then nothing is passed on."""
        path = self._path()
        if _from_elsewhere(self.request.method or "", self.request.headers):
            raise HTTPError(403)
        await self._admit()
        await self._pass_on(path)
        raise Finish

    def _path(self) -> str:
        """Return the path that Flower is asked for: the very text that was looked at, decoded once."""
        path = unquote(self.request.path)
        if path in {"/", "/flower"}:
            self.redirect("/flower/")
            raise Finish
        if not re.fullmatch(PATH, path):
            raise HTTPError(404)
        return path

    async def _admit(self) -> None:
        """Ask the web process whether this browser's session is an admin's with both factors, now."""
        said = await self._asked()
        if said == 401:
            self.redirect(f"{self._door.site}/admin/login/?next=/flower/")
            raise Finish
        if said != 204:
            raise HTTPError(403 if said == 403 else 503)

    async def _asked(self) -> int:
        told = {
            name: self.request.headers[name]
            for name in ("Cookie", "Host", "User-Agent")
            if name in self.request.headers
        }
        told |= {
            "X-Forwarded-For": str(self.request.remote_ip),
            "X-Forwarded-Proto": urlsplit(self._door.site).scheme,
        }
        url = f"http://{self._door.web}/internal/flower-auth/"
        try:
            answer = await self._ask.fetch(
                HTTPRequest(url, headers=told, follow_redirects=False, request_timeout=10), raise_error=False
            )
        except FAULTS:
            raise HTTPError(503) from None
        return answer.code

    async def _pass_on(self, path: str) -> None:
        headers = {name: self.request.headers[name] for name in TO_FLOWER if name in self.request.headers}
        request = HTTPRequest(
            f"http://flower{path}" + (f"?{self.request.query}" if self.request.query else ""),
            method=self.request.method or "",
            headers={**headers, "Authorization": self._door.login},
            body=self.request.body or None,
            allow_nonstandard_methods=True,
            follow_redirects=False,
            decompress_response=False,
            request_timeout=60,
            header_callback=self._header,
            streaming_callback=self._piece,
        )
        try:
            await self._behind.fetch(request, raise_error=False)
        except FAULTS:
            raise HTTPError(503) from None

    def _header(self, line: str) -> None:
        """Take over the status and those of Flower's headers that we know: no cookie, no challenge."""
        if begins := re.match(r"HTTP/\S+ (\d{3})", line):
            self.set_status(int(begins[1]))
        name, _, value = line.partition(":")
        if name.title() in FROM_FLOWER:
            self.set_header(name, value.strip())

    def _piece(self, piece: bytes) -> Awaitable[None]:
        self.write(piece)
        return self.flush()


def _from_elsewhere(method: str, headers: Any) -> bool:
    """Whether a request that may change something was not made by a page of Flower's own."""
    if method in {"GET", "HEAD"}:
        return False
    origin = headers.get("Origin", "")
    own = {f"{scheme}://{headers.get('Host', '')}" for scheme in ("http", "https")}
    return headers.get("Sec-Fetch-Site", "none") not in {"same-origin", "none"} or (bool(origin) and origin not in own)


def _log(tell: Tell, handler: RequestHandler) -> None:
    """Tell of a request as nginx does: neither the address nor the query."""
    request = handler.request
    seconds = round(request.request_time(), 3)
    tell("passed", method=request.method, path=request.path, status=handler.get_status(), seconds=seconds)
