"""Secret links: to set a first password, or a new one. Minted when the mail is sent, and stored nowhere.

A link is signed and carries its person's `security_epoch`: used once, the password changes, the
epoch moves on, and every link of that person is dead (ASVS 6.4.1, 6.4.3). The secret stands in the
fragment, which no browser sends to a server or to another page.
"""

from datetime import timedelta
from typing import Final

from django.conf import settings
from django.core import signing

from identity.models import User

LIVES: Final = {"reset": timedelta(hours=1), "invitation": timedelta(hours=72)}
_SALT: Final = "strongroom.identity.links"


class BadLink(Exception):
    """This link is not good any more. Ask for a new one."""


def mint(user: User, purpose: str) -> str:
    """The address of a link for this purpose: reset or invitation."""
    secret = signing.dumps([user.pk, purpose, user.security_epoch.isoformat()], salt=_SALT)
    return f"{settings.PUBLIC_URL.rstrip('/')}/account/password/#uid={user.pk}&secret={secret}"


def read(uid: int, secret: str) -> User:
    """Whose link it is, with the row locked to the end of the transaction. Raises BadLink."""
    try:
        pk, purpose, epoch = signing.loads(secret, salt=_SALT, max_age=max(LIVES.values()))
        signing.loads(secret, salt=_SALT, max_age=LIVES[purpose])
    except signing.BadSignature:
        raise BadLink from None
    user = User.objects.select_for_update().filter(pk=pk, is_active=True).first()
    if user is None or uid != pk or user.security_epoch.isoformat() != epoch:
        raise BadLink
    return user
