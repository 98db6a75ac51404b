"""What the machine of `test_model` puts in the place of S3, the sandbox, the scanner and the broker, in memory.

At the seam, which is the functions of `pipeline.storage` and its neighbours, because a model-based test takes many
thousands of steps; the journeys and the other tests speak to real servers. Each function says where it is to `touch`
before it does anything, and after it has changed something, so that it can be broken off there.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from tempfile import TemporaryFile
from typing import IO, Any
from uuid import UUID, uuid4

import pytest
import urllib3.exceptions

from pipeline import clamav, sandbox, scanner, storage
from pipeline.inspection.report import Report
from pipeline.models import DocumentVersion
from workers import broker, nudges, reconcile

Touch = Callable[[str], None]
GOOD, DAMAGED, EVIL = "good", "dmgd", "evil"
ENGINE = scanner.Engine("double", "1", "double", None)


class Bucket:
    """Quarantine and vault. A copy into the vault is made once; its source is one S3 version."""

    def __init__(self, touch: Touch) -> None:
        self.touch = touch
        self.quarantine: dict[UUID, list[tuple[str, bytes]]] = defaultdict(list)
        self.vault: dict[UUID, tuple[str, str, bytes]] = {}
        self.deleted: dict[UUID, int] = defaultdict(int)

    def send(self, key: UUID, body: bytes) -> None:
        """Take one more S3 version."""
        self.quarantine[key].append((uuid4().hex, body))

    def oldest(self, version: DocumentVersion) -> storage.Pin | None:
        """As `storage.oldest`."""
        self.touch("storage")
        return next((storage.Pin(at, f'"{at}"', len(body)) for at, body in self.quarantine[version.pk]), None)

    def stream(self, version: DocumentVersion) -> Iterator[bytes]:
        """As `storage.stream`."""
        self.touch("storage")
        yield self._pinned(version)

    @contextmanager
    def spooled(self, version: DocumentVersion) -> Iterator[storage.Spooled]:
        """As `storage.spooled`."""
        with TemporaryFile() as file:
            for chunk in self.stream(version):
                file.write(chunk)
            file.seek(0)
            yield storage.Spooled(file, len(chunk), sha256(chunk).hexdigest())

    def admit(self, version: DocumentVersion) -> str:
        """As `storage.admit`."""
        self.touch("storage")
        if version.pk not in self.vault:
            self.vault[version.pk] = uuid4().hex, version.s3_version_id, self._pinned(version)
            self.touch("storage")
        at, source, _ = self.vault[version.pk]
        assert source == version.s3_version_id
        return at

    def quarantined(self, version: DocumentVersion) -> list[str]:
        """As `storage.quarantined`."""
        self.touch("storage")
        return [at for at, _ in self.quarantine[version.pk]]

    def purge(self, version: DocumentVersion, these: list[str] | None = None) -> int:
        """As `storage.purge`."""
        doomed = self.quarantined(version) if these is None else these
        for one in doomed:
            self.touch("storage")
            self.quarantine[version.pk] = [(at, body) for at, body in self.quarantine[version.pk] if at != one]
            self.deleted[version.pk] += 1
        return len(doomed)

    def _pinned(self, version: DocumentVersion) -> bytes:
        for at, body in self.quarantine[version.pk]:
            if at == version.s3_version_id:
                return body
        raise storage.Gone


class Queues:
    """The broker: a list of messages for each queue."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str, str]] = []

    def send(self, task: str, *, queue: str = "", **ids: str) -> None:
        """As `nudges.send`."""
        if version_id := ids.get("version_id", ""):
            self.messages.append((task, queue, version_id))

    def length(self, queue: str) -> int:
        """As `broker.length`."""
        return sum(there == queue for _, there, _ in self.messages)


def inspect(file: IO[bytes], **_: Any) -> Report:
    """As `sandbox.inspect`."""
    return Report.damaged() if kind(file.read()) == DAMAGED else Report("application/pdf", (), "pdf")


def kind(body: bytes) -> str:
    """Which of the three it is."""
    return body[:4].decode()


def scans(touch: Touch) -> Callable[..., scanner.Verdict]:
    """Make what stands in for `scanner.scan`."""

    def scan(chunks: Iterable[bytes], *, size: int, sha256: str, **_: Any) -> scanner.Verdict:
        touch("scanner")
        body = b"".join(chunks)
        found = "Evil" if kind(body) == EVIL else ""
        code = "infected" if found else "clean"
        return scanner.Verdict(code, found, ENGINE, None, "", "", size, sha256, 0, 0.0)

    return scan


FAULTS: dict[str, Callable[[], Exception]] = {
    "storage": lambda: urllib3.exceptions.ProtocolError("broken off"),
    "scanner": lambda: clamav.Unavailable("away"),
}


@contextmanager
def instead(bucket: Bucket, queues: Queues) -> Iterator[None]:
    """Put them in their places for the block."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("oldest", "stream", "spooled", "admit", "quarantined", "purge"):
            patch.setattr(storage, name, getattr(bucket, name))
        patch.setattr(sandbox, "inspect", inspect)
        patch.setattr(scanner, "scan", scans(bucket.touch))
        for module in (nudges, reconcile):
            patch.setattr(module, "send", queues.send)
        patch.setattr(broker, "length", queues.length)
        patch.setattr(reconcile, "_mail", lambda: 0)
        yield
