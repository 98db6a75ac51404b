"""Mails to people. A mail is a row, written in the transaction of what it tells of, and sent later.

A dead mail server never fails a request: a worker sends the row after the commit, and again, with
growing waits, for three days. The row holds no secret; links are minted when it is sent.
"""

import smtplib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import F, QuerySet
from django.template.loader import render_to_string
from django.utils.module_loading import import_string

from identity import links
from identity.models import Mail, User

log = structlog.get_logger(__name__)

FAULTS: Final = (OSError, smtplib.SMTPException)
GIVEN_UP_AFTER: Final = timedelta(days=3)
_LEASE: Final = timedelta(minutes=5)
_LONGEST_WAIT: Final = timedelta(hours=1)
_LINKED: Final = {"password_reset_link": "reset", "invitation": "invitation"}


def to(
    user: User, kind: str, *, now: datetime, facts: Mapping[str, str | int] | None = None, address: str = ""
) -> None:
    """Write down a mail, in the caller's transaction; nothing for somebody without an address.

    `kind` is the name of a template in identity/templates/identity/mail/. `address`: where it goes, if
    not to where the person's mails go when it is sent.
    """
    if not (address or user.email):
        return
    mail = Mail.objects.create(
        user=user, kind=kind, address=address, facts=dict(facts or {}), created_at=now, due_at=now
    )
    transaction.on_commit(lambda: _wake(mail.pk), robust=True)


def due(now: datetime) -> QuerySet[Mail]:
    """Mails that should be sent by now."""
    return Mail.objects.filter(sent_at=None, dropped_at=None, due_at__lte=now)


def send(id: UUID, *, now: datetime) -> bool:
    """Send one mail if it is due and nobody else is at it; whether it went out.

    A worker that dies in between leaves it to be sent again: a mail may come twice, never not at all.
    """
    claimed = due(now).filter(pk=id).update(due_at=now + _LEASE, attempts=F("attempts") + 1)
    if not claimed:
        return False
    mail = Mail.objects.select_related("user").get(pk=id)
    if not _wanted(mail, now):
        Mail.objects.filter(pk=id).update(dropped_at=now)
        return False
    try:
        _message(mail).send()
    except FAULTS as fault:
        wait = min(timedelta(seconds=30) * 2 ** min(mail.attempts, 10), _LONGEST_WAIT)
        Mail.objects.filter(pk=id).update(due_at=now + wait)
        log.warning("mail_not_sent", mail_id=str(id), fault=type(fault).__name__, attempts=mail.attempts)
        return False
    Mail.objects.filter(pk=id).update(sent_at=now)
    return True


def _wanted(mail: Mail, now: datetime) -> bool:
    """Not one that is too old, has no address any more, or has a link for somebody who may not come in."""
    stale = now - mail.created_at > GIVEN_UP_AFTER
    return not stale and bool(_address(mail)) and (mail.kind not in _LINKED or mail.user.is_active)


def _message(mail: Mail) -> EmailMessage:
    """The first line of a template is the subject."""
    purpose = _LINKED.get(mail.kind)
    said = {
        "username": mail.user.username,
        "issuer": settings.MFA_ISSUER,
        "home": settings.PUBLIC_URL,
        "link": links.mint(mail.user, purpose) if purpose else "",
        **mail.facts,
    }
    subject, _, body = render_to_string(f"identity/mail/{mail.kind}.txt", said).partition("\n")
    return EmailMessage(subject.strip(), body.strip() + "\n", to=[_address(mail)])


def _address(mail: Mail) -> str:
    return mail.address or mail.user.email


def _wake(id: UUID) -> None:
    if settings.MAIL_WAKE:
        import_string(settings.MAIL_WAKE)(id)
