"""Who may pass a door that stands outside this process: Flower's.

The door is a proxy. Before it lets a request through it asks here, with the browser's own cookies,
whose session that is. Flower itself knows nobody of ours.
"""

from datetime import datetime
from typing import Final

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from audit import actions
from identity import denials, roles, sessions
from identity.accounts import record
from identity.models import User
from identity.session_store import row_key

_ENTERED: Final = "strongroom_flower_entered"


@never_cache
@require_safe
def flower_auth(request: HttpRequest) -> HttpResponse:
    """Say whether this browser's session is an admin's with both factors, now.

    204: yes. 401: nobody's. 403: somebody else's. The first yes of a session is recorded.
    """
    now = timezone.now()
    visitor = sessions.holder(request, now=now)
    if visitor is None:
        return HttpResponse(status=401)
    if not roles.is_admin(visitor):
        return denials.of_page(request, HttpResponse(status=403), code="admin_only", user=visitor)
    known = request.session.get(_ENTERED) or _record_entry(request, visitor, now)
    return HttpResponse(status=204 if known else 401)


@require_safe
def flower(request: HttpRequest) -> HttpResponse:
    """Send the browser to the door where that has an address of its own.

    Elsewhere the proxy in front of this process is the door, and nobody gets here.
    """
    if not settings.FLOWER_URL:
        raise Http404
    return HttpResponseRedirect(settings.FLOWER_URL)


@transaction.atomic
def _record_entry(request: HttpRequest, admin: User, now: datetime) -> bool:
    """Record it once per session; False if the session has just ended.

    A page of Flower asks for many files at once: the session's row is their turnstile.
    """
    row = Session.objects.select_for_update().filter(pk=row_key(request.session.session_key or "")).first()
    if row is None or row.get_decoded().get(_ENTERED):
        return row is not None
    request.session[_ENTERED] = True
    request.session.save()
    record(actions.FLOWER_ENTERED, admin, "Looked at workers, queues and tasks in Flower.", now=now)
    return True
