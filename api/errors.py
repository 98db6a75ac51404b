"""Every "no" that the API can say, in one shape.

`{"error": words, "code": slug, "request_id": id}`, with `fields` for bad input and `retry_after` where it
helps. `error` is always a string and there is never a top-level `message`: clients take that for success.
"""

from collections.abc import Callable
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response

from audit import context as request_context
from identity.tokens import WrongCredentials
from pipeline import lifecycle, reading
from pipeline.faults import FAULTS

log = structlog.get_logger(__name__)

RETRY_SECONDS = 5
# A refusal of the domain: its docstring is the words, this is the status and the code.
REFUSALS: dict[type[Exception], tuple[int, str]] = {
    WrongCredentials: (400, "invalid_credentials"),
    lifecycle.BytesMissing: (409, "bytes_missing"),
    lifecycle.TooLarge: (400, "too_large"),
    reading.NotFound: (404, "not_found"),
    reading.NotAvailable: (409, "not_available"),
    reading.MetadataOnly: (403, "metadata_only"),
}
UNAVAILABLE = "A part of this service is away for a moment. Nothing was changed; try again."


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn an exception into an answer (DRF's EXCEPTION_HANDLER); None lets it through as a 500."""
    request_id = _request_id()
    if refusal := _refusal(error):
        code, slug = refusal
        return _answer(code, str(error) or _words(type(error)), slug, request_id)
    if isinstance(error, FAULTS):
        return _unavailable(error, request_id)
    if isinstance(error, exceptions.ValidationError):
        return _answer(400, _first(error.detail), "invalid", request_id, fields=_fields(error.detail))
    if isinstance(error, exceptions.APIException):
        return _declined(error, request_id)
    return None


def _request_id() -> str | None:
    request = request_context.current()
    return request.request_id if request else None


def _refusal(error: Exception) -> tuple[int, str] | None:
    return next((said for kind, said in REFUSALS.items() if isinstance(error, kind)), None)


def _words(kind: type[Exception]) -> str:
    return " ".join((kind.__doc__ or "Refused.").split())


def _answer(code: int, words: str, slug: str, request_id: str | None, **more: Any) -> Response:
    return Response({"error": words, "code": slug, "request_id": request_id, **more}, status=code)


def _unavailable(error: Exception, request_id: str | None) -> Response:
    log.warning("dependency_away", fault=type(error).__name__)
    answer = _answer(503, UNAVAILABLE, "unavailable", request_id, retry_after=RETRY_SECONDS)
    answer["Retry-After"] = str(RETRY_SECONDS)
    return answer


def _declined(error: exceptions.APIException, request_id: str | None) -> Response:
    """DRF's own exceptions: 401, 403, 404, 405, 415, 429 and bad JSON."""
    slug = "bad_json" if isinstance(error, exceptions.ParseError) else str(error.default_code)
    answer = _answer(error.status_code, str(error.detail), slug, request_id)
    if challenge := getattr(error, "auth_header", None):
        answer["WWW-Authenticate"] = challenge
    wait = getattr(error, "wait", None)
    if wait is not None:
        answer["Retry-After"] = str(int(wait) + 1)
        answer.data["retry_after"] = int(wait) + 1
    return answer


def _first(detail: Any) -> str:
    """Return one readable line of a validation error: the first field and what is wrong with it."""
    fields = _fields(detail)
    name, words = next(iter(fields.items()))
    return words if name == "non_field_errors" else f"{name}: {words}"


def _fields(detail: Any) -> dict[str, str]:
    if not isinstance(detail, dict):
        return {"non_field_errors": _flat(detail)}
    return {str(name): _flat(words) for name, words in detail.items()}


def _flat(words: Any) -> str:
    if isinstance(words, dict):
        return "; ".join(f"{name}: {_flat(value)}" for name, value in words.items())
    if isinstance(words, list):
        return " ".join(_flat(item) for item in words)
    return str(words)


# --- what never reaches a view: unknown paths, bad hosts, crashes ------------------------------
def _outside(code: int, words: str, slug: str, page: Callable[..., HttpResponse]) -> Any:
    def answer(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
        if not request.path.startswith("/api/"):
            return page(request) if exception is None else page(request, exception)
        said = {"error": words, "code": slug, "request_id": _request_id()}
        return JsonResponse(said, status=code)

    return answer


bad_request = _outside(400, "The request is not one that this service can read.", "bad_request", defaults.bad_request)
forbidden = _outside(403, "This is not allowed.", "permission_denied", defaults.permission_denied)
not_found = _outside(404, "There is nothing at this address.", "not_found", defaults.page_not_found)
server_error = _outside(
    500,
    "Something went wrong here. It is logged under this request_id.",
    "server_error",
    defaults.server_error,
)
