"""The log as C2SP tlog-tiles has it: the newest checkpoint, and tiles of hashes and of events, never past it.

https://c2sp.org/tlog-tiles says what the paths and bytes are, so that clients and witnesses which we did not write can
follow. With AUDIT_LOG_PUBLIC anybody may, as far as the checkpoint and the hashes go; events are for those who read
the log.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from django.conf import settings
from django.http import Http404, HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request

from api.permissions import ReadsTheLog
from api.rates import Calls, Strangers
from api.views import View
from audit import checkpoint, tiles

_YEAR: Final = 365 * 24 * 3600
_LEVEL: Final = re.compile(r"0|[1-9][0-9]?", re.ASCII)  # 0 to 63
_HIGHEST_LEVEL: Final = 63
# x001/x234/067, and .p/17 behind it where the tile is partial; no group too many, no zero in front of a width.
_PLACE: Final = re.compile(r"((?:x(?!000)[0-9]{3}/(?:x[0-9]{3}/){0,5})?[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII)


class AsItIs(BaseContentNegotiation):
    """These files have one form, whatever a client says it accepts; what is refused is refused in JSON."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """The first; nothing is posted here."""
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        """The first, which is JSON."""
        return renderers[0], renderers[0].media_type


class Follows(ReadsTheLog):
    """Those who read the log; anybody where the log is public."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether the caller may follow the log."""
        return settings.AUDIT_LOG_PUBLIC or super().has_permission(request, view)


class Checkpoint(View):
    """What was published last."""

    permission_classes = (Follows,)
    throttle_classes = (Calls, Strangers)
    content_negotiation_class = AsItIs

    @extend_schema(responses={(200, "text/plain"): OpenApiTypes.STR}, operation_id="audit_log_checkpoint")
    def get(self, request: Request) -> HttpResponse:
        """Return the newest checkpoint: a C2SP signed note of the log's size and root."""
        newest = checkpoint.latest()
        if newest is None:
            raise Http404
        return HttpResponse(newest.note, content_type="text/plain; charset=utf-8")


class Hashes(View):
    """Tiles of hashes."""

    permission_classes = (Follows,)
    throttle_classes = (Calls, Strangers)
    content_negotiation_class = AsItIs

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY}, operation_id="audit_log_hashes")
    def get(self, request: Request, level: str, place: str) -> HttpResponse:
        """Return 32 bytes for each hash of the tile. `place` is such as `x001/x234/067` or `003.p/17`."""
        if not _LEVEL.fullmatch(level) or int(level) > _HIGHEST_LEVEL:
            raise Http404
        number, width = _published(int(level), place)
        body = _there(tiles.hashes, int(level), number, width)
        self.headers["Cache-Control"] = _kept(width, "public" if settings.AUDIT_LOG_PUBLIC else "private")
        return HttpResponse(body, content_type="application/octet-stream")


class Entries(View):
    """Tiles of events."""

    permission_classes = (ReadsTheLog,)
    content_negotiation_class = AsItIs

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY}, operation_id="audit_log_entries")
    def get(self, request: Request, place: str) -> HttpResponse:
        """Return the events of the tile, each after its length in two bytes. `place` is as for the hashes."""
        number, width = _published(0, place)
        body = _there(tiles.entries, number, width)
        self.headers["Cache-Control"] = _kept(width, "private")
        return HttpResponse(body, content_type="application/octet-stream")


def _published(level: int, place: str) -> tuple[int, int]:
    """The number and width of a tile that the newest checkpoint covers. Raises Http404."""
    said = _PLACE.fullmatch(place)
    newest = checkpoint.latest()
    if not said or newest is None:
        raise Http404
    number, width = int(re.sub("[x/]", "", said[1])), int(said[2] or tiles.WIDTH)
    if (said[2] and width >= tiles.WIDTH) or number * tiles.WIDTH + width > newest.size >> tiles.LEVEL_HEIGHT * level:
        raise Http404
    return number, width


def _there(read: Callable[..., bytes], *which: int) -> bytes:
    """The tile. Raises Http404."""
    try:
        return read(*which)
    except tiles.NoSuchTile:
        raise Http404 from None


def _kept(width: int, by: str) -> str:
    """Who keeps a tile and how long: a full one never changes (RFC 8246)."""
    return f"{by}, max-age={_YEAR}, immutable" if width == tiles.WIDTH else "no-store"
