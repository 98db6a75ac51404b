"""What a role may do. Everything else is decided by ownership: see the querysets of `pipeline`.

Each rule denies whoever is not signed in, inactive or of a role it does not name.
"""

from django.contrib.auth.models import AnonymousUser

from identity.models import Role, User

Visitor = User | AnonymousUser


def is_admin(visitor: Visitor) -> bool:
    """Acts for the house: makes accounts, requeues, recalls."""
    return _is(visitor, Role.ADMIN)


def sees_everything(visitor: Visitor) -> bool:
    """Sees the metadata of every document; an investor sees their own."""
    return _is(visitor, Role.ADMIN, Role.AUDITOR)


def reads_the_log(visitor: Visitor) -> bool:
    """Reads the audit log."""
    return _is(visitor, Role.ADMIN, Role.AUDITOR)


def uploads(visitor: Visitor) -> bool:
    """Brings documents in. An auditor changes nothing."""
    return _is(visitor, Role.ADMIN, Role.INVESTOR)


def downloads(visitor: Visitor) -> bool:
    """Gets the bytes of what they see. An auditor looks at metadata only."""
    return _is(visitor, Role.ADMIN, Role.INVESTOR)


def _is(visitor: Visitor, *roles: Role) -> bool:
    return isinstance(visitor, User) and visitor.is_active and visitor.role in roles
