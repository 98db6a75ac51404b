"""The console's front page: open to everybody, honest about the scanner, fit for a strict CSP."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.contrib.staticfiles import finders
from django.test import Client


@pytest.fixture(autouse=True)
def _plain_static_files(settings: LazySettings, tmp_path: Path) -> None:
    """The manifest is written by collectstatic, which the tests do without."""
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.STATIC_ROOT = str(tmp_path)
    settings.SECURE_SSL_REDIRECT = False


class Page(HTMLParser):
    """The tags of a page, with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str, attribute: str) -> list[str | None]:
        """The values of an attribute on every such tag that has it."""
        return [attrs[attribute] for name, attrs in self.tags if name == tag and attribute in attrs]


def home(client: Client) -> str:
    answer = client.get("/")
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_front_page_needs_no_sign_in_and_no_database(client: Client) -> None:
    assert "Documents in, safely." in home(client)


def test_it_leads_to_the_admin_and_both_health_checks_and_names_the_schema(client: Client) -> None:
    shown = home(client)
    assert {"/admin/", "/healthz", "/readyz"} <= set(Page(shown).all("a", "href"))
    assert "/api/schema/" in shown


def test_every_link_within_the_page_has_its_target(client: Client) -> None:
    page = Page(home(client))
    inner = {link.partition("#")[2] for link in page.all("a", "href") if link and "#" in link}
    targets = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    assert inner <= targets


def test_a_reader_by_keyboard_or_ear_is_served(client: Client) -> None:
    page = Page(home(client))
    assert page.all("html", "lang") == ["en"]
    assert page.all("a", "href")[0] == "#content"
    assert "content" in page.all("main", "id")
    assert len(page.all("img", "alt")) == len(page.all("img", "src"))
    assert [tag for tag, _ in page.tags].count("h1") == 1


def test_nothing_stands_inline_so_that_a_strict_csp_can_stand(client: Client) -> None:
    page = Page(home(client))
    assert not [tag for tag, _ in page.tags if tag in {"script", "style"}]
    assert not [name for _, attrs in page.tags for name in attrs if name == "style" or name.startswith("on")]


def test_its_files_are_ours_and_exist(client: Client) -> None:
    page = Page(home(client))
    files = page.all("link", "href") + page.all("img", "src")
    for path in files:
        assert path is not None
        assert path.startswith("/static/")
        assert finders.find(path.removeprefix("/static/"))


@pytest.mark.parametrize(
    ("scanner", "test_signatures", "words"),
    [
        ("clamd", True, "test signatures"),
        ("builtin", False, "stand-in"),
        ("builtin", True, "stand-in"),
    ],
)
def test_a_scanner_not_to_rely_on_is_named_on_the_page(
    client: Client, settings: LazySettings, scanner: str, test_signatures: bool, words: str
) -> None:
    settings.SCANNER, settings.SCANNER_TEST_SIGNATURES = scanner, test_signatures
    shown = home(client)
    assert "Not for real documents." in shown
    assert words in shown


def test_a_real_scanner_needs_no_warning(client: Client, settings: LazySettings) -> None:
    settings.SCANNER, settings.SCANNER_TEST_SIGNATURES = "clamd", False
    assert "Not for real documents." not in home(client)


def test_the_page_is_for_looking_only(client: Client) -> None:
    assert client.post("/").status_code == 405
