"""The papers that the demo sends for the investors of a small fund, and what must become of each.

Most are honest papers that must reach the vault. The rest are what an intake must withstand: a
virus, a program dressed as a PDF, bytes that are not those announced, an upload that never comes.
`papers` makes the bodies; `demo` sends them.
"""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from devstack import papers

# Our own table: what Python's mimetypes knows of office files depends on the machine's mime.types.
CONTENT_TYPES = {
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "doc": "application/msword",
    "xls": "application/vnd.ms-excel",
    "ppt": "application/vnd.ms-powerpoint",
    "csv": "text/csv",
    "txt": "text/plain",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "tif": "image/tiff",
    "tiff": "image/tiff",
}


class Conduct(Enum):
    """How the sender of a sample behaves."""

    HONEST = "sends what it announced"
    OTHER_BYTES = "announces the SHA-256 of other bytes"
    NEVER_SENDS = "asks for an upload and goes away"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One paper to send: its place, its bytes, and the end that it must come to.

    `expected` is a version's status, or `refused` where S3 itself must turn the upload away.
    `reason_code` and `version` bind where they are given. A sample that `follows` waits until the
    one of the same name before it was received: version numbers go by the order of receipt.
    """

    name: str
    doc_type: str
    filename: str
    body: bytes
    owner: str = "alice"
    expected: str = "available"
    reason_code: str | None = None
    version: int | None = None
    conduct: Conduct = Conduct.HONEST
    follows: bool = False

    @property
    def content_type(self) -> str:
        """The content type that the file name's extension says."""
        return CONTENT_TYPES.get(Path(self.filename).suffix[1:].lower(), "application/octet-stream")


def samples() -> list[Sample]:
    """Make every sample, in the order in which the demo shows them."""
    return [*_statements(), *_agreements(), *_identity(), *_hostile()]


def from_file(path: Path) -> Sample:
    """A file of the user's own, sent as type `other` with the content type its extension says.

    Raises OSError when it cannot be read.
    """
    return Sample(name=path.name, doc_type="other", filename=path.name, body=path.read_bytes())


def _statements() -> list[Sample]:
    return [
        _quarter("Closing balance: EUR 412,750.00", version=1),
        _quarter("Closing balance: EUR 412,570.00 (corrected)", version=2),
        Sample(
            name="Capital account 2026",
            doc_type="statement",
            filename="capital-account.xlsx",
            body=papers.xlsx("Capital account"),
            version=1,
        ),
        Sample(
            name="Cash movements",
            doc_type="statement",
            filename="movements.csv",
            body=papers.table(),
            owner="bob",
            version=1,
        ),
    ]


def _quarter(balance: str, *, version: int) -> Sample:
    return Sample(
        name="Statement Q3 2026",
        doc_type="statement",
        filename="statement-q3.pdf",
        body=papers.pdf(papers.FUND, "Statement of account, third quarter 2026", "", balance),
        version=version,
        follows=version > 1,
    )


def _agreements() -> list[Sample]:
    return [
        Sample(
            name="Subscription agreement",
            doc_type="agreement",
            filename="subscription.docx",
            body=papers.docx("Subscription agreement", papers.FUND, *papers.TERMS),
            version=1,
        ),
        Sample(
            name="Side letter",
            doc_type="agreement",
            filename="side-letter.odt",
            body=papers.odt("Side letter", papers.FUND, *papers.TERMS),
            owner="bob",
            version=1,
        ),
        Sample(
            name="Annual meeting",
            doc_type="other",
            filename="annual-meeting.pptx",
            body=papers.pptx("Annual meeting 2026", papers.FUND),
            version=1,
        ),
        Sample(
            name="Notice to investors",
            doc_type="other",
            filename="notice.txt",
            body=papers.text(papers.FUND, "The annual meeting is on 12 May.", *papers.TERMS),
            version=1,
        ),
    ]


def _identity() -> list[Sample]:
    kinds = (
        ("Passport", "png", "alice", ("ALICE ADLER", "Nationality: Utopian", "Expires 2031-04-02")),
        (
            "Proof of address",
            "tiff",
            "alice",
            ("Alice Adler", "4 Quay Street", "Issued 2026-08-31"),
        ),
        ("Driving licence", "jpeg", "bob", ("BOB BRANDT", "Class B", "Expires 2034-11-20")),
    )
    return [
        Sample(
            name=title,
            doc_type="id",
            filename=f"{title.lower().replace(' ', '-')}.{kind}",
            body=papers.picture(kind.upper(), title, "SPECIMEN", *lines),
            owner=owner,
            version=1,
        )
        for title, kind, owner, lines in kinds
    ]


def _hostile() -> list[Sample]:
    return [
        Sample(
            name="Bank details",
            doc_type="other",
            filename="bank-details.txt",
            body=papers.eicar(),
            expected="infected",
            reason_code="infected",
        ),
        Sample(
            name="Annual report",
            doc_type="statement",
            filename="report.pdf",
            body=papers.program(),
            expected="rejected",
            reason_code="type_mismatch",
        ),
        Sample(
            name="Altered on the way",
            doc_type="other",
            filename="altered.txt",
            body=papers.text("Pay into the account ending 4471."),
            expected="refused",
            reason_code="bad_digest",
            conduct=Conduct.OTHER_BYTES,
        ),
        Sample(
            name="Never sent",
            doc_type="id",
            filename="never-sent.png",
            body=papers.picture("PNG", "Never sent", "SPECIMEN"),
            expected="expired",
            reason_code="never_sent",
            conduct=Conduct.NEVER_SENDS,
        ),
    ]
