"""A browser without scripts: it keeps cookies, follows redirects, and sends a page's form with its hidden fields."""

import html
import re
import time

import pyotp
import requests

from devstack.client import CODES, STEP_SECONDS
from devstack.launch import Running

SECONDS = 30


class Visitor:
    """One person at one browser."""

    def __init__(self, stack: Running, used: set[str]) -> None:
        """Take the stack, and the set in which secrets are noted."""
        self.root = stack.details["console"].rstrip("/")
        self._used = used
        self.http = requests.Session()
        self.http.trust_env = False

    def give_password(self, account: dict[str, str]) -> requests.Response:
        """Do the first step at /admin/login/, on the way to Flower; return the page that follows."""
        page = self.http.get(f"{self.root}/admin/login/?next=/flower/", timeout=SECONDS)
        return self.send(page, username=account["username"], password=account["password"])

    def sign_in(self, account: dict[str, str]) -> requests.Response:
        """Do both steps; return the page that one is led to. A code that was spent is followed by the next."""
        page = self.give_password(account)
        for _ in range(CODES):
            answer = self.send(page, code=pyotp.TOTP(account["totp_secret"]).now())
            if answer.status_code != 400:
                return answer
            time.sleep(STEP_SECONDS - time.time() % STEP_SECONDS + 0.1)
        raise AssertionError(f"no code of {account['username']} was taken")

    def send(self, page: requests.Response, *, to: str = "", **fields: str) -> requests.Response:
        """Send the form of a page (`to` another address than its own) as a browser does; follow to where it leads."""
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.text))
        self.note(*hidden.values())
        sent = {name: html.unescape(value) for name, value in hidden.items()} | fields
        answer = self.http.post(to or page.url, data=sent, headers={"Referer": page.url}, timeout=SECONDS)
        self.note(*self.http.cookies.values())
        return answer

    def note(self, *secrets: str) -> None:
        """Remember what must be found nowhere."""
        self._used.update(secrets)
