"""The conversation that a browser has with Strongroom: three calls to send, two to fetch.

Speaks HTTP and nothing else. It expects and shows nothing: that is for `courier` and `board`.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyotp
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

# S3 may take long to answer for a large body; nothing here should ever hang for good.
CONNECT_SECONDS = 5
ANSWER_SECONDS = 300
CODES = 3  # how many a sign-in tries, each of a later time step
STEP_SECONDS = 30

Json = dict[str, Any]


class Refused(Exception):
    """The other side turned a call away: `code` says why in a word, the message in a sentence, `status` by HTTP."""

    def __init__(self, code: str, words: str, *, status: int = 0, wait: float = 0) -> None:
        """Keep the code and the status beside the words, and how many seconds we were asked to wait."""
        super().__init__(words)
        self.code, self.status, self.wait = code, status, wait


@dataclass(frozen=True)
class Ticket:
    """Leave to upload one body: the version it will be, and the form that S3 takes."""

    id: str
    url: str
    fields: Mapping[str, str]


class Client:
    """One person's session with the API, for one thread: `requests` promises nothing of sharing."""

    def __init__(self, api: str, *, origin: str, token: str = "", patience: float = ANSWER_SECONDS) -> None:
        """Take the API's address (it ends in `/api`), the origin of the page that we play, and seconds to wait."""
        self.api = api
        self.origin = origin
        self._patience = (CONNECT_SECONDS, patience)
        self._http = requests.Session()
        self._http.trust_env = False  # a proxy or .netrc of the developer's is no part of this
        self._http.headers["Origin"] = origin
        # As browsers do: a read is sent again when a kept connection turns out to be closed.
        self._http.mount(
            "http://", HTTPAdapter(max_retries=Retry(total=3, backoff_factor=0.2, allowed_methods={"GET"}))
        )
        self.authorization = {"Authorization": f"Token {token}"} if token else {}

    def sign_in(self, username: str, password: str, totp_secret: str) -> str:
        """Exchange a password and the present code for a token, and return it. Raises `Refused`.

        Each code is good once, so another sign-in of the same person may have spent it: then the next is waited for.
        """
        for left in reversed(range(CODES)):
            code = pyotp.TOTP(totp_secret).now()
            try:
                answer = self._call(
                    "POST", "/auth/login/", {"username": username, "password": password, "mfa_code": code}
                )
            except Refused as refusal:
                if refusal.code != "invalid_mfa_code" or not left:
                    raise
                time.sleep(STEP_SECONDS - time.time() % STEP_SECONDS + 0.1)
            else:
                return str(answer["token"])
        raise AssertionError("the last attempt returns or raises")

    def begin(self, announced: Json) -> Ticket:
        """Announce a document; S3's form comes back. Raises `Refused`."""
        answer = self._call("POST", "/documents/", announced)
        return Ticket(answer["id"], answer["upload"]["url"], answer["upload"]["fields"])

    def send(self, ticket: Ticket, filename: str, body: bytes, content_type: str) -> None:
        """Post the body straight to S3 as a form does: every field, then the file.

        Raises `Refused` with S3's own code.
        """
        file = {"file": (filename, body, content_type)}
        answer = self._http.post(
            ticket.url,
            data=dict(ticket.fields),
            files=file,
            timeout=self._patience,
        )
        if not answer.ok:
            raise s3_refusal(answer.status_code, answer.text)

    def complete(self, version: str) -> Json:
        """Tell the API that the bytes are there. Raises `Refused`."""
        return self._call("POST", f"/documents/{version}/complete/")

    def show(self, version: str) -> Json:
        """What the API says of a version now. Raises `Refused`."""
        return self._call("GET", f"/documents/{version}/")

    def history(self, version: str) -> Json:
        """All versions of the document that a version belongs to. Raises `Refused`."""
        return self._call("GET", f"/documents/{version}/history/")

    def fetch(self, version: str) -> bytes:
        """Download a version's bytes by the presigned address. Raises `Refused`."""
        link = self._call("GET", f"/documents/{version}/download/")["url"]
        answer = self._http.get(str(link), timeout=self._patience)
        if not answer.ok:
            raise s3_refusal(answer.status_code, answer.text)
        return answer.content

    def _call(self, method: str, path: str, body: Json | None = None) -> Json:
        answer = self._http.request(
            method,
            self.api + path,
            json=body,
            headers=self.authorization,
            timeout=self._patience,
        )
        told = _json(answer)
        if not answer.ok:
            words = str(told.get("error", f"HTTP {answer.status_code} from {path}"))
            code, wait = str(told.get("code", f"http_{answer.status_code}")), answer.headers.get("Retry-After", "")
            raise Refused(code, words, status=answer.status_code, wait=float(wait) if wait.isdecimal() else 0)
        return told


def s3_refusal(status: int, xml: str) -> Refused:
    """S3's error as ours: `<Code>BadDigest</Code>` becomes `bad_digest`.

    The two fields are picked by pattern: S3's errors are flat, and not worth an XML parser.
    """
    code = re.search(r"<Code>(\w+)</Code>", xml)
    words = re.search(r"<Message>([^<]*)</Message>", xml)
    slug = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", code[1]).lower() if code else f"http_{status}"
    return Refused(slug, words[1] if words else f"S3 answered {status}", status=status)


def _json(answer: requests.Response) -> Json:
    try:
        told = answer.json()
    except requests.JSONDecodeError:
        return {}
    return told if isinstance(told, dict) else {}
