"""Browser sessions in the database, found by a digest of the cookie's value (SESSION_ENGINE).

Django keeps the value itself: whoever reads its table, or a backup of it, could sign in with what
stands there. The service is served by threads; Django's asynchronous ways to a session are not used
and refused, because they would look for the value itself.
"""

import hashlib
from typing import Any, NoReturn

from django.contrib.sessions.backends.db import SessionStore as DatabaseSessions
from django.contrib.sessions.base_session import AbstractBaseSession
from django.contrib.sessions.models import Session
from django.utils import timezone

_COLUMN = 40  # what Django's column holds: 160 of 256 bits


def row_key(session_key: str) -> str:
    """The primary key of the row of this session."""
    return hashlib.sha256(session_key.encode()).hexdigest()[:_COLUMN]


class SessionStore(DatabaseSessions):
    """Django's, but for the key of the row."""

    def _get_session_from_db(self) -> Session | None:
        row = None
        if self.session_key:
            living = Session.objects.filter(expire_date__gt=timezone.now())
            row = living.filter(pk=row_key(self.session_key)).first()
        if row is None:
            self._session_key = None
        return row

    def exists(self, session_key: str) -> bool:
        """Whether there is a row, living or not."""
        return Session.objects.filter(pk=row_key(session_key)).exists()

    def create_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        """The row of the session as it is now, not saved."""
        row = super().create_model_instance(data)
        row.session_key = row_key(row.session_key)
        return row

    def delete(self, session_key: str | None = None) -> None:
        """Delete the row of this session, or of the one that is named."""
        key = session_key or self.session_key
        if key:
            Session.objects.filter(pk=row_key(key)).delete()

    def _not_here(self, *_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError("sessions are not read asynchronously here")

    aload = aexists = acreate = acreate_model_instance = asave = adelete = _not_here
