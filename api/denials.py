"""Which refusals of the API are recorded, and of what: those of somebody who is signed in.

Every 403; a 404 for something that the address names by its id, so that the log shows who tries ids (what
is there but somebody else's costs the same as what is not there: nothing is looked up here); and what is
refused for the state of the thing, such as a link to an infected file. Not 401 and 429: the first are
strangers', the second bound the rest (api.views).
"""

from typing import Any, Final

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from audit.trail import Ref
from identity import denials
from identity.models import User

# What the ids of a route name, by the route's first word.
_NAMED: Final = {
    "documents": "version",  # as the caller has it; a document's id will do as well
    "investors": "user",
    "auth": "session",
    "role-requests": "role_request",
    "erasures": "erasure",
    "ops": "version",
    "auditlogs": "event",
}
_NO_SECRET: Final = frozenset({"event"})  # places in the log are counted up: whoever follows it asks for the next
_FOR_ITS_STATE: Final = frozenset({"last_admin", "not_available", "withheld"})
_LONGEST_ID: Final = 40  # a number in an address may have any length


def note(answer: Response, context: dict[str, Any]) -> None:
    """Record the refusal that `answer` is, if it is one to be recorded; `context` is DRF's, of its exception.

    Raises a fault of the database; then the refusal must not be given.
    """
    request: Request = context["request"]
    code, thing = str(answer.data["code"]), _thing(context)
    tried = answer.status_code == 404 and thing is not None and thing.kind not in _NO_SECRET
    if (answer.status_code == 403 or tried or code in _FOR_ITS_STATE) and isinstance(request.user, User):
        denials.record(request.user, request._request, code, object=thing, now=timezone.now())


def _thing(context: dict[str, Any]) -> Ref | None:
    """What the address names."""
    match = context["request"].resolver_match
    kind = _NAMED.get(match.route.removeprefix("api/").partition("/")[0])
    uid = str(match.kwargs.get("id", match.kwargs.get("seq", "")))
    return Ref(kind, uid) if kind and 0 < len(uid) <= _LONGEST_ID else None
