"""The page where links in mails lead: nothing of the link reaches the server but by the script's one call."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

PAGE = "/account/password/"

pytestmark = pytest.mark.usefixtures("plain_static_files")


class Page(HTMLParser):
    """The tags of a page, with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture
def page(client: Client) -> Page:
    answer = client.get(PAGE, secure=True)
    assert answer.status_code == 200
    return Page(answer.content.decode())


def script() -> str:
    found = finders.find("console/password.js")
    assert isinstance(found, str)
    return Path(found).read_text()


def test_the_page_needs_no_sign_in_and_no_database(page: Page) -> None:
    assert [form["id"] for form in page.all("form")] == ["set", "ask"]


def test_it_tells_no_other_page_where_one_came_from_and_is_in_no_cache(client: Client) -> None:
    answer = client.get(PAGE, secure=True)
    assert answer["Referrer-Policy"] == "no-referrer"
    assert "no-store" in answer["Cache-Control"]


def test_it_takes_nothing_from_the_address(client: Client) -> None:
    answer = client.get(f"{PAGE}?uid=1&secret=s3cret-in-a-query", secure=True)
    assert "s3cret" not in answer.content.decode()
    assert client.post(PAGE, {"secret": "s3cret"}, secure=True).status_code == 405


def test_nothing_stands_inline_and_everything_is_ours(page: Page) -> None:
    assert [tag["src"] for tag in page.all("script")] == ["/static/console/password.js"]
    assert not page.all("style")
    assert not [name for _, attrs in page.tags for name in attrs if name == "style" or name.startswith("on")]


def test_the_script_removes_the_secret_from_the_address_and_evaluates_nothing() -> None:
    text = script()
    assert text.index("history.replaceState") < text.index("fetch(")
    for unsafe in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage"):
        assert unsafe not in text


def test_no_form_can_send_a_password_in_an_address(page: Page) -> None:
    """Without the script nothing may be sent: the fields have no names, and the forms are hidden."""
    assert not [field for field in page.all("input") if "name" in field]
    assert all("hidden" in form for form in page.all("form"))


def test_a_reader_by_keyboard_or_ear_is_served(page: Page) -> None:
    labels = {label["for"] for label in page.all("label")}
    fields = {field["id"]: field for field in page.all("input")}
    ids = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    assert labels == set(fields) == {"new_password", "again", "email"}
    assert {name: field["autocomplete"] for name, field in fields.items()} == {
        "new_password": "new-password",
        "again": "new-password",
        "email": "email",
    }
    for field in fields.values():
        assert set((field["aria-describedby"] or "").split()) <= ids
    assert [attrs["role"] for _, attrs in page.tags if attrs.get("id") == "said"] == ["alert"]
