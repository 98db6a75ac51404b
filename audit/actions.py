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
ALARM_RAISED: Final = "alarm.raised"  # the vault is not what its versions say
ALARM_RESOLVED: Final = "alarm.resolved"  # it is again
QUARANTINE_PURGED: Final = "quarantine.purged"  # bytes under a key that no version has were deleted

# Reads of one document (api, and the admin's pages).
DOCUMENT_READ: Final = "document.read"
DOCUMENT_HISTORY_READ: Final = "document.history_read"
DOCUMENT_DOWNLOAD_LINKED: Final = "document.download_linked"  # a link to the bytes was issued

# People (identity): who they are.
AUTH_PASSWORD_ACCEPTED: Final = "auth.password_accepted"  # noqa: S105 - the name of an action; a code is awaited
AUTH_SIGNED_IN: Final = "auth.signed_in"
AUTH_SIGN_IN_FAILED: Final = "auth.sign_in_failed"
AUTH_THROTTLED: Final = "auth.throttled"  # too many wrong attempts; tried again too early
AUTH_STEPPED_UP: Final = "auth.stepped_up"
AUTH_SIGNED_OUT: Final = "auth.signed_out"
AUTH_SIGNED_OUT_EVERYWHERE: Final = "auth.signed_out_everywhere"
TOKEN_CREATED: Final = "token.created"  # noqa: S105 - a name kept free: auth.signed_in says which token was made
TOKEN_ROTATED: Final = "token.rotated"  # noqa: S105 - the same
SESSION_REVOKED: Final = "session.revoked"
FLOWER_ENTERED: Final = "flower.entered"  # once per session of an admin

# People: their second factor and password.
MFA_SETUP_STARTED: Final = "mfa.setup_started"
MFA_ENROLLED: Final = "mfa.enrolled"
MFA_DISABLED: Final = "mfa.disabled"
MFA_FAILED: Final = "mfa.failed"  # a wrong or spent code
MFA_LOCKED: Final = "mfa.locked"  # too many wrong codes: out of use until an admin unlocks it
MFA_RESET: Final = "mfa.reset"
MFA_KEYS_ROTATED: Final = "mfa.keys_rotated"
BACKUP_CODES_RENEWED: Final = "backup_codes.renewed"
BACKUP_CODE_USED: Final = "backup_code.used"
PASSWORD_CHANGED: Final = "password.changed"  # noqa: S105 - the name of an action
PASSWORD_RESET_REQUESTED: Final = "password.reset_requested"  # noqa: S105 - the same
PASSWORD_RESET: Final = "password.reset"  # noqa: S105 - the same
PASSWORD_RESET_FAILED: Final = "password.reset_failed"  # noqa: S105 - the same; a bad link
PASSWORD_CHANGE_FAILED: Final = "password.change_failed"  # noqa: S105 - the same

# People: what is done to their accounts.
USER_READ: Final = "user.read"  # one person's account was looked at by an admin
USER_CREATED: Final = "user.created"
USER_INVITED: Final = "user.invited"
USER_EMAIL_CHANGED: Final = "user.email_changed"
USER_ROLE_CHANGED: Final = "user.role_changed"
USER_ROLE_REQUESTED: Final = "user.role_requested"  # the admin role, which takes two people
USER_ROLE_REFUSED: Final = "user.role_refused"
USER_SESSIONS_REVOKED: Final = "user.sessions_revoked"
USER_UNLOCKED: Final = "user.unlocked"
USER_DEACTIVATED: Final = "user.deactivated"
USER_REACTIVATED: Final = "user.reactivated"

# What was refused at a door (api, console).
ACCESS_DENIED: Final = "access.denied"  # signed in, and not allowed: role, state or missing step-up

# The service and the log itself.
PROCESS_STARTED: Final = "process.started"  # with digests of its policy and its configuration
LOG_READ: Final = "log.read"  # one event was looked at, without its personal part
LOG_EXPORTED: Final = "log.exported"
LOG_REVEALED: Final = "log.revealed"  # the personal part of an event was read
LOG_VERIFIED: Final = "log.verified"  # a control test: the whole log was checked; failure says what was found
LOG_KEYS_CHANGED: Final = "log.keys_changed"  # which keys sign checkpoints
LOG_LEAF_REFUSED: Final = "log.leaf_refused"  # what stood in the outbox was no leaf: it was put aside
LOG_RESTARTED: Final = "log.restarted"  # a new origin, because the old one cannot go on
ERASURE_REQUESTED: Final = "erasure.requested"
ERASURE_APPROVED: Final = "erasure.approved"
ERASURE_REFUSED: Final = "erasure.refused"
PERSON_ERASED: Final = "person.erased"  # a person's data keys were destroyed

ALL: Final[frozenset[str]] = frozenset(
    value for name, value in globals().items() if name.isupper() and isinstance(value, str)
)


def matching(prefix: str) -> list[str]:
    """The known actions that begin with `prefix`, sorted; empty if no action does.

    A filter by prefix becomes a filter by these names, which the index on the action can serve.
    """
    return sorted(action for action in ALL if action.startswith(prefix))
