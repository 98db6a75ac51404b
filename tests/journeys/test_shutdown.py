"""SIGTERM to any of our processes in the middle of uploads: nothing is lost, doubled or out of order, nothing waits.

As a platform does that rolls out a release: one process after the other, under load. A stack of our own, because its
processes end; the supervisor starts each again.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil
import psycopg2
import pytest
import requests

from devstack import procfile
from devstack.client import Client, Refused
from devstack.launch import Running, running
from devstack.places import ROOT
from tests import factories
from tests.journeys.conftest import pids
from tests.journeys.test_documents import ended, upload
from tests.journeys.test_outages import until

pytestmark = [
    pytest.mark.all_only("ends every process of the Procfile in the middle of uploads"),
    pytest.mark.timeout(300),
]
PROCESSES = tuple(procfile.read(ROOT / "Procfile"))
UPLOADS, NAMES, CLIENTS, MIDDLE = 24, 3, 6, 8
LARGE = 100_000  # of each four one, so that `apart` has work
LIMITS = {"LARGE_FILE_BYTES": str(LARGE)}
ENDS_WITHIN, SETTLED_WITHIN = 20, 45  # seconds after SIGTERM: the process, and all that was under way
AWAY_FOR = 120  # seconds that a client has patience for: a whole stack may stop and start
ONCE = {f"version.{what}" for what in ("requested", "received", "validated", "scanned", "available")}
Answer = TypeVar("Answer")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the stack keeps its data."""
    return Path(tmp_path_factory.mktemp("shutdown"))


@pytest.fixture(scope="module")
def ours(home: Path) -> Iterator[Running]:
    """The stack."""
    with running(home, fresh=True, settings=LIMITS) as started:
        yield started


@pytest.fixture(scope="module")
def token(ours: Running) -> str:
    """alice's."""
    return client_of(ours).sign_in(**ours.details["accounts"]["alice"])


def client_of(stack: Running, token: str = "") -> Client:
    """Whoever has that token."""
    return Client(stack.details["api"], origin=stack.details["console"].rstrip("/"), token=token)


