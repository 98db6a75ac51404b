"""What is sent: the kinds of uploads, their bodies, and what must become of each.

Everything about the n-th upload of a run follows from the seed and n.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from random import Random
from typing import Any

from devstack import papers
from devstack.samples import CONTENT_TYPES

HOT_NAMES = 3
HOT_SHARE = 0.4


class Kind(Enum):
    """How an upload is meant, and how it must end."""

    GOOD = "available"
    SILENT = "available, though its client never calls back"
    REPLAYED = "available, though its POST is sent again with other bytes"
    DRESSED_UP = "rejected: a program called a PDF"
    BROKEN = "rejected: half a document"
    INFECTED = "infected"
    ABANDONED = "expired: nothing is sent"
    ALTERED = "expired: S3 refuses other bytes than announced"

    @property
    def end(self) -> str:
        """The status that it must come to."""
        return self.value.partition(",")[0].partition(":")[0]


WEIGHTS = {
    Kind.GOOD: 50,
    Kind.SILENT: 10,
    Kind.REPLAYED: 10,
    Kind.DRESSED_UP: 5,
    Kind.BROKEN: 5,
    Kind.INFECTED: 7,
    Kind.ABANDONED: 8,
    Kind.ALTERED: 5,
}
_FORMATS: dict[str, tuple[int, Callable[[str], bytes]]] = {
    "txt": (25, lambda word: papers.text(papers.FUND, word)),
    "csv": (20, lambda word: papers.table() + f"2026-12-01,{word},1.00\n".encode()),
    "pdf": (25, lambda word: papers.pdf(papers.FUND, word)),
    "docx": (10, lambda word: papers.docx("Notice", word)),
    "xlsx": (7, lambda word: papers.xlsx(word[:30])),
    "odt": (5, lambda word: papers.odt("Notice", word)),
    "png": (8, lambda word: papers.picture("PNG", "Specimen", word)),
}


@dataclass(frozen=True)
class Intent:
    """One upload as its owner means it. The file's name is its own, and so tells its rows from all others."""

    number: int
    kind: Kind
    owner: int
    name: str
    filename: str
    body: bytes

    @property
    def content_type(self) -> str:
        """The media type that the name's extension says."""
        return CONTENT_TYPES[self.filename.rpartition(".")[2]]

    @property
    def sha256(self) -> str:
        """Of the bytes that are sent."""
        return sha256(self.body).hexdigest()

    def announced(self) -> dict[str, Any]:
        """What the client says beforehand. One that is replayed gives no hash: S3 itself would refuse the replay."""
        said = {"name": self.name, "doc_type": "other", "filename": self.filename, "content_type": self.content_type}
        if self.kind is Kind.REPLAYED:
            return {**said, "size": len(self.body)}
        hashed = sha256(b"other bytes").hexdigest() if self.kind is Kind.ALTERED else self.sha256
        return {**said, "size": len(self.body), "sha256": hashed}

    def replayed(self) -> bytes:
        """Other bytes of the same size, for a replay."""
        return bytes(byte ^ 0x20 for byte in self.body)


def intent(seed: int, number: int, owners: int) -> Intent:
    """Return the upload of that number. Some share a few names of their owner, so that versions come at once."""
    random = Random(f"upload {seed} {number}")  # noqa: S311 (it is to be guessed)
    kind = random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    hot = random.random() < HOT_SHARE
    name = f"Hot {random.randrange(HOT_NAMES)}" if hot else f"Paper {number // 2}"  # two of a name, often
    extension, body = _body(kind, random, f"Upload {number} of seed {seed}, {random.getrandbits(64):016x}")
    return Intent(number, kind, random.randrange(owners), name, f"upload-{number}.{extension}", body)


def _body(kind: Kind, random: Random, word: str) -> tuple[str, bytes]:
    if kind is Kind.INFECTED:
        return "txt", papers.eicar()
    if kind is Kind.DRESSED_UP:
        return "pdf", papers.program() + word.encode()
    if kind is Kind.BROKEN:
        whole = papers.docx("Notice", word)
        return "docx", whole[: len(whole) // 2]
    formats = list(_FORMATS)
    extension = random.choices(formats, [_FORMATS[each][0] for each in formats])[0]
    return extension, _FORMATS[extension][1](word)
