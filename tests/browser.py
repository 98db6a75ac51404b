"""A real browser: Chromium without a window, spoken to by the DevTools protocol over two pipes.

For what only a browser can tell: whether a page breaks its own Content-Security-Policy, and what it looks like.
STRONGROOM_PICTURES=folder keeps pictures of the pages that the tests look at, in light and in dark.
"""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from devstack import debs
from devstack.places import ROOT

_NAMES: Final = ("chromium", "google-chrome", "chromium-browser")
_UNPACKED: Final = ROOT / ".stack" / "chromium"
_SECONDS: Final = 30
_FLAGS: Final = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe"),
    *(
        "--hide-scrollbars",
        "--window-size=1100,900",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    ),
)


class Browser:
    """One tab. `violations` are the breaches of policies that the browser has reported so far."""

    def __init__(self, to: int, out: int) -> None:
        self._to, self._out = to, out
        self._ids = itertools.count(1)
        self._read = b""
        self._session: str | None = None
        self.loaded = 0
        self.violations: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Audits", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and wait for its answer."""
        number = next(self._ids)
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (said := self._next()).get("id") != number:
            self._note(said)
        if "error" in said:
            raise AssertionError(f"{method}: {said['error']}")
        result: dict[str, Any] = said["result"]
        return result

    def open(self, address: str) -> None:
        """Go there, and wait until it has loaded."""
        self._loading(lambda: self.call("Page.navigate", url=address))

    def submit(self, **fields: str) -> None:
        """Type into fields by their id, press the form's button and wait for the next page."""
        for name, text in fields.items():
            self.run(f"document.getElementById({json.dumps(name)}).value = {json.dumps(text)}")
        self.follow("main form button[type=submit]")

    def follow(self, selector: str) -> None:
        """Press the link or button that a selector finds, and wait for the next page."""
        self._loading(lambda: self.run(f"document.querySelector({json.dumps(selector)}).click()"))

    def run(self, script: str) -> Any:
        """The value of an expression in the page; promises are waited for."""
        said = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    def wait_for(self, script: str) -> None:
        """Wait until an expression is true."""
        until = time.monotonic() + _SECONDS
        while not self.run(script):
            assert time.monotonic() < until, f"not true in time: {script}"
            time.sleep(0.05)

    def look(self, name: str) -> None:
        """Keep pictures of the page, where somebody wants to see them."""
        folder = os.environ.get("STRONGROOM_PICTURES")
        for scheme in ("light", "dark") if folder else ():
            self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            time.sleep(0.5)  # colours fade over
            picture = base64.b64decode(self.call("Page.captureScreenshot")["data"])
            Path(folder or "", f"{name}-{scheme}.png").write_bytes(picture)

    def _loading(self, act: Callable[[], object]) -> None:
        before = self.loaded
        act()
        until = time.monotonic() + _SECONDS
        while self.loaded == before:
            assert time.monotonic() < until, "the page did not load in time"
            self._note(self._next())
        self.run("1")  # what the page reported while it loaded has been read when this is answered

    def _note(self, said: dict[str, Any]) -> None:
        if said.get("method") == "Page.loadEventFired":
            self.loaded += 1
        if said.get("method") == "Audits.issueAdded":
            issue = said["params"]["issue"]
            if issue["code"] == "ContentSecurityPolicyIssue":
                self.violations.append(json.dumps(issue["details"]["contentSecurityPolicyIssueDetails"]))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._out], [], [], _SECONDS)
            assert ready, "Chromium says nothing"
            chunk = os.read(self._out, 1 << 16)
            assert chunk, "Chromium has ended"
            self._read += chunk
        first, self._read = self._read.split(b"\0", 1)
        said: dict[str, Any] = json.loads(first)
        return said


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A new browser with an empty profile in that folder."""
    program, environment = _chromium()
    there, to = os.pipe()
    out, here = os.pipe()
    process = subprocess.Popen(
        [program, *_FLAGS, f"--user-data-dir={profile}"],
        env=environment,
        preexec_fn=lambda: _as_three_and_four(there, here),  # Chromium's own convention
        close_fds=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(there)
    os.close(here)
    try:
        yield Browser(to, out)
    finally:
        os.close(to)
        os.close(out)
        process.kill()
        process.wait()


def _chromium() -> tuple[str, dict[str, str]]:
    """The machine's, or Debian's with its libraries, unpacked; and the environment that it runs in."""
    if found := next((path for name in _NAMES if (path := shutil.which(name))), None):
        return found, dict(os.environ)
    root = debs.packages("chromium", _UNPACKED)
    assert root, "Chromium cannot be had: install it, or let apt-get fetch it"
    libraries = {str(library.parent) for library in root.rglob("*.so*")}
    return str(root / "usr/lib/chromium/chromium"), {**os.environ, "LD_LIBRARY_PATH": ":".join(sorted(libraries))}


def _as_three_and_four(there: int, here: int) -> None:
    """Past each other: either may be 3 or 4 already."""
    there, here = os.dup(there), os.dup(here)
    os.dup2(there, 3)
    os.dup2(here, 4)
