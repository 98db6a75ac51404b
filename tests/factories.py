"""Plain functions that make what tests need, by the ways the product itself has."""

import hashlib
import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
import requests
from django.utils import timezone

from audit.trail import Ref
from identity import accounts, mfa, tokens
from identity.models import TokenKind, User
from pipeline import lifecycle, storage
from pipeline.models import DocumentVersion

PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Count 1/Kids[3 0 R]>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Resources<<>>>>endobj\n"
    b"xref\n0 4\n0000000000 65535 f \n0000000009 00000 n \n0000000052 00000 n \n0000000101 00000 n \n"
    b"trailer<</Size 4/Root 1 0 R>>\nstartxref\n176\n%%EOF\n"
)
# Joined when it runs, so that no scanner takes this file, or its compiled form, for the test file itself.
EICAR = b"$".join([b"X5O!P%@AP[4\\PZX54(P^)7CC)7}", b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!", b"H+H*"])


TESTS = Ref("system", "tests")
PASSWORD = "correct horse battery"


def person(username: str, role: str, *, password: str | None = None, **more: Any) -> User:
    """Make an account, without a password unless one is given; most tests sign in by token."""
    return accounts.create(username=username, role=role, password=password, actor=TESTS, **more)


def enrolled(user: User, secret: str | None = None) -> str:
    """Give the person a second factor; return its secret."""
    secret = secret or pyotp.random_base32()
    mfa.enrol_with(user, secret, by=TESTS, now=timezone.now())
    user.refresh_from_db()
    return secret


def code(secret: str, *, steps: int = 0, now: datetime | None = None) -> str:
    """The code of the present time step, or of one so many steps later. Each is good once."""
    return pyotp.TOTP(secret).at(now or timezone.now(), counter_offset=steps)


def token(user: User, *, kind: TokenKind = TokenKind.SESSION, age: timedelta = timedelta()) -> tokens.Issued:
    """A token of somebody who has shown both factors, so long ago (or of the other kind, a password alone)."""
    now = timezone.now()
    user.refresh_from_db()
    mfa_at = None if kind == TokenKind.ENROL else now - age
    return tokens.issue(user, kind=kind, mfa_at=mfa_at, now=now)


def begun(
    owner: User, body: bytes = PDF, *, name: str = "Statement", filename: str = "statement.pdf", **changes: Any
) -> DocumentVersion:
    """Begin an upload of `body`."""
    said = {
        "name": name,
        "doc_type": "statement",
        "filename": filename,
        "content_type": "application/pdf",
        "size": len(body),
        **changes,
    }
    return lifecycle.begin(owner, **said)


def send(version: DocumentVersion, body: bytes = PDF, **fields: str) -> requests.Response:
    """POST the bytes to S3 as a browser does: all fields first, the file last."""
    post = storage.presigned_post(version, timezone.now())
    files = {"file": (version.filename, body, version.content_type)}
    return requests.post(post["url"], data={**post["fields"], **fields}, files=files, timeout=30)


def received(owner: User, body: bytes = PDF, **changes: Any) -> DocumentVersion:
    """An upload whose bytes have come and are pinned."""
    version = begun(owner, body, **changes)
    send(version, body).raise_for_status()
    return _moved(lifecycle.receive, version)


def validated(owner: User, body: bytes = PDF, **changes: Any) -> DocumentVersion:
    """One that was accepted for what it is."""
    return _moved(lifecycle.validate, received(owner, body, **changes))


def clean(owner: User, body: bytes = PDF, **changes: Any) -> DocumentVersion:
    """One that was scanned."""
    return _moved(lifecycle.scan, validated(owner, body, **changes))


def available(owner: User, body: bytes = PDF, **changes: Any) -> DocumentVersion:
    """One in the vault."""
    return _moved(lifecycle.finalize, clean(owner, body, **changes))


def _moved(step: Callable[[Any], DocumentVersion | None], version: DocumentVersion) -> DocumentVersion:
    moved = step(version.pk)
    assert moved is not None, f"{version.status} did not move"
    return DocumentVersion.objects.select_related("document").get(pk=version.pk)


def sha256(body: bytes) -> str:
    """The hash in hex."""
    return hashlib.sha256(body).hexdigest()


def stack() -> dict[str, Any]:
    """What is told of the servers that the tests run against: credentials of other identities, addresses."""
    told: dict[str, Any] = json.loads(Path(os.environ["STRONGROOM_STACK"]).read_text())
    return told


def said(answer: Any) -> Any:
    """The JSON of an answer."""
    return json.loads(answer.content)
