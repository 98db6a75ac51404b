"""Every "no" that the API can say, in one shape.

`{"error": words, "code": slug, "request_id": id}`, with `fields` for bad input and `retry_after` where it
helps. `error` is always a string and there is never a top-level `message`: clients take that for success.
"""

from collections.abc import Callable
from math import ceil
from typing import Any

import structlog
from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, RequestDataTooBig, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response

from api import denials
from audit import checkpoint, erasure, private
from audit import context as request_context
from identity import acts, authentication, erasures, links, mfa, password_changes, tokens, two_people
from identity.denials import of_page
from pipeline import faults, lifecycle, quotas, reading
from pipeline.faults import FAULTS

log = structlog.get_logger(__name__)

RETRY_SECONDS = 5
_WHOLE = "non_field_errors"  # what is wrong with the whole rather than with a field
# A refusal of the domain: its docstring is the words, this is the status and the code.
REFUSALS: dict[type[Exception], tuple[int, str]] = {
    authentication.WrongCredentials: (400, "invalid_credentials"),
    authentication.CodeRequired: (400, "mfa_required"),
    authentication.WrongCode: (400, "invalid_mfa_code"),
    authentication.FactorLocked: (403, "mfa_locked"),
    authentication.TooManyAttempts: (429, "throttled"),
    mfa.AlreadyEnrolled: (400, "mfa_already_enabled"),
    mfa.NotEnrolled: (400, "mfa_not_enabled"),
    mfa.NotSetUp: (400, "mfa_not_set_up"),
    mfa.Mandatory: (403, "mfa_mandatory"),
    tokens.NoSuchSession: (404, "not_found"),
    password_changes.WrongPassword: (400, "invalid_current_password"),
    links.BadLink: (400, "bad_link"),
    acts.OnYourself: (403, "on_yourself"),
    acts.LastAdmin: (409, "last_admin"),
    acts.NoSuchRequest: (404, "not_found"),
    acts.Pointless: (409, "unchanged"),
    two_people.NotASecondPerson: (403, "second_person_required"),
    erasures.NoSuchPerson: (404, "not_found"),
    erasures.StillActive: (409, "still_active"),
    erasure.AlreadyAsked: (409, "already_asked"),
    erasure.NoSuchErasure: (404, "not_found"),
    checkpoint.NotCovered: (409, "not_covered"),
    private.Damaged: (409, "damaged"),
    lifecycle.BytesMissing: (409, "bytes_missing"),
    lifecycle.TooLarge: (400, "too_large"),
    lifecycle.NothingToRequeue: (409, "nothing_to_requeue"),
    quotas.TooManyOpen: (429, "too_many_open"),
    quotas.DayFull: (429, "day_full"),
    reading.NotFound: (404, "not_found"),
    reading.NotAvailable: (409, "not_available"),
    reading.Withheld: (409, "withheld"),
    reading.MetadataOnly: (403, "metadata_only"),
}
TOO_LARGE = "The body is too large. The bytes of a document are sent to S3, not here."
UNAVAILABLE = "A part of this service is away for a moment. Nothing was changed; try again."


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn an exception into an answer (DRF's EXCEPTION_HANDLER); None lets it through as a 500.

    A refusal that is to be recorded (api.denials) is given only once it is.
    """
    answer = _answer_to(error)
    if answer is None:
        return None
    try:
        denials.note(answer, context)
    except FAULTS as fault:
        log.error("denial_not_recorded", fault=type(fault).__name__)
        return _answer(503, UNAVAILABLE, "unavailable", wait=RETRY_SECONDS)
    return answer


def _answer_to(error: Exception) -> Response | None:
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    if isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    if refusal := _refusal(error):
        code, slug = refusal
        return _answer(code, str(error) or words_of(type(error)), slug, wait=getattr(error, "wait", None))
    if faults.of(error):
        log.warning("dependency_away", fault=type(error).__name__)
        return _answer(503, UNAVAILABLE, "unavailable", wait=RETRY_SECONDS)
    if isinstance(error, exceptions.ValidationError):
        return _invalid(_fields(error.detail))
    if isinstance(error, ValidationError):
        return _invalid(_fields_of_the_domain(error))
    if isinstance(error, RequestDataTooBig):
        return _answer(413, TOO_LARGE, "body_too_large")
    if isinstance(error, exceptions.APIException):
        return _declined(error)
    return None


def _request_id() -> str | None:
    request = request_context.current()
    return request.request_id if request else None


def _refusal(error: Exception) -> tuple[int, str] | None:
    return next((said for kind, said in REFUSALS.items() if isinstance(error, kind)), None)


def words_of(kind: type[Exception]) -> str:
    """What a refusal of the domain says to people: its docstring, in one line."""
    return " ".join((kind.__doc__ or "Refused.").split())


def _answer(code: int, words: str, slug: str, *, wait: float | None = None, **more: Any) -> Response:
    said = {"error": _printable(words), "code": slug, "request_id": _request_id(), **more}
    if wait is None:
        return Response(said, status=code)
    seconds = ceil(wait)
    return Response({**said, "retry_after": seconds}, status=code, headers={"Retry-After": str(seconds)})


def _invalid(fields: dict[str, str]) -> Response:
    """The readable line is of the first field: what is wrong with it."""
    name, words = next(iter(fields.items()))
    line = words if name == _WHOLE else f"{name}: {words}"
    return _answer(400, line, "invalid", fields={_printable(name): _printable(words) for name, words in fields.items()})


def _declined(error: exceptions.APIException) -> Response:
    """DRF's own exceptions (401, 403, 404, 405, 415, 429, bad JSON) and ours of its kind."""
    slug = "bad_json" if isinstance(error, exceptions.ParseError) else str(error.default_code)
    answer = _answer(error.status_code, str(error.detail), slug, wait=getattr(error, "wait", None))
    if challenge := getattr(error, "auth_header", None):
        answer["WWW-Authenticate"] = challenge
    return answer


def _fields(detail: Any) -> dict[str, str]:
    if not isinstance(detail, dict):
        return {_WHOLE: _flat(detail)}
    return {str(name): _flat(words) for name, words in detail.items()}


def _fields_of_the_domain(error: ValidationError) -> dict[str, str]:
    """Django's ValidationError, which the domain raises, has names or it has none."""
    named = error.message_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.messages}
    return {_WHOLE if name == NON_FIELD_ERRORS else name: _flat(words) for name, words in named.items()}


def _flat(words: Any) -> str:
    if isinstance(words, dict):
        return "; ".join(f"{name}: {_flat(value)}" for name, value in words.items())
    if isinstance(words, list):
        return " ".join(_flat(item) for item in words)
    return str(words)


def _printable(words: str) -> str:
    """Some refusals repeat what came, and JSON may bring halves of surrogate pairs, which no answer can carry."""
    return words.encode(errors="replace").decode()


# --- what never reaches a view: unknown paths, bad hosts, crashes ------------------------------
def _outside(code: int, words: str, slug: str, page: Callable[..., HttpResponse]) -> Any:
    def answer(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
        if not request.path.startswith("/api/"):
            shown = page(request) if exception is None else page(request, exception)
            return of_page(request, shown, code=slug) if code == 403 else shown
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
