"""Records what happens: `trail.record(...)`, in the transaction of the change that it tells of.

The event stands or falls with that change. It waits in the outbox, word for word as it will be
proven, until the sequencer gives it its place. Personal values go into the private part, never into
`details` or `facts`.
"""

import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone
from django.utils.module_loading import import_string

from audit import actions, context, leaf
from audit import private as privately
from audit.leaf import JSON

OUTCOMES: Final = frozenset({"success", "failure", "denied"})
_NAME_LENGTH: Final = 200


class UnknownAction(ValueError):
    """No action of this name is known; audit.actions lists them."""


class OutsideTransaction(RuntimeError):
    """An event is recorded in the transaction of the change that it describes."""


@dataclass(frozen=True)
class Ref:
    """Names a person or thing without holding it: ("user", "12"), ("version", its UUID)."""

    kind: str
    uid: str

    def __post_init__(self) -> None:
        """Refuse what would be ambiguous or would not fit its column."""
        if not self.kind or ":" in self.kind or not self.uid or len(name := str(self)) > _NAME_LENGTH or "\0" in name:
            raise ValueError(f"{self!r} names nothing")

    def __str__(self) -> str:
        return f"{self.kind}:{self.uid}"

    def values(self) -> dict[str, str]:
        """As it stands in a leaf."""
        return {"kind": self.kind, "uid": self.uid}


def record(
    action: str,
    *,
    actor: Ref,
    object: Ref,
    subject: Ref | None = None,
    outcome: str = "success",
    details: str = "",
    facts: Mapping[str, JSON] = {},
    private: Mapping[str, JSON] | None = None,
    now: datetime | None = None,
) -> None:
    """Record that `actor` did `action` to `object`, within the caller's transaction.

    `subject` is the person concerned, `details` one readable line, `facts` plain facts, all without
    personal data. `private` (joined with the request's address and user agent) is encrypted under
    the key of the subject or, where there is none, of the actor. After the commit the function that
    AUDIT_WAKE names is called, and its failure is only logged.

    Raises OutsideTransaction, UnknownAction, ValueError (another outcome), and leaf.TooLong or
    leaf.NotCanonical for what cannot stand in a leaf.
    """
    database = transaction.get_connection()  # once: Django's `connection` looks it up at each use
    if not database.in_atomic_block:
        raise OutsideTransaction
    if action not in actions.ALL:
        raise UnknownAction(action)
    if outcome not in OUTCOMES:
        raise ValueError(f"outcome {outcome!r} is none of {sorted(OUTCOMES)}")
    event_id = uuid.uuid4()
    sealed = _sealed(private, owner=str(subject or actor), event_id=event_id)
    text = leaf.canonical(
        {
            "v": 1,
            "id": str(event_id),
            "nonce": secrets.token_hex(16),
            "time": leaf.timestamp(now or timezone.now()),
            "action": action,
            "outcome": outcome,
            "actor": actor.values(),
            "object": object.values(),
            "details": " ".join(details.split()),
            "facts": dict(facts),
            **_where_known(subject, sealed),
        }
    )
    _queue(database, text, sealed)
    if not _wakes_already(database):
        database.on_commit(_wake, robust=True)


def _where_known(subject: Ref | None, sealed: privately.Sealed | None) -> dict[str, JSON]:
    """The fields that have no key where they have no value."""
    known: dict[str, JSON] = {}
    if subject:
        known["subject"] = subject.values()
    if request := context.current():
        known["request_id"] = request.request_id
    if sealed:
        known["private"] = sealed.commitment
    return known


def _sealed(private: Mapping[str, JSON] | None, *, owner: str, event_id: uuid.UUID) -> privately.Sealed | None:
    request = context.current()
    values = {**(request.personal() if request else {}), **(private or {})}
    return privately.seal(values, owner=owner, event_id=event_id) if values else None


def _queue(database: BaseDatabaseWrapper, text: str, sealed: privately.Sealed | None) -> None:
    """Plain SQL: this is paid by every transaction, and the ORM would double the price."""
    ciphertext, key_id = (sealed.ciphertext, sealed.key_id) if sealed else (None, None)
    with database.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_outbox (leaf, private, key_id) VALUES (%s, %s, %s)",
            [text, ciphertext, key_id],
        )


def _wakes_already(database: BaseDatabaseWrapper) -> bool:
    """Whether one of this transaction's events wakes: one that is only undone where this one is undone too."""
    here = set(database.savepoint_ids)
    return any(call is _wake and within <= here for within, call, *_ in database.run_on_commit)


def _wake() -> None:
    if settings.AUDIT_WAKE:
        import_string(settings.AUDIT_WAKE)()
