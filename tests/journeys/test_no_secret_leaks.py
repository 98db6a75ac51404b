"""Every secret that people and we ourselves use, looked for in every place where one could have been left.

First somebody lives through all that an account can: enrols, mistypes, forgets, is helped by an admin. Then logs,
database, audit log, broker, Flower, mails and command lines are searched for each password, token, second factor,
backup code, session and link that was used, here or by another journey. Every place must also show a word that we know
to be there: a place that was not read would show nothing either.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import psutil
import psycopg2
import pyotp
import pytest
import requests
from redis import Redis

from devstack.client import Client
from devstack.launch import Running
from tests import factories
from tests.journeys.conftest import Account, pids
from tests.journeys.test_documents import ended, upload
from tests.journeys.visitor import Visitor

pytestmark = pytest.mark.timeout(300)
Newcomer = Callable[..., Account]
SECONDS = 30


class Person:
    """Somebody who calls the API by hand, in all the ways that people do, and notes each secret that comes by."""

    def __init__(self, stack: Running, used: set[str], account: Account) -> None:
        self.stack, self.used, self.account = stack, used, account
        self.token = ""
        self.codes: list[str] = []
        self.http = requests.Session()
        self.http.trust_env = False

    def post(self, path: str, body: Any = None, *, expect: int = 200, **more: Any) -> Any:
        """Call the API; note the tokens, secrets and codes of the answer."""
        if self.token:
            more.setdefault("headers", {"Authorization": f"Token {self.token}"})
        answer = self.http.post(f"{self.stack.details['api']}{path}", json=body, timeout=SECONDS, **more)
        assert answer.status_code == expect, (path, answer.status_code, answer.json().get("code"))
        told = answer.json() if answer.content else {}
        self.used.update(told[name] for name in ("token", "secret") if told.get(name))
        self.used.update(told.get("backup_codes", []))
        self.codes = told.get("backup_codes") or self.codes
        self.token = told.get("token") or self.token
        return told

    def made_up(self) -> str:
        """Think of a password, and remember that it was thought of."""
        self.used.add(fresh := token_urlsafe(15))
        return fresh

    def sign_in(self, **more: str) -> Any:
        """Post name and password, and what else is said."""
        self.token = ""
        body = {"username": self.account["username"], "password": self.account["password"], **more}
        return self.post("/auth/login/", body)

    def enrol(self) -> None:
        """Set up a second factor with the token that has none."""
        secret = self.post("/investors/mfa/setup/")["secret"]
        self.post("/investors/mfa/verify/", {"code": "00000x"}, expect=400)
        self.post("/investors/mfa/verify/", {"code": pyotp.TOTP(secret).now()})
        self.account["totp_secret"] = secret

    def mistype(self) -> None:
        """Type secrets where they do not belong, and in forms that nobody can read."""
        address, name = self.stack.details["api"], self.account["username"]
        wrong, header = self.made_up(), {"Authorization": f"Token {self.token}"}
        for body in (
            {"username": name, "password": wrong},
            {"username": wrong, "password": wrong},
            {"username": self.account["password"], "password": name},
            {"username": name, "password": [wrong]},
            {"username": name, "password": self.account["password"], "mfa_code": self.codes[0][:-1] + "!"},
            {"username": name, "password": self.account["password"], "mfa_code": {"code": wrong}},
            [wrong],
            wrong,
        ):
            assert self.http.post(f"{address}/auth/login/", json=body, timeout=SECONDS).status_code in {400, 429}
        for text in (
            f'{{"password": "{wrong}"',
            f"password={wrong}",
            f'{{"password": "{wrong}", "username": "\\ud800"}}',
        ):
            sent = {"Content-Type": "application/json"}
            assert self.http.post(f"{address}/auth/login/", data=text, headers=sent, timeout=SECONDS).status_code == 400
        for query in (f"?token={self.token}", f"?password={wrong}&mfa_code={self.codes[0]}"):
            self.http.get(f"{address}/documents/{query}", headers=header, timeout=SECONDS)
        for value in (f"Bearer {self.token}", f"Token {self.token}x", f"Basic {wrong}", self.token, f"Token {wrong}"):
            said = self.http.get(f"{address}/auth/me/", headers={"Authorization": value}, timeout=SECONDS)
            assert said.status_code == 401

    def change_password(self) -> None:
        """Change it, after one attempt with a wrong one."""
        new = self.made_up()
        body = {"current_password": self.made_up(), "new_password": new, "mfa_code": self.codes[1]}
        self.post("/auth/password/change/", body, expect=400)
        body["current_password"] = self.account["password"]
        self.post("/auth/password/change/", body | {"new_password": "short"}, expect=400)
        self.post("/auth/password/change/", body | {"mfa_code": self.codes[2]})
        self.account["password"] = new

    def forget_password(self) -> None:
        """Ask for a link, use it wrongly, then rightly."""
        self.token = ""
        self.post("/auth/password/reset/", {"email": f"{self.account['username']}@example.test"}, expect=202)
        link = self.link_from_a_mail("password")
        new = self.made_up()
        for secret, status in ((link["token"][:-3] + "xyz", 400), (link["token"], 200), (link["token"], 400)):
            body = {"uid": link["uid"], "token": secret, "new_password": new}
            self.post("/auth/password/reset/confirm/", body, expect=status)
        self.account["password"] = new

    def link_from_a_mail(self, subject: str) -> dict[str, Any]:
        """Wait for the mail with a link to this person; return what the link carries."""
        address, limit = f"{self.account['username']}@example.test", time.monotonic() + 30
        while time.monotonic() < limit:
            for path in Path(self.stack.details["mails"]).iterdir():
                text = path.read_text()
                found = re.search(r"#uid=(\d+)&secret=(\S+)", text)
                if found and f"To: {address}" in text and subject in text:
                    return {"uid": int(found[1]), "token": found[2]}
            time.sleep(0.2)
        raise AssertionError(f"no mail with a link came for {address}")


@pytest.fixture(scope="module")
def links() -> set[str]:
    """The secrets of links, which mails alone may carry."""
    return set()


@pytest.fixture(scope="module")
def heard() -> list[str]:
    """Every command that the broker was given while somebody lived."""
    return []


@pytest.fixture(scope="module")
def lived(stack: Running, used: set[str], links: set[str], heard: list[str], newcomer: Newcomer) -> set[str]:
    """Everything that can be done with an account is done; return all secrets so far."""
    with listening(stack.details["broker_url"], heard):
        vera = Person(stack, used, newcomer("vera", "investor", enrolled=False))
        amos = Person(stack, used, newcomer("amos", "admin"))
        an_investors_life(vera, links)
        an_admins_acts(amos, vera, links)
        an_admins_evening(stack, used, newcomer)
        api, origin = stack.details["api"], stack.details["console"].rstrip("/")
        client = Client(api, origin=origin, token=amos.token)
        ended(client, upload(client, factories.PDF, "Leaks", "leaks.pdf", "application/pdf"))
        time.sleep(2)  # what was written late is written
    assert len(used) > 50
    assert min(map(len, used)) > 8  # shorter ones would be found by chance
    return used


def an_investors_life(vera: Person, links: set[str]) -> None:
    """Enrol, mistype, change what can be changed, forget the password, sign out."""
    vera.sign_in()
    vera.enrol()
    vera.mistype()
    vera.change_password()
    vera.post("/auth/token/rotate/")
    vera.post("/auth/step-up/", {"mfa_code": vera.codes[3]})
    vera.post("/investors/mfa/backup-codes/", {"code": vera.codes[4]})
    vera.forget_password()
    links.add(vera.link_from_a_mail("password")["token"])
    vera.sign_in(mfa_code=vera.codes[0])
    vera.post("/investors/mfa/disable/", {"code": vera.codes[1]})
    vera.enrol()
    vera.post("/auth/logout/", expect=204)
    vera.token = ""


def an_admins_acts(amos: Person, vera: Person, links: set[str]) -> None:
    """Sign in, make accounts with a password and with a link, and take a second factor away."""
    amos.sign_in(mfa_code=pyotp.TOTP(amos.account["totp_secret"]).now())
    amos.post(
        "/investors/create_user/",
        {"username": "carl", "password": amos.made_up(), "email": "carl@example.test"},
    )
    amos.post("/investors/create_user/", {"username": "ina", "email": "ina@example.test"})
    ina = Person(amos.stack, amos.used, {"username": "ina", "password": amos.made_up()})
    invited = ina.link_from_a_mail("")
    links.add(invited["token"])
    ina.post("/auth/password/reset/confirm/", {**invited, "new_password": ina.account["password"]})
    ina.sign_in()
    people = amos.http.get(
        f"{amos.stack.details['api']}/investors/?q=vera",
        headers={"Authorization": f"Token {amos.token}"},
        timeout=SECONDS,
    ).json()
    amos.post(f"/investors/{people[0]['id']}/reset_mfa/", {"reason": "the phone is lost"})


def an_admins_evening(stack: Running, used: set[str], newcomer: Newcomer) -> None:
    """Enrol in a browser, sign in by one backup code after a wrong one, look at the admin and at Flower."""
    visitor, account = Visitor(stack, used), newcomer("abby", "admin", enrolled=False)
    visitor.give_password({**account, "password": _noted(used, token_urlsafe(15))})
    page = visitor.give_password(account)
    secret = _noted(used, _only(r'id="secret"[^>]*>([^<]+)<', page.text).replace(" ", ""))
    page = visitor.send(page, code=pyotp.TOTP(secret).now())
    codes = re.findall(r"<li><code>([^<]+)</code></li>", page.text)
    used.update(codes)
    again = Visitor(stack, used)
    page = again.give_password(account)
    page = again.send(page, code=codes[0][:-1] + "!")
    assert again.send(page, code=codes[0]).url == stack.details["flower"]
    for path in ("tasks", "broker", f"tasks?search={secret}"):
        assert again.http.get(stack.details["flower"] + path, timeout=SECONDS).status_code == 200


def _noted(used: set[str], secret: str) -> str:
    used.add(secret)
    return secret


def _only(pattern: str, text: str) -> str:
    (found,) = re.findall(pattern, text)
    return str(found)


@contextmanager
def listening(broker: str, heard: list[str]) -> Iterator[None]:
    """Write down every command that the broker is given."""
    stop = threading.Event()

    def listen() -> None:
        store: Any = Redis.from_url(broker)
        with store.monitor() as monitor:
            while not stop.is_set():  # beat says something every second
                heard.append(json.dumps(monitor.next_command(), default=str))

    ear = threading.Thread(target=listen, daemon=True)
    ear.start()
    try:
        yield
    finally:
        stop.set()
        ear.join(10)


def logs(stack: Running) -> Iterator[str]:
    """Every line that any process has written."""
    for path in (stack.path.parent / "logs").iterdir():
        yield path.read_text(errors="replace")


def database(stack: Running) -> Iterator[str]:
    """Every row of every table as text; the outbox and the audit log are among them."""
    with closing(psycopg2.connect(stack.details["database_url"])) as connection, connection.cursor() as cursor:
        cursor.execute("select tablename from pg_tables where schemaname = 'public'")
        for (table,) in cursor.fetchall():
            cursor.execute(f"select '{table}' || t::text from \"{table}\" t")
            yield from (row for (row,) in cursor.fetchall())


def audit_log(stack: Running, token: str) -> Iterator[str]:
    """Every event as an admin reads it."""
    address: str | None = f"{stack.details['api']}/auditlogs/?limit=1000"
    while address:
        answer = requests.get(address, headers={"Authorization": f"Token {token}"}, timeout=SECONDS)
        yield answer.text
        address = answer.links.get("next", {}).get("url")


def broker(stack: Running) -> Iterator[str]:
    """Everything that the broker holds."""
    store = Redis.from_url(stack.details["broker_url"], decode_responses=True)
    read: dict[str, Callable[[str], Any]] = {
        "string": store.get,
        "list": lambda key: store.lrange(key, 0, -1),
        "hash": store.hgetall,
        "set": store.smembers,
        "zset": lambda key: store.zrange(key, 0, -1),
    }
    for key in store.scan_iter():
        yield f"{key} {read[str(store.type(key))](key)}"


def flower(stack: Running, admin: Visitor) -> Iterator[str]:
    """Every page of Flower that tells of tasks or workers."""
    door = stack.details["flower"]
    tasks = admin.http.get(f"{door}api/tasks", timeout=SECONDS)
    yield tasks.text
    for id_ in list(tasks.json())[:20]:
        yield admin.http.get(f"{door}task/{id_}", timeout=SECONDS).text
    told = admin.http.get(f"{door}workers?json=1", timeout=SECONDS).json()["data"]
    for worker in told:
        yield admin.http.get(f"{door}worker/{worker['hostname']}", timeout=SECONDS).text
    yield admin.http.get(f"{door}broker", timeout=SECONDS).text


def command_lines(stack: Running) -> Iterator[str]:
    """What every process of the machine shows of the stack's processes."""
    for pid in pids(stack).values():
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            yield " ".join(process.cmdline())


