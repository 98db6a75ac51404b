"""Input that is strict about what it takes: unknown fields are refused, names are plain text."""

from collections.abc import Mapping
from typing import Any
from unicodedata import category, normalize

from rest_framework import serializers

_NOT_IN_NAMES = {"Cc", "Cs", "Zl", "Zp"}  # controls, surrogates, line and paragraph separators


class Input(serializers.Serializer[Any]):
    """A body whose every field is known; an unknown one is an error, named."""

    def to_internal_value(self, data: Any) -> Any:
        """Refuse fields that the input does not have."""
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, Mapping) else []
        if unknown:
            raise serializers.ValidationError({str(name): ["Unknown field."] for name in unknown})
        return super().to_internal_value(data)


class Name(serializers.CharField):
    """Text that a person reads as a name: NFC, trimmed, one line, at most 255 characters."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=255, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        """Return the name in NFC (Unicode TR 15), so that equal names are equal strings."""
        name = normalize("NFC", super().to_internal_value(data)).strip()
        if any(category(c) in _NOT_IN_NAMES for c in name):
            raise serializers.ValidationError("Control characters are not allowed.")
        return name


class FileName(Name):
    """A file's name without a path (OWASP ASVS 5.3.2: it is kept as data, never used as a path)."""

    def to_internal_value(self, data: Any) -> str:
        """Refuse separators and the names of folders."""
        name = super().to_internal_value(data)
        if "/" in name or "\\" in name or name in {".", ".."}:
            raise serializers.ValidationError("A file name has no path.")
        return name
