"""What of the demo needs no stack: how it judges, what it prints, how it ends."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from devstack import demo
from devstack.board import Board, drawn, size, table, verdict
from devstack.client import Client, Json, Refused, Ticket, s3_refusal
from devstack.courier import Courier, Passage, stage_seconds
from devstack.launch import StackFailed
from devstack.samples import Conduct, Sample

DETAILS: dict[str, Any] = {
    "api": "http://127.0.0.1:1/api",
    "console": "http://127.0.0.1:1/",
    "admin": "http://127.0.0.1:1/admin/",
    "s3_endpoint": "http://127.0.0.1:2",
    "engine": "clamd",
    "signatures": "official",
    "flower": "http://127.0.0.1:3/flower/",
    "mails": "/data/mails",
    "accounts": {
        "admin": {"username": "admin", "password": "secret", "totp_secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"},
    },
}
PAPER = Sample(name="Paper", doc_type="other", filename="paper.txt", body=b"hello", version=1)


def ended(sample: Sample, status: str, **facts: Any) -> Passage:
    return Passage(sample, status=status, over=True, **facts)


class Service(Client):
    """A service at the other end that answers from a list instead of over HTTP."""

    def __init__(self, *told: Json, refuses: Refused | None = None, body: bytes = b"hello") -> None:
        super().__init__("http://127.0.0.1:1/api", origin="http://127.0.0.1:1")
        self.told, self.refuses, self.body = list(told), refuses, body
        self.calls: list[str] = []

    def begin(self, announced: Json) -> Ticket:
        self.calls.append("begin")
        return Ticket("v1", "http://127.0.0.1:2", {})

    def send(self, ticket: Ticket, filename: str, body: bytes, content_type: str) -> None:
        self.calls.append("send")
        if self.refuses:
            raise self.refuses

    def complete(self, version: str) -> Json:
        self.calls.append("complete")
        return {}

    def show(self, version: str) -> Json:
        return self.told.pop(0)

    def fetch(self, version: str) -> bytes:
        return self.body


def carried(service: Service, sample: Sample = PAPER, after: Passage | None = None) -> Passage:
    passage = Passage(sample)
    courier = Courier(service, threading.Semaphore(), threading.Event(), lambda _: None)
    courier.carry(passage, after)
    return passage


AVAILABLE = {
    "status": "available",
    "version": 1,
    "received_at": "2026-11-24T10:00:00.000000Z",
    "validated_at": "2026-11-24T10:00:00.250000Z",
    "scanned_at": "2026-11-24T10:00:00.750000Z",
    "available_at": "2026-11-24T10:00:01Z",
}


def test_a_paper_that_came_back_unchanged_is_as_expected() -> None:
    passage = carried(Service({"status": "received"}, AVAILABLE))
    assert passage.as_expected()
    assert passage.steps.keys() == {
        "request", "upload", "receive", "validate", "scan", "finalize"
    }  # fmt: skip
    assert passage.steps["scan"] == 0.5


def test_a_paper_that_came_back_with_other_bytes_is_not() -> None:
    passage = carried(Service(AVAILABLE, body=b"hellO"))
    assert not passage.as_expected()
    assert "OTHER BYTES" in verdict(passage).plain


def test_the_wrong_version_number_is_not_as_expected() -> None:
    assert not carried(Service({**AVAILABLE, "version": 2})).as_expected()


def test_the_right_status_for_another_reason_is_not_as_expected() -> None:
    disguised = Sample(
        name="x", doc_type="other", filename="x.pdf", body=b"", expected="rejected",
        reason_code="type_mismatch",
    )  # fmt: skip
    assert not ended(disguised, "rejected", reason_code="empty").as_expected()
    assert ended(disguised, "rejected", reason_code="type_mismatch").as_expected()


def test_a_passage_under_way_is_never_as_expected() -> None:
    assert not Passage(PAPER, status="available", version=1, intact=True).as_expected()


def test_an_upload_refused_by_s3_ends_there_with_its_code() -> None:
    service = Service(refuses=s3_refusal(400, "<Error><Code>BadDigest</Code></Error>"))
    passage = carried(service)
    assert (passage.status, passage.reason_code) == ("refused", "bad_digest")
    assert service.calls == ["begin", "send"]


def test_an_upload_never_sent_only_asks_and_waits() -> None:
    ghost = Sample(
        name="x", doc_type="id", filename="x.png", body=b"x", expected="expired",
        conduct=Conduct.NEVER_SENDS,
    )  # fmt: skip
    service = Service({"status": "pending"}, {"status": "expired", "reason_code": "never_sent"})
    assert carried(service, ghost).as_expected()
    assert service.calls == ["begin"]


def test_an_answer_that_makes_no_sense_is_a_failure_and_no_traceback() -> None:
    passage = carried(Service({"nonsense": True}))
    assert (passage.status, passage.over) == ("failed", True)


def test_a_later_version_waits_until_the_earlier_one_was_received() -> None:
    earlier = Passage(PAPER)
    threading.Timer(0.2, earlier.received.set).start()
    assert carried(Service(AVAILABLE), after=earlier).seconds < 0.2
    assert earlier.received.is_set()


@pytest.mark.parametrize(
    ("status", "xml", "code"),
    [
        (400, "<Error><Code>BadDigest</Code><Message>m</Message></Error>", "bad_digest"),
        (403, "<Error><Code>AccessDenied</Code></Error>", "access_denied"),
        (502, "<html>bad gateway</html>", "http_502"),
    ],
)
def test_s3s_code_becomes_a_slug(status: int, xml: str, code: str) -> None:
    assert s3_refusal(status, xml).code == code


def test_a_step_that_has_not_ended_has_no_seconds() -> None:
    assert stage_seconds({"received_at": "2026-11-24T10:00:00Z", "validated_at": None}) == {}


@pytest.mark.parametrize(("count", "words"), [(68, "68 B"), (2048, "2.0 kB"), (943718400, "900.0 MB")])
def test_sizes_are_for_people(count: int, words: str) -> None:
    assert size(count) == words


def test_the_table_has_a_row_for_every_passage() -> None:
    assert table([Passage(PAPER), ended(PAPER, "failed")], width=80).row_count == 2


def test_off_a_terminal_nothing_moves_and_names_are_not_markup(
    capsys: pytest.CaptureFixture[str],
) -> None:
    board = Board(errors=False)
    board.tell(Passage(Sample(name="[red]x[/]", doc_type="other", filename="x", body=b"")))
    shown = capsys.readouterr().out
    assert "[red]x[/]" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("details", "words"),
    [({"signatures": "test"}, "TEST SIGNATURES"), ({"engine": "builtin"}, "STAND-IN")],
)
def test_a_scanner_not_to_rely_on_is_named_loudly(
    capsys: pytest.CaptureFixture[str], details: dict[str, str], words: str
) -> None:
    Board(errors=False).warn({**DETAILS, **details})
    assert words in capsys.readouterr().out


def test_the_addresses_and_passwords_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    Board(errors=False).addresses(DETAILS, "/data/logs")
    shown = capsys.readouterr().out
    for place in ("http://127.0.0.1:1/admin/", DETAILS["flower"], "/data/mails", "admin / secret"):
        assert place in shown


def test_off_a_terminal_no_second_factor_is_shown_but_where_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    Board(errors=False).invite(DETAILS["accounts"]["admin"], "/data/stack.json")
    shown = capsys.readouterr().out
    assert "/data/stack.json" in shown
    assert "JBSWY3DP" not in shown
    assert "█" not in shown


def test_on_a_terminal_the_admins_second_factor_is_a_code_to_scan(capsys: pytest.CaptureFixture[str]) -> None:
    board = Board(errors=False)
    board.lively = True
    board.invite(DETAILS["accounts"]["admin"], "/data/stack.json")
    shown = capsys.readouterr().out
    assert "scan this" in shown
    uri = "otpauth://totp/Strongroom%20demo:admin?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Strongroom%20demo"
    assert drawn(uri).splitlines()[5].strip() in shown
    assert max(map(len, drawn(uri).splitlines())) < 80


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """A demo whose stack is a stand-in; `passages` and `fails` say how it goes."""
    going = SimpleNamespace(passages=[], fails=None, data=tmp_path / "data", stopped=False)

    @contextmanager
    def running(data: Path, **_: Any) -> Iterator[SimpleNamespace]:
        if going.fails:
            raise going.fails
        try:
            yield SimpleNamespace(details=DETAILS, path=data / "stack.json", poll=lambda: None)
        finally:
            going.stopped = True

    def delivered(*_: Any) -> list[Passage]:
        return list(going.passages)

    def made(prefix: str) -> str:
        going.data.mkdir()
        return str(going.data)

    monkeypatch.setattr(demo, "running", running)
    monkeypatch.setattr(demo, "_delivered", delivered)
    monkeypatch.setattr("tempfile.mkdtemp", made)
    return going


def test_the_json_report_is_one_line_and_the_only_one_on_standard_output(
    stack: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.passages = [ended(PAPER, "available", version=1, intact=True, steps={"scan": 0.1234})]
    assert demo.main(["--exit", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {
        "documents": [
            {
                "name": "Paper",
                "expected": "available",
                "status": "available",
                "reason_code": None,
                "version": 1,
                "seconds": 0.0,
                "steps": {"scan": 0.123},
            }
        ],
        "engine": "clamd",
    }


def test_a_good_run_stops_everything_and_leaves_no_data(stack: SimpleNamespace) -> None:
    stack.passages = [ended(PAPER, "available", version=1, intact=True)]
    assert demo.main(["--exit"]) == 0
    assert stack.stopped
    assert not stack.data.exists()


def test_a_document_that_ended_otherwise_fails_the_run_and_the_logs_are_kept(
    stack: SimpleNamespace,
) -> None:
    stack.passages = [ended(PAPER, "infected")]
    assert demo.main(["--exit"]) == 1
    assert stack.stopped
    assert stack.data.exists()


def test_a_stack_that_does_not_start_fails_the_run_in_words(
    stack: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.fails = StackFailed("postgres did not start")
    assert demo.main(["--exit"]) == 1
    assert "postgres did not start" in capsys.readouterr().out


def test_ctrl_c_while_it_starts_ends_with_130_and_leaves_no_data(stack: SimpleNamespace) -> None:
    stack.fails = KeyboardInterrupt()
    assert demo.main([]) == demo.INTERRUPTED
    assert not stack.data.exists()


def test_ctrl_c_while_it_stays_stops_everything(stack: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupted)
    stack.passages = [ended(PAPER, "available", version=1, intact=True)]
    assert demo.main([]) == demo.INTERRUPTED
    assert stack.stopped


def test_a_file_that_is_not_there_is_named_before_anything_starts(
    stack: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        demo.main(["no-such-file.pdf"])
    assert left.value.code == 2
    assert "no-such-file.pdf" in capsys.readouterr().err
