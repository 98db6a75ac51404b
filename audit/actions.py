"""Every action that the log knows, and the only ones that it takes.

An action is dotted and in the past tense: what it happened to, then what happened. The list is
closed, so that a misspelt name fails where it is made and a reader can filter by any of them. Add
a name here when something new happens; never rename or remove one, old events carry it for ever.
"""

from typing import Final

# A version's life, in its order (pipeline.lifecycle).
VERSION_REQUESTED: Final = "version.requested"  # a presigned POST was issued
VERSION_RECEIVED: Final = "version.received"  # its bytes were seen and pinned
VERSION_VALIDATED: Final = "version.validated"  # type and structure accepted
VERSION_SCANNED: Final = "version.scanned"  # scanned, and clean
VERSION_AVAILABLE: Final = "version.available"  # numbered, in the vault
VERSION_EXPIRED: Final = "version.expired"  # no bytes came in time
VERSION_REJECTED: Final = "version.rejected"  # refused for what it is
VERSION_INFECTED: Final = "version.infected"  # the scanner found something
VERSION_RECALLED: Final = "version.recalled"  # taken back from the vault's readers
VERSION_STUCK: Final = "version.stuck"  # stands still with a reason
VERSION_REQUEUED: Final = "version.requeued"  # an admin marked it due again
VERSION_PURGED: Final = "version.purged"  # its bytes in quarantine were deleted

# Reads of one document (api).
DOCUMENT_READ: Final = "document.read"
DOCUMENT_HISTORY_READ: Final = "document.history_read"
DOCUMENT_DOWNLOAD_LINKED: Final = "document.download_linked"  # a link to the bytes was issued

# People (identity).
AUTH_SIGNED_IN: Final = "auth.signed_in"
AUTH_SIGN_IN_FAILED: Final = "auth.sign_in_failed"
TOKEN_CREATED: Final = "token.created"  # noqa: S105 - the name of an action, not a token
USER_CREATED: Final = "user.created"
USER_EMAIL_CHANGED: Final = "user.email_changed"
USER_ROLE_CHANGED: Final = "user.role_changed"
PASSWORD_CHANGED: Final = "password.changed"  # noqa: S105 - the name of an action

ALL: Final[frozenset[str]] = frozenset(
    value for name, value in globals().items() if name.isupper() and isinstance(value, str)
)


def matching(prefix: str) -> list[str]:
    """The known actions that begin with `prefix`, sorted; empty if no action does.

    A filter by prefix becomes a filter by these names, which the index on the action can serve.
    """
    return sorted(action for action in ALL if action.startswith(prefix))