def mails(stack: Running) -> Iterator[str]:
    """Every mail."""
    for path in Path(stack.details["mails"]).iterdir():
        yield path.read_text()


def found(texts: Iterator[str], secrets: set[str], known: str) -> list[str]:
    """Where secrets stand, by the first words of the text; `known` must stand somewhere."""
    places, read = [], 0
    pattern = re.compile("|".join(map(re.escape, sorted(secrets))))
    for text in texts:
        read += known in text
        places += [f"{text[max(0, hit.start() - 120) : hit.start()]}<SECRET>" for hit in pattern.finditer(text)]
    assert read, f"{known!r} is not there: this place was not read"
    return places


def test_no_log_line_holds_a_secret(stack: Running, lived: set[str], links: set[str]) -> None:
    for known in ("request_finished", "task_succeeded", "door_opened", "flower", "database system is ready"):
        assert found(logs(stack), lived | links, known) == []


def test_no_table_holds_a_secret(stack: Running, lived: set[str], links: set[str]) -> None:
    for known in ("vera@example.test", "backup_codes.renewed", "password.reset_requested", "identity_apitoken"):
        assert found(database(stack), lived | links, known) == []


def test_no_event_tells_a_secret(
    stack: Running, lived: set[str], links: set[str], as_: Callable[[str], Client]
) -> None:
    token = as_("auditor").authorization["Authorization"].removeprefix("Token ")
    for known in ("auth.signed_in", "auth.sign_in_failed", "mfa.reset", "flower.entered"):
        assert found(audit_log(stack, token), lived | links, known) == []


