"""A client that speaks exactly as the existing React front end does (contract rows 1 to 6).

It sends what that sends, never looks at a status, reads every answer as JSON, and takes the first of
the fields it knows, in its order. `message` is success and `error` is failure to it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyotp
import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from identity import mfa
from identity.models import MfaDevice
from tests import factories
from tests.factories import PASSWORD
from tests.people import Person

ORIGIN = "http://localhost:5173"


@dataclass
class React:
    """The front end: what it keeps, and what it shows."""

    token: str = ""
    page: str = "login"
    shown: list[str] = field(default_factory=list)

    def fetch(self, method: str, path: str, body: Any = None) -> Any:
        """`fetch(...)` and `res.json()`; the status is ignored."""
        headers = {"Origin": ORIGIN, **({"Authorization": f"Token {self.token}"} if self.token else {})}
        sent = json.dumps(body) if body is not None else ""
        kind = "application/json" if body is not None else ""
        return Client().generic(method, f"/api{path}", sent, content_type=kind, headers=headers).json()

    def login(self, username: str, password: str, code: str | None = None) -> None:
        """Row 1. `mfa_code` is absent on the first try."""
        body = {"username": username, "password": password, **({"mfa_code": code} if code is not None else {})}
        said = self.fetch("POST", "/auth/login/", body)
        if said.get("token"):
            self.token = said["token"]
            self.page = "documents" if said["mfa_enabled"] else "mfa setup"
        elif said.get("mfa_required"):
            self.page = "code"
        else:
            self._show(said["error"])

    def setup(self) -> tuple[str, str] | None:
        """Row 2: a POST without a body or a content type."""
        said = self.fetch("POST", "/investors/mfa/setup/")
        if said.get("qr_code") and said.get("secret"):
            return said["qr_code"], said["secret"]
        self._show(said["error"])
        return None

    def verify(self, code: str) -> bool:
        """Row 3."""
        return self._done(self.fetch("POST", "/investors/mfa/verify/", {"code": code}), "documents")

    def disable(self, code: str) -> bool:
        """Row 4."""
        return self._done(self.fetch("POST", "/investors/mfa/disable/", {"code": code}), "mfa setup")

    def is_admin(self) -> bool:
        """Row 5, with the patch of docs/frontend.md (C10): the answer's status counts."""
        headers = {"Origin": ORIGIN, "Authorization": f"Token {self.token}"}
        answer = Client().get("/api/investors/", headers=headers)
        assert json.loads(answer.content) is not None  # JSON, whatever it says
        return 200 <= answer.status_code < 300

    def create_user(self, username: str, password: str, email: str) -> bool:
        """Row 6. `email` may be empty."""
        body = {"username": username, "password": password, "email": email}
        return self._done(self.fetch("POST", "/investors/create_user/", body), self.page)

    def documents(self) -> Any:
        """Row 7."""
        return self.fetch("GET", "/documents/")

    def _done(self, said: dict[str, Any], onward: str) -> bool:
        if said.get("message"):
            self._show(said["message"])
            self.page = onward
            return True
        self._show(said["error"])
        return False

    def _show(self, words: Any) -> None:
        assert isinstance(words, str), "React crashes on an object"
        self.shown.append(words)


def test_row_1_signing_in_asks_for_the_code_and_then_opens_the_documents(carol: Person) -> None:
    react = React()
    react.login("carol", PASSWORD)
    assert (react.page, react.token) == ("code", "")
    react.login("carol", PASSWORD, carol.code())
    assert react.page == "documents"
    assert react.documents() == []


def test_row_1_a_wrong_password_and_a_wrong_code_show_an_error(carol: Person) -> None:
    react = React()
    react.login("carol", "wrong")
    react.login("carol", PASSWORD, "000000")
    react.login("carol", PASSWORD, "")
    assert len(react.shown) == 2
    assert (react.page, react.token) == ("code", "")


def test_rows_2_and_3_enrolment_leads_to_the_documents_with_the_token_of_the_login(newton: Person) -> None:
    react = React()
    react.login("newton", PASSWORD)
    assert react.page == "mfa setup"
    token, refused = react.token, react.documents()
    assert isinstance(refused["error"], str)
    assert react.setup() is not None
    qr_code, secret = react.setup() or ("", "")
    assert qr_code.startswith("data:image/png;base64,")
    assert not react.verify("000000")
    assert react.verify(pyotp.TOTP(secret).now())
    assert (react.page, react.token) == ("documents", token)
    assert react.documents() == []
    assert react.setup() is None


def test_row_4_disabling_leads_back_to_the_setup(carol: Person) -> None:
    react = React(token=factories.token(carol.user).text, page="documents")
    assert not react.disable("000000")
    assert react.disable(carol.code())
    assert react.page == "mfa setup"
    assert react.setup() is not None


def test_row_4_who_may_not_disable_is_told_so(rhea: Person) -> None:
    react = React(token=factories.token(rhea.user).text, page="documents")
    assert not react.disable(rhea.code())
    assert react.page == "documents"
    assert mfa.enrolled(rhea.user)


def test_row_5_an_admin_is_one_and_an_investor_is_not(rhea: Person, carol: Person, newton: Person) -> None:
    tokens = [factories.token(person.user).text for person in (rhea, carol, newton)]
    assert [React(token=token).is_admin() for token in (*tokens, "dead")] == [True, False, False, False]


