"""What every answer tells the browser: the policy of contents, cookies, HTTPS, and who may call from elsewhere."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path
from pytest_django import Settings

from config import urls
from config.urls import handler400, handler403, handler404, handler500
from tests import factories
from tests.config.test_settings import ROOT, example

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]


def broken(request: HttpRequest) -> HttpResponse:
    """A page that fails."""
    raise RuntimeError("as if")


urlpatterns = [path("broken/", broken), path("api/broken/", broken), path("", include(urls))]

OURS, PAGES = "http://localhost:5173", ["/", "/account/password/", "/admin/login/", "/admin/", "/flower/"]
ANSWERS = [
    *PAGES,
    *("/nothing/", "/broken/", "/api/nothing/", "/api/broken/", "/api/documents/", "/api/auth/login/", "/healthz"),
    *("/internal/flower-auth/", "/admin/login/code/", "/static/nothing.css"),
]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__), pytest.mark.usefixtures("plain_static_files")]


@pytest.fixture
def client() -> Client:
    """A browser that also takes the page of a failure."""
    return Client(raise_request_exception=False)


# --- Content-Security-Policy -----------------------------------------------------------------------
def policy(answer: Any) -> dict[str, list[str]]:
    """The directives, each with its sources."""
    parts = [directive.split() for directive in answer["Content-Security-Policy"].split(";")]
    return {name: sources for name, *sources in parts}


@pytest.mark.parametrize("address", ANSWERS)
def test_every_answer_bears_the_strict_policy(client: Client, address: str) -> None:
    assert policy(client.get(address, secure=True)) == {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "form-action": ["'self'"],
    }


def test_answers_from_before_any_page_bear_it_too(settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT, settings.ALLOWED_HOSTS = True, ["strongroom.example"]
    strangers = Client(headers={"host": "evil.example"}).get("/", secure=True)
    redirected = Client(headers={"host": "strongroom.example"}).get("/")
    forged = Client(enforce_csrf_checks=True, headers={"host": "strongroom.example"}).post("/admin/login/", secure=True)
    for answer, status in ((strangers, 400), (redirected, 301), (forged, 403)):
        assert answer.status_code == status
        assert policy(answer)["default-src"] == ["'self'"]


def test_only_the_code_page_lets_its_form_lead_to_flowers_own_address(client: Client, settings: Settings) -> None:
    """Browsers hold a form to `form-action` through every redirect."""
    settings.FLOWER_URL = "http://127.0.0.1:5555/flower/"
    factories.enrolled(factories.person("root", "admin", password=factories.PASSWORD))
    first = client.get("/admin/login/", secure=True)
    client.post("/admin/login/", {"username": "root", "password": factories.PASSWORD}, secure=True)
    second = client.get("/admin/login/code/", secure=True)
    again = client.post("/admin/login/code/", {"code": "x"}, secure=True)
    assert policy(first)["form-action"] == ["'self'"]
    for page in (second, again):
        assert policy(page)["form-action"] == ["'self'", "http://127.0.0.1:5555"]
        assert policy(page)["default-src"] == ["'self'"]


@pytest.mark.parametrize("address", ANSWERS)
def test_nobody_frames_sniffs_or_learns_where_one_came_from(client: Client, address: str) -> None:
    answer = client.get(address, secure=True)
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] in {"same-origin", "no-referrer"}
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize("address", ["/", "/account/password/", "/admin/login/", "/nothing/", "/broken/"])
def test_no_page_has_anything_inline(client: Client, address: str) -> None:
    page = client.get(address, secure=True).content.decode().lower()
    for forbidden in ("<style", " style=", "<script>", " onclick=", " onload=", " onsubmit=", "javascript:"):
        assert forbidden not in page


def test_a_forged_form_gets_a_page_without_anything_inline() -> None:
    page = Client(enforce_csrf_checks=True).post("/admin/login/", secure=True)
    assert page.status_code == 403
    assert "Go back, load the page" in page.content.decode()
    assert "<style" not in page.content.decode()


# --- cookies and HTTPS -----------------------------------------------------------------------------
NAMED = [
    *("SESSION_COOKIE_NAME", "SESSION_COOKIE_SECURE", "SESSION_COOKIE_HTTPONLY", "SESSION_COOKIE_SAMESITE"),
    *("SESSION_COOKIE_PATH", "SESSION_COOKIE_DOMAIN", "CSRF_COOKIE_NAME", "CSRF_COOKIE_SECURE", "CSRF_COOKIE_HTTPONLY"),
    *("CSRF_COOKIE_SAMESITE", "CSRF_COOKIE_PATH", "CSRF_COOKIE_DOMAIN", "SECURE_SSL_REDIRECT", "SECURE_HSTS_SECONDS"),
    *("SECURE_HSTS_INCLUDE_SUBDOMAINS", "SECURE_HSTS_PRELOAD", "SECURE_REDIRECT_EXEMPT", "SECURE_PROXY_SSL_HEADER"),
]


@pytest.fixture(scope="module")
def example_values() -> dict[str, Any]:
    """What the settings of .env.example come to, in a process of their own."""
    script = (
        f"import json; from config import settings as s; print(json.dumps({{n: getattr(s, n, None) for n in {NAMED}}}))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], env=example(), cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    values: dict[str, Any] = json.loads(ran.stdout)
    return values


@pytest.fixture
def https(settings: Settings, example_values: dict[str, Any]) -> None:
    """This process as .env.example would have it."""
    for name, value in example_values.items():
        if value is not None:
            setattr(settings, name, tuple(value) if name == "SECURE_PROXY_SSL_HEADER" else value)


def cookies(answer: Any) -> dict[str, set[str]]:
    """Each cookie that is set, with its attributes as the browser gets them."""
    found = {}
    for morsel in answer.cookies.values():
        pair, *attributes = morsel.OutputString().split("; ")
        found[pair.partition("=")[0]] = {attribute for attribute in attributes if not attribute.startswith("expires")}
    return found


@pytest.mark.usefixtures("https")
def test_cookies_belong_to_this_host_alone_and_to_no_script(client: Client) -> None:
    factories.person("root", "admin", password=factories.PASSWORD)
    page = client.get("/admin/login/", secure=True, headers={"x-forwarded-proto": "https"})
    csrf = cookies(page)["__Host-csrftoken"]
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= csrf
    fields = {"username": "root", "password": factories.PASSWORD}
    signed_in = client.post("/admin/login/", fields, secure=True, headers={"x-forwarded-proto": "https"})
    session = cookies(signed_in)["__Host-sessionid"]
    assert session == {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"}  # no Domain, gone with the browser
    assert not [attribute for attribute in csrf if attribute.startswith("Domain")]


@pytest.mark.usefixtures("https")
def test_https_is_demanded_for_a_year_and_http_redirected(client: Client) -> None:
    answer = client.get("/", secure=True, headers={"x-forwarded-proto": "https"})
    assert answer["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"
    plain = client.get("/admin/", headers={"x-forwarded-proto": "http"})
    assert (plain.status_code, plain["Location"]) == (301, "https://testserver/admin/")


@pytest.mark.usefixtures("https")
def test_probes_from_inside_need_no_tls(client: Client) -> None:
    assert client.get("/healthz", headers={"x-forwarded-proto": "http"}).status_code == 200


def test_on_loopback_without_https_nothing_promises_it(client: Client) -> None:
    assert "Strict-Transport-Security" not in client.get("/")


# --- other origins ---------------------------------------------------------------------------------
def preflight(client: Client, address: str, origin: str) -> Any:
    headers = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization, content-type",
    }
    return client.options(address, secure=True, headers=headers)


def call(client: Client, address: str, origin: str) -> Any:
    return client.get(address, secure=True, headers={"origin": origin})


@pytest.fixture
def _ours_may_call(settings: Settings) -> None:
    settings.CORS_ALLOWED_ORIGINS = [OURS]


@pytest.mark.usefixtures("_ours_may_call")
def test_a_page_of_ours_may_call_with_its_token(client: Client) -> None:
    asked = preflight(client, "/api/documents/", OURS)
    assert asked["Access-Control-Allow-Origin"] == OURS
    assert {"authorization", "content-type"} <= set(asked["Access-Control-Allow-Headers"].split(", "))
    assert "POST" in asked["Access-Control-Allow-Methods"]
    assert "Access-Control-Allow-Credentials" not in asked
    answer = call(client, "/api/documents/", OURS)
    assert answer.status_code == 401
    assert answer["Access-Control-Allow-Origin"] == OURS
    assert {"Link", "Retry-After", "X-Request-ID"} <= set(answer["Access-Control-Expose-Headers"].split(", "))
    assert "Access-Control-Allow-Credentials" not in answer
    assert "origin" in answer["Vary"].lower()


@pytest.mark.usefixtures("_ours_may_call")
@pytest.mark.parametrize(
    "origin",
    [
        *("null", "*", "", "http://evil.test", "http://localhost", "http://localhost:51730", "https://localhost:5173"),
        *("http://localhost:5173.evil.test", "http://evil.test/http://localhost:5173", "http://xlocalhost:5173"),
        *("http://localhost:5173@evil.test", "http://evil.test#http://localhost:5173", "file://localhost:5173"),
        *("http://app.localhost:5173", "http://127.0.0.1:5173", "http://localhost:5173, http://evil.test"),
    ],
)
def test_a_page_of_anybody_elses_may_not(client: Client, origin: str) -> None:
    for answer in (preflight(client, "/api/documents/", origin), call(client, "/api/documents/", origin)):
        assert not [name for name in answer.headers if name.lower().startswith("access-control-allow")]


@pytest.mark.usefixtures("_ours_may_call")
@pytest.mark.parametrize("address", [*PAGES, "/healthz", "/internal/flower-auth/", "/apix/", "/admin/api/"])
def test_only_the_api_is_called_from_elsewhere(client: Client, address: str) -> None:
    for answer in (preflight(client, address, OURS), call(client, address, OURS)):
        assert "Access-Control-Allow-Origin" not in answer


def test_nobody_may_call_where_no_origin_is_named(client: Client, settings: Settings) -> None:
    settings.CORS_ALLOWED_ORIGINS = []
    assert "Access-Control-Allow-Origin" not in preflight(client, "/api/documents/", OURS)


def test_no_page_of_the_api_opens_with_a_browsers_session(admin_browser: Client) -> None:
    """An admin's cookies are no token: what the admin site may, a forged page may not do by the API."""
    for address in ("/api/documents/", "/api/auth/me/", "/api/investors/", "/api/auditlogs/"):
        assert admin_browser.get(address, secure=True).status_code == 401, address


def test_the_static_files_are_named_by_what_is_in_them() -> None:
    """Only so may they be kept for ever; and the policy allows no file from elsewhere."""
    for template in [
        *Path(ROOT / "identity/templates").rglob("*.html"),
        *Path(ROOT / "console/templates").rglob("*.html"),
    ]:
        text = template.read_text()
        assert "http://" not in text, template
        assert 'src="/static' not in text, template
