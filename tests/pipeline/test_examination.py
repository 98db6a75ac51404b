"""What inspection finds, and what becomes of the version: through the real sandbox, scanner and storage."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings
from rest_framework.test import APIClient

from audit.models import Outbox
from identity.models import User
from pipeline import lifecycle, policy, sandbox, scanner
from pipeline.models import DocumentVersion, Scan, Status
from tests import factories
from tests.factories import EICAR, said
from tests.inspection import makers
from tests.pipeline import clamds

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nobody_is_woken(settings: Settings) -> None:
    """These tests take each step themselves."""
    settings.AUDIT_WAKE = settings.MAIL_WAKE = ""


def last_facts() -> dict[str, Any]:
    """The facts of the event recorded last."""
    facts: dict[str, Any] = json.loads(Outbox.objects.latest("id").leaf)["facts"]
    return facts


def judged(owner: User, body: bytes, filename: str = "a.pdf") -> DocumentVersion:
    """The version after its examination."""
    kind = {"pdf": "application/pdf"}.get(filename[-3:], "application/octet-stream")
    version = factories.received(owner, body, filename=filename, content_type=kind)
    moved = lifecycle.validate(version.pk)
    assert moved is not None
    return DocumentVersion.objects.select_related("document").get(pk=version.pk)


def test_an_attachment_is_flagged_streamed_by_itself_and_clean(alice: User, api: APIClient) -> None:
    version = judged(alice, makers.pdf_with(b"attached words, nothing more"))
    assert (version.status, version.flags, version.found) == ("validated", ["attachment"], ["attachment"])
    assert version.policy_sha256 == policy.load().digest == last_facts()["policy_sha256"]
    scanned = lifecycle.scan(version.pk)
    assert scanned is not None
    assert scanned.status == Status.CLEAN
    assert last_facts()["parts"] == 1
    assert len(Scan.objects.get().config_sha256) == 64
    assert said(api.get(f"/api/documents/{version.pk}/"))["flags"] == ["attachment"]


def test_malware_in_an_attachment_that_clamd_does_not_see_ends_the_version(alice: User) -> None:
    """As qpdf writes attachments clamd takes the deflated bytes for the content, and says OK."""
    body = makers.pdf_with(EICAR)
    version = judged(alice, body)
    assert not clamd_alone(body)
    scanned = lifecycle.scan(version.pk)
    assert scanned is not None
    assert (scanned.status, scanned.reason_code) == (Status.INFECTED, "infected")
    assert "attachment 1" in Scan.objects.get().signature


def test_malware_in_an_attachment_of_an_attachment_is_found(alice: User) -> None:
    version = judged(alice, makers.pdf_with(b"words", makers.pdf_with(EICAR)))
    scanned = lifecycle.scan(version.pk)
    assert scanned is not None
    assert scanned.status == Status.INFECTED
    assert "attachment 3" in Scan.objects.get().signature


def clamd_alone(body: bytes) -> str:
    """What clamd finds in the whole file."""
    verdict = scanner.scan([body], size=len(body), sha256=factories.sha256(body))
    return verdict.signature


def test_a_policy_that_allows_attachments_has_them_scanned_all_the_same(
    alice: User, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(policy.SHIPPED.read_text().replace('attachment = "flag"', 'attachment = "allow"'))
    settings.POLICY_FILE = str(path)
    version = judged(alice, makers.pdf_with(EICAR))
    assert version.flags == []
    scanned = lifecycle.scan(version.pk)
    assert scanned is not None
    assert scanned.status == Status.INFECTED


@pytest.mark.parametrize(
    ("body", "filename", "code"),
    [
        (makers.pdf_locked(), "a.pdf", "encrypted"),
        (makers.encrypted_office("docx"), "a.docx", "encrypted"),
        (b"MZ" + b"\0" * 200, "a.pdf", "type_mismatch"),
        (factories.PDF[:90], "a.pdf", "malformed"),
        (factories.PDF + b"PK\x05\x06" + b"\0" * 18, "a.pdf", "polyglot"),
    ],
)
def test_what_is_rejected_says_why_and_what_to_do(alice: User, body: bytes, filename: str, code: str) -> None:
    version = judged(alice, body, filename)
    assert (version.status, version.reason_code) == ("rejected", code)
    assert version.reason.endswith(".")


def test_stale_signatures_let_a_version_wait_and_fresh_ones_let_it_go_on(
    alice: User, api: APIClient, settings: Settings
) -> None:
    version = factories.validated(alice)
    settings.SCANNER_TEST_SIGNATURES = False
    with pytest.raises(scanner.Stale):
        lifecycle.scan(version.pk)
    told = said(api.get(f"/api/documents/{version.pk}/"))
    assert (told["status"], told["reason_code"]) == ("validated", "waiting")
    assert "out of date" in told["reason"]
    version.refresh_from_db()
    assert (version.attempts, version.stuck_reason) == (0, "")
    fresh = f"ClamAV 1.4.6/27000/{datetime.now(UTC):%a %b %d %H:%M:%S %Y}".encode()
    with clamds.answering(b"stream: OK\0", version=fresh) as settings.CLAMD_ADDRESS:
        moved = lifecycle.scan(version.pk)
    assert moved is not None
    assert (moved.status, moved.waits_for) == (Status.CLEAN, "")
    assert Scan.objects.get().signatures_dated


def test_a_sandbox_that_is_away_is_a_fault_and_burns_no_attempt(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    version = factories.received(alice)

    def away(*_: Any, **__: Any) -> None:
        raise sandbox.Unavailable("as if")

    monkeypatch.setattr(sandbox, "inspect", away)
    with pytest.raises(sandbox.Unavailable):
        lifecycle.validate(version.pk)
    version.refresh_from_db()
    assert (version.status, version.attempts) == ("received", 0)
    assert "examined" in version.waits_for


def test_manage_inspect_tells_what_would_become_of_local_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.pdf", tmp_path / "bad.pdf"
    good.write_bytes(makers.pdf_with(b"attached words"))
    bad.write_bytes(makers.pdf_locked())
    with pytest.raises(CommandError, match="1 of 2"):
        call_command("inspect", str(good), str(bad), "--json")
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["accepted"], first["flags"]) == (True, ["attachment"])
    assert (second["accepted"], second["reason_code"]) == (False, "encrypted")
    call_command("inspect", str(good))
    assert "would be taken" in capsys.readouterr().out
    with pytest.raises(CommandError, match="No such file"):
        call_command("inspect", str(tmp_path / "none.pdf"))