@pytest.mark.parametrize("email", ["", "dora@example.test"])
def test_row_6_an_admin_makes_an_account_that_can_sign_in(rhea: Person, email: str) -> None:
    react = React(token=factories.token(rhea.user).text)
    assert react.create_user("dora", "a sentence of hers", email)
    dora = React()
    dora.login("dora", "a sentence of hers")
    assert dora.page == "mfa setup"


def test_row_6_a_bad_account_shows_an_error(rhea: Person, carol: Person) -> None:
    react = React(token=factories.token(rhea.user).text)
    for username, password, email in [
        ("dora", "short", ""),
        ("CAROL", "a sentence of hers", ""),
        ("", "", ""),
        ("d", "x", "y"),
    ]:
        assert not react.create_user(username, password, email)
    assert not React(token=factories.token(carol.user).text).create_user("dora", "a sentence of hers", "")


def test_c1_the_token_of_the_login_stays_the_only_one(newton: Person) -> None:
    react = React()
    react.login("newton", PASSWORD)
    before = react.token
    _, secret = react.setup() or ("", "")
    react.verify(pyotp.TOTP(secret).now())
    react.disable(factories.code(secret, steps=1))
    _, secret = react.setup() or ("", "")
    react.verify(factories.code(secret, steps=-1))
    assert react.token == before
    assert react.documents() == []


def test_c2_every_failure_has_words_under_error_and_nothing_that_is_read_as_success(
    carol: Person, newton: Person, somebody: Callable[..., Person]
) -> None:
    stranger, enrolling = React(), React(token=factories.token(newton.user).text)
    enrolling.login("newton", PASSWORD)
    investor = React(token=factories.token(carol.user).text)
    failures = [
        react.fetch(method, path, body)
        for react in (stranger, enrolling, investor)
        for method, path, body in [
            ("POST", "/investors/mfa/disable/", {"code": "1"}),
            ("POST", "/investors/mfa/verify/", {"code": "1"}),
            ("POST", "/investors/mfa/verify/", [1]),
            ("POST", "/investors/create_user/", {"username": "x", "password": "y", "email": ""}),
            ("POST", "/auth/login/", {"username": "carol"}),
            ("POST", "/auth/login/", {"username": "carol", "password": "wrong"}),
            ("GET", "/investors/", None),
            ("GET", "/auditlogs/", None),
            ("DELETE", "/documents/", None),
            ("GET", "/nothing/", None),
        ]
    ]
    for said in failures:
        assert isinstance(said["error"], str)
        assert said["error"]
        assert not {"message", "token", "detail", "mfa_required", "qr_code", "secret"} & set(said)
        assert {"code", "request_id"} <= set(said)


def test_c2_too_many_attempts_are_words_too(carol: Person) -> None:
    react = React()
    for _ in range(6):
        react.login("carol", "wrong")
    assert "wait" in react.shown[-1].lower()


def test_c8_refusing_to_disable_is_an_error(rhea: Person) -> None:
    said = React(token=factories.token(rhea.user).text).fetch("POST", "/investors/mfa/disable/", {"code": rhea.code()})
    assert (set(said), said["code"]) == ({"error", "code", "request_id"}, "mfa_mandatory")


# --- C11: the browser asks before it calls ------------------------------------------------------
def preflight(origin: str, path: str = "/api/documents/") -> Any:
    """What a browser sends before a call with our headers."""
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    return Client().options(path, headers=asked)


def test_c11_the_origin_of_the_front_end_may_call_with_its_headers(settings: Settings) -> None:
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]
    answer = preflight(ORIGIN)
    assert answer.status_code == 200
    assert answer["Access-Control-Allow-Origin"] == ORIGIN
    allowed = {name.strip() for name in answer["Access-Control-Allow-Headers"].split(",")}
    assert {"authorization", "content-type"} <= allowed
    assert "Access-Control-Allow-Credentials" not in answer


def test_c11_errors_can_be_read_by_the_front_end_too(db: None, settings: Settings) -> None:
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]
    for path in ("/api/documents/", "/api/nothing/"):
        answer = Client().get(path, headers={"Origin": ORIGIN})
        assert answer["Access-Control-Allow-Origin"] == ORIGIN
        exposed = {name.strip() for name in answer["Access-Control-Expose-Headers"].split(",")}
        assert {"Link", "Retry-After", "X-Request-ID"} <= exposed


@pytest.mark.parametrize(
    "origin",
    ["null", "http://localhost:5174", "https://localhost:5173", "http://localhost:5173.evil.test", "http://evil.test"],
)
def test_c11_no_other_origin_may(settings: Settings, origin: str) -> None:
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]
    assert "Access-Control-Allow-Origin" not in preflight(origin)


def test_c11_outside_the_api_no_origin_may(settings: Settings) -> None:
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]
    assert "Access-Control-Allow-Origin" not in preflight(ORIGIN, "/admin/login/")


def test_the_second_factor_stays_sealed(newton: Person) -> None:
    react = React()
    react.login("newton", PASSWORD)
    _, secret = react.setup() or ("", "")
    react.verify(pyotp.TOTP(secret).now())
    device = MfaDevice.objects.get(user=newton.user)
    assert secret.encode() not in bytes(device.secret)
    assert device.confirmed_at
    assert device.confirmed_at <= timezone.now()
