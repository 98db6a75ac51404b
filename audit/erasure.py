"""Destroying the keys under which a person's values are encrypted. The log itself, its hashes and proofs stay.

Somebody asks, somebody else decides, an operator executes: three acts and three events. Who may ask and decide is not
known here (identity.erasures), only that whoever approves is not the one who asked; the database demands it too.

The reason is free text about a person. It stands in the request until that is executed, and in the private part of the
event that tells of it, which goes with the person's key.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction

from audit import actions, context, private, trail
from audit.models import Erasure, Private, PrivateKey
from audit.trail import Ref

ERASER: Final = Ref("system", "erasure")


class AlreadyAsked(Exception):
    """The erasure of this person has been asked for and is not done yet."""


class NoSuchErasure(Exception):
    """There is no such request. If it was to be decided, it may have been already."""


class NotApproved(Exception):
    """This erasure was not approved by a second person."""


class Executed(Exception):
    """This erasure has been executed already."""


class InsideRequest(RuntimeError):
    """An erasure is executed by an operator: in a request the event would hold personal values, under a new key."""


@transaction.atomic
def ask(person: Ref, *, reason: str, by: Ref, now: datetime) -> Erasure:
    """Ask that a person's values be erased. Raises AlreadyAsked.

    Whoever calls holds a lock on the person, so that two do not ask at once.
    """
    if Erasure.objects.filter(person=str(person), executed_at=None).exclude(approved=False).exists():
        raise AlreadyAsked
    asked = Erasure.objects.create(person=str(person), reason=reason, requested_by=str(by), requested_at=now)
    _record(actions.ERASURE_REQUESTED, asked, by, "Erasure asked for.", now, reason)
    return asked


def open_request(id: UUID) -> Erasure:
    """Return, locked, a request that nobody has decided yet. Raises NoSuchErasure."""
    asked = Erasure.objects.select_for_update().filter(pk=id, decided_at=None).first()
    if asked is None:
        raise NoSuchErasure
    return asked


def decide(asked: Erasure, *, approve: bool, by: Ref, now: datetime) -> Erasure:
    """Say yes or no to an open request, in the transaction that locked it (`open_request`)."""
    asked.decided_by, asked.decided_at, asked.approved = str(by), now, approve
    asked.save(update_fields=["decided_by", "decided_at", "approved"])
    action, words = (
        (actions.ERASURE_APPROVED, "Erasure approved.") if approve else (actions.ERASURE_REFUSED, "Erasure refused.")
    )
    _record(action, asked, by, words, now)
    return asked


@transaction.atomic
def execute(id: UUID, *, now: datetime) -> int:
    """Destroy the person's living keys and what is encrypted under any they had; return how many keys that was.

    What the person does later is encrypted under a new key. Raises NoSuchErasure, NotApproved, Executed, InsideRequest.
    """
    if context.current():
        raise InsideRequest
    asked = _approved(id)
    owned = PrivateKey.objects.filter(owner=asked.person)
    keys = owned.filter(wrapped__isnull=False).update(wrapped=None, destroyed_at=now)
    parts, _ = Private.objects.filter(key_id__in=list(owned.values_list("pk", flat=True))).delete()
    asked.executed_at, asked.reason = now, ""
    asked.save(update_fields=["executed_at", "reason"])
    person = of(asked)
    trail.record(
        actions.PERSON_ERASED,
        actor=ERASER,
        object=person,
        subject=person,
        details=f"Keys destroyed: {keys}; personal parts of events deleted: {parts}.",
        facts={"erasure": str(asked.pk), "keys": keys, "parts": parts},
        now=now,
    )
    transaction.on_commit(private.forget_keys)
    return keys


def of(asked: Erasure) -> Ref:
    """Whom a request is about."""
    kind, _, uid = asked.person.partition(":")
    return Ref(kind, uid)


def _approved(id: UUID) -> Erasure:
    asked = Erasure.objects.select_for_update().filter(pk=id).first()
    if asked is None:
        raise NoSuchErasure
    if asked.executed_at:
        raise Executed
    if not asked.approved:
        raise NotApproved
    return asked


def _record(action: str, asked: Erasure, by: Ref, words: str, now: datetime, reason: str = "") -> None:
    person = of(asked)
    trail.record(
        action,
        actor=by,
        object=person,
        subject=person,
        details=words,
        facts={"erasure": str(asked.pk)},
        private={"reason": reason} if reason else None,
        now=now,
    )
