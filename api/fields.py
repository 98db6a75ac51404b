"""Input that is strict about what it takes: unknown fields are refused, names are plain text."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from unicodedata import category, normalize

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

_NOT_IN_NAMES = {"Cc", "Cs", "Zl", "Zp"}  # controls, surrogates, line and paragraph separators


class Input(serializers.Serializer[Any]):
    """A body whose every field is known; an unknown one is an error, named."""

    @classmethod
    def of(cls, data: Any) -> dict[str, Any]:
        """Return the values of a body or query. Raises ValidationError (400), by field."""
        given = cls(data=data)
        given.is_valid(raise_exception=True)
        values: dict[str, Any] = given.validated_data
        return values

    def to_internal_value(self, data: Any) -> Any:
        """Refuse fields that the input does not have."""
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, Mapping) else []
        if unknown:
            raise serializers.ValidationError({str(name): ["Unknown field."] for name in unknown})
        return super().to_internal_value(data)


class Text(serializers.CharField):
    """A string. DRF would take a number for one."""

    def to_internal_value(self, data: Any) -> str:
        """Refuse what is not a string."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Typed(Text):
    """What somebody typed to prove who they are: any string whatever.

    One that can never be right (too long, NUL, half a surrogate pair) is an attempt all the same: the
    domain counts it and answers as to any other. The length of the body bounds it (api.parsers).
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.validators = []


class Line(Text):
    """One line of text that people read: NFC, trimmed, without control characters."""

    def to_internal_value(self, data: Any) -> str:
        """Return the text in NFC (Unicode TR 15), so that equal texts are equal strings."""
        line = normalize("NFC", super().to_internal_value(data)).strip()
        if any(category(c) in _NOT_IN_NAMES for c in line):
            raise serializers.ValidationError("Control characters are not allowed.")
        return line


@extend_schema_field(OpenApiTypes.DATETIME)
class Moment(serializers.Field[datetime, str, str, Any]):
    """A moment as RFC 3339 writes it, with its zone; returned in UTC. DRF would also take one without, and guess."""

    default_error_messages = {
        "invalid": "Not a moment of RFC 3339, such as 2026-11-24T12:00:00Z. In an address + is %2B."
    }
    _WRITTEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)

    def to_internal_value(self, data: Any) -> datetime:
        """Refuse what is none."""
        if not isinstance(data, str) or not self._WRITTEN.fullmatch(data):
            self.fail("invalid")
        try:
            return datetime.fromisoformat(data.upper()).astimezone(UTC)
        except (ValueError, OverflowError):  # the 30th of February; the year 0
            self.fail("invalid")

    def to_representation(self, value: datetime) -> str:
        """As it came, in UTC."""
        return value.isoformat()


class Name(Line):
    """What something is called: a line of at most 255 characters."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=255, **kwargs)


class FileName(Name):
    """A file's name without a path (OWASP ASVS 5.3.2: it is kept as data, never used as a path)."""

    def to_internal_value(self, data: Any) -> str:
        """Refuse separators and the names of folders."""
        name = super().to_internal_value(data)
        if "/" in name or "\\" in name or name in {".", ".."}:
            raise serializers.ValidationError("A file name has no path.")
        return name