def test_the_broker_neither_holds_nor_was_given_a_secret(
    stack: Running, lived: set[str], links: set[str], heard: list[str]
) -> None:
    assert found(broker(stack), lived | links, "_kombu.binding.") == []
    for known in ("workers.tasks.mail", "workers.tasks.scan", "LPUSH"):
        assert found(iter(heard), lived | links, known) == []


def test_flower_shows_no_secret(stack: Running, lived: set[str], links: set[str], newcomer: Newcomer) -> None:
    visitor = Visitor(stack, set())
    visitor.sign_in(newcomer("ferris", "admin"))
    ours = {value for name, value in stack.env.items() if re.search("SECRET|PASSWORD$|KEYS$|BASIC_AUTH|_URL$", name)}
    ours -= {stack.env["PUBLIC_URL"], stack.env["FLOWER_URL"], stack.env["S3_ENDPOINT_URL"]}
    for known in ("version_id", "mail_id", "broker_url", ">scan<"):
        assert found(flower(stack, visitor), lived | links | ours, known) == []


def test_no_command_line_holds_a_secret(stack: Running, lived: set[str], links: set[str]) -> None:
    ours = {value for name, value in stack.env.items() if re.search("SECRET|PASSWORD$|KEYS$|BASIC_AUTH", name)}
    for known in ("gunicorn", "celery", "weed"):
        assert found(command_lines(stack), lived | links | ours, known) == []


def test_a_mail_holds_no_secret_but_a_link(stack: Running, lived: set[str], links: set[str]) -> None:
    assert found(mails(stack), lived - links, "vera@example.test") == []
    assert found(mails(stack), links, "vera@example.test") != []


def test_a_secret_that_stands_somewhere_is_found(stack: Running, lived: set[str]) -> None:
    planted = stack.path.parent / "logs" / "planted.log"
    planted.write_text(f"signed in with {next(iter(lived))}\n")
    try:
        assert found(logs(stack), lived, "signed in with") == ["signed in with <SECRET>"]
    finally:
        planted.unlink()
