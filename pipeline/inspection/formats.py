"""The formats that can be taken. Nothing else is; which document type takes which is the policy's to say.

No parser is imported here: the worker and the API read this list too.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath

_OOXML = "application/vnd.openxmlformats-officedocument"
_ODF = "application/vnd.oasis.opendocument"
GENERIC = "application/octet-stream"  # what a browser declares for a type that it does not know


@dataclass(frozen=True)
class Format:
    """A format: its extensions, its media type, others that callers declare for it, what libmagic says.

    `detected` and `also_declared` hold media types beside `media_type` itself.
    """

    extensions: tuple[str, ...]
    media_type: str
    also_declared: frozenset[str] = frozenset()
    also_detected: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """What reports and the policy call it: its first extension."""
        return self.extensions[0]

    @property
    def detected(self) -> frozenset[str]:
        """Media types that the content may be found to have."""
        return self.also_detected | {self.media_type}

    def named(self, content_type: str) -> bool:
        """Whether a caller may declare this type for the format (parameters are ignored)."""
        plain = content_type.partition(";")[0].strip().lower()
        return plain in {self.media_type, GENERIC} | self.also_declared


FORMATS: tuple[Format, ...] = (
    Format(("pdf",), "application/pdf"),
    Format(("docx",), f"{_OOXML}.wordprocessingml.document"),
    Format(("xlsx",), f"{_OOXML}.spreadsheetml.sheet"),
    Format(("pptx",), f"{_OOXML}.presentationml.presentation"),
    Format(("odt",), f"{_ODF}.text"),
    Format(("ods",), f"{_ODF}.spreadsheet"),
    Format(("odp",), f"{_ODF}.presentation"),
    Format(("doc",), "application/msword"),
    Format(("xls",), "application/vnd.ms-excel"),
    Format(("ppt",), "application/vnd.ms-powerpoint"),
    Format(
        ("csv",),
        "text/csv",
        # Windows with Excel declares CSV as Excel's own type.
        frozenset({"text/plain", "application/csv", "application/vnd.ms-excel"}),
        frozenset({"text/plain", "application/csv"}),
    ),
    Format(("txt",), "text/plain", frozenset(), frozenset({"text/csv", "application/csv"})),
    Format(("png",), "image/png"),
    Format(("jpg", "jpeg"), "image/jpeg", frozenset({"image/jpg"})),
    Format(("tif", "tiff"), "image/tiff"),
)
_BY_EXTENSION = {extension: format for format in FORMATS for extension in format.extensions}
EXTENSIONS = tuple(sorted(_BY_EXTENSION))
NAMES = frozenset(format.name for format in FORMATS)


def of(filename: str) -> Format | None:
    """Return the format that the file's extension promises, or None if it is not one that is taken."""
    return _BY_EXTENSION.get(PurePosixPath(filename).suffix.lower().removeprefix("."))