class Load:
    """Uploads of a few documents by several clients at once. Each call is made again where nobody answers."""

    def __init__(self, client: Callable[[], Client], title: str) -> None:
        """Take how to make a client, since one is for one thread; nothing is sent yet."""
        self._client, self._title = client, title
        self._lock, self.middle = threading.Lock(), threading.Event()
        self.sent: dict[str, bytes] = {}

    def run(self) -> None:
        """Send all; `middle` is set when the first few have come."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(self._upload, range(UPLOADS)))

    def _upload(self, number: int) -> None:
        body = paper(f"{self._title} {number}", large=number % 4 == 0)
        said = {"name": f"{self._title} {number % NAMES}", "doc_type": "other", "filename": "a.pdf"}
        said |= {"content_type": "application/pdf", "sha256": factories.sha256(body)}
        client = self._client()
        ticket = patiently(lambda: client.begin({**said, "size": len(body)}))
        patiently(lambda: client.send(ticket, "a.pdf", body, "application/pdf"))
        patiently(lambda: client.complete(ticket.id))
        with self._lock:
            self.sent[ticket.id] = body
            if len(self.sent) == MIDDLE:
                self.middle.set()


def paper(words: str, *, large: bool) -> bytes:
    """A document with these words in it."""
    head, tail = factories.PDF.split(b"xref\n", 1)
    longer = head + f"% {words}\n".encode() + (b"%" * LARGE + b"\n" if large else b"")
    return longer + b"xref\n" + tail.replace(str(len(head)).encode(), str(len(longer)).encode())


def patiently(call: Callable[[], Answer]) -> Answer:
    """Call until somebody answers: the web process is a moment away when it is one that ends."""
    limit = time.monotonic() + AWAY_FOR
    while True:
        try:
            return call()
        except (requests.ConnectionError, Refused) as fault:
            if time.monotonic() > limit or (isinstance(fault, Refused) and fault.status < 500):
                raise
            time.sleep(0.2)


def asked(stack: Running, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """What the database says."""
    with closing(psycopg2.connect(stack.env["DATABASE_URL"])) as session, session.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


def unfinished(stack: Running, sent: dict[str, bytes]) -> int:
    """How many of them have not ended."""
    sql = "select count(*) from pipeline_documentversion where id = any(%s::uuid[]) and status <> 'available'"
    return int(asked(stack, sql, list(sent))[0][0])


@contextmanager
def deaths_watched(stack: Running) -> Iterator[list[int]]:
    """Look at the attempts all the time. The first is counted before the work; a second only after a death."""
    most, over = [0], threading.Event()

    def look() -> None:
        sql = "select coalesce(max(attempts), 0) from pipeline_documentversion"
        with closing(psycopg2.connect(stack.env["DATABASE_URL"])) as session, session.cursor() as cursor:
            session.autocommit = True
            while not over.wait(0.02):
                cursor.execute(sql)
                most[0] = max(most[0], *cursor.fetchall()[0])

    watch = threading.Thread(target=look)
    watch.start()
    try:
        yield most
    finally:
        over.set()
        watch.join()


def assert_all_is_there(stack: Running, token: str, sent: dict[str, bytes]) -> None:
    """Each upload accounted for: numbered in the order of arrival, told of once, its bytes in the vault."""
    assert len(sent) == UPLOADS
    rows = asked(
        stack,
        "select document_id, array_agg(number order by arrival), array_agg(distinct stuck_reason || waits_for),"
        " max(attempts) from pipeline_documentversion where id = any(%s::uuid[]) group by document_id",
        list(sent),
    )
    assert sorted(numbers for _, numbers, _, _ in rows) == [list(range(1, UPLOADS // NAMES + 1))] * NAMES
    assert {(tuple(words), attempts) for _, _, words, attempts in rows} == {(("",), 0)}
    client = client_of(stack, token)
    for id_, body in sent.items():
        assert client.fetch(id_) == body
    until(lambda: events(stack, sent) == {(f"version:{id_}", what, 1) for id_ in sent for what in ONCE}, 20)


def events(stack: Running, sent: dict[str, bytes]) -> set[tuple[str, str, int]]:
    """What the log has of them, and how often."""
    sql = "select object, action, count(*) from audit_event where object = any(%s) and action = any(%s) group by 1, 2"
    return {(str(o), str(a), int(n)) for o, a, n in asked(stack, sql, [f"version:{id_}" for id_ in sent], list(ONCE))}


def ends(stack: Running, name: str, home: Path) -> None:
    """SIGTERM to a process; wait until another has taken its place, and see that it went by itself."""
    log, before = home / "logs" / "supervisor.log", pids(stack)[name]
    said = log.stat().st_size
    psutil.Process(before).terminate()
    until(lambda: pids(stack).get(name, before) != before, ENDS_WITHIN)
    ended = [line for line in log.read_bytes()[said:].decode().splitlines() if f'"name": "{name}"' in line]
    assert any("ended with 0," in line for line in ended), ended


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_that_is_told_to_end_under_load_loses_nothing(
    ours: Running, token: str, home: Path, name: str
) -> None:
    load = Load(lambda: client_of(ours, token), f"Ends {name}")
    with deaths_watched(ours) as most, ThreadPoolExecutor(1) as pool:
        sending = pool.submit(load.run)
        assert load.middle.wait(60)
        told_at = time.monotonic()
        ends(ours, name, home)
        sending.result()
        until(lambda: unfinished(ours, load.sent) == 0, SETTLED_WITHIN)
        print(f"{name}: settled {time.monotonic() - told_at:.1f} s after SIGTERM")
    assert most == [1]
    assert_all_is_there(ours, token, load.sent)


def test_a_worker_finishes_the_scan_that_it_is_in_the_middle_of(ours: Running, token: str, home: Path) -> None:
    scanner, client = psutil.Process(pids(ours)["clamd"]), client_of(ours, token)
    with deaths_watched(ours) as most, frozen(scanner) as thaw:
        id_ = upload(client, paper("In the middle", large=False), "In the middle", "a.pdf", "application/pdf")
        until(lambda: under_way(ours, id_), 30)
        threading.Timer(2, thaw).start()
        told_at = time.monotonic()
        ends(ours, "scan", home)
        assert time.monotonic() - told_at > 2
        assert ended(client, id_, SETTLED_WITHIN)["status"] == "available"
    assert most == [1]


@contextmanager
def frozen(process: psutil.Process) -> Iterator[Callable[[], None]]:
    """Stop a process where it stands until it is thawed, at the latest when the block ends."""
    process.suspend()
    try:
        yield process.resume
    finally:
        process.resume()


def under_way(stack: Running, id_: str) -> bool:
    """Whether a scan of it has begun."""
    sql = "select 1 from pipeline_documentversion where id = %s and status = 'validated' and attempts = 1"
    return bool(asked(stack, sql, id_))


def test_a_whole_stack_that_stops_under_load_goes_on_where_it_was(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        with running(tmp_path, fresh=True, settings=LIMITS) as stack:
            token = client_of(stack).sign_in(**stack.details["accounts"]["alice"])
            load = Load(lambda: client_of(stack, token), "All end")
            sending = pool.submit(load.run)
            assert load.middle.wait(60)
        with running(tmp_path, settings=LIMITS) as again:
            sending.result()
            until(lambda: unfinished(again, load.sent) == 0, SETTLED_WITHIN)
            assert_all_is_there(again, token, load.sent)
