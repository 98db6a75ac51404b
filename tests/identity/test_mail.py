"""Mails: rows first, sent later, again when the server was away, and never with a secret in the row."""

import json
import smtplib
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core import mail as outgoing
from django.core.mail.backends.smtp import EmailBackend
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone
from pytest_django import Settings

from identity import links, mail, password_changes
from identity.models import Mail, User
from tests import factories

pytestmark = pytest.mark.django_db
KINDS = sorted(path.stem for path in Path("identity/templates/identity/mail").glob("*.txt"))


@pytest.fixture
def alice() -> User:
    """An investor with an address."""
    return factories.person("alice", "investor", email="alice@example.test")


def written(user: User, kind: str = "password_changed", **more: Any) -> Mail:
    """A mail to the person, due now."""
    mail.to(user, kind, now=timezone.now(), **more)
    return Mail.objects.latest("created_at")


def test_a_mail_goes_out_once(alice: User) -> None:
    row = written(alice)
    assert mail.send(row.pk, now=timezone.now())
    assert not mail.send(row.pk, now=timezone.now() + timedelta(days=1))
    [sent] = outgoing.outbox
    assert sent.to == ["alice@example.test"]
    assert sent.subject == "Strongroom: your password was changed"
    assert "alice" in sent.body


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_subject_and_words(alice: User, kind: str) -> None:
    row = written(alice, kind, facts={"left": 3})
    assert mail.send(row.pk, now=timezone.now())
    [sent] = outgoing.outbox
    assert sent.subject.startswith("Strongroom: ")
    assert "\n" not in sent.subject
    assert len(sent.body) > 80
    assert "{" not in sent.body


def test_words_are_not_escaped_as_if_for_a_page(alice: User) -> None:
    assert "O'Hara & Sons" in render_to_string("identity/mail/account_created.txt", {"issuer": "O'Hara & Sons"})


def test_a_link_is_minted_when_the_mail_is_sent(alice: User) -> None:
    row = written(alice, "password_reset_link")
    assert "secret" not in json.dumps(row.facts)
    mail.send(row.pk, now=timezone.now())
    [address] = [word for word in outgoing.outbox[0].body.split() if "#uid=" in word]
    parts = parse_qs(urlsplit(address).fragment)
    password_changes.set_by_link(int(parts["uid"][0]), parts["secret"][0], "another long password", now=timezone.now())
    alice.refresh_from_db()
    assert alice.check_password("another long password")


def test_somebody_without_an_address_gets_none() -> None:
    mail.to(factories.person("bob", "investor"), "password_changed", now=timezone.now())
    assert not Mail.objects.exists()


def test_a_link_is_not_sent_to_somebody_who_may_not_come_in(alice: User) -> None:
    row = written(alice, "invitation")
    User.objects.update(is_active=False)
    assert not mail.send(row.pk, now=timezone.now())
    row.refresh_from_db()
    assert row.dropped_at
    assert not outgoing.outbox


def test_a_mail_about_a_new_address_goes_to_the_old_one_as_well(alice: User) -> None:
    row = written(alice, "user_email_changed", address="old@example.test")
    mail.send(row.pk, now=timezone.now())
    assert outgoing.outbox[0].to == ["old@example.test"]


@pytest.fixture
def dead_server(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mail server that nobody runs."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", 1, 1


@pytest.mark.usefixtures("dead_server")
def test_a_dead_server_is_tried_again_later_and_later(alice: User) -> None:
    row, now, waits = written(alice), timezone.now(), []
    for _ in range(9):
        assert not mail.send(row.pk, now=now)
        row.refresh_from_db()
        waits.append((row.due_at - now).total_seconds())
        assert not mail.send(row.pk, now=now)  # not before it is due
        now = row.due_at
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert not mail.send(row.pk, now=row.created_at + timedelta(days=3, seconds=1))
    row.refresh_from_db()
    assert row.dropped_at


def test_a_recipient_who_is_refused_is_a_fault_and_no_crash(alice: User, settings: Settings, monkeypatch: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"

    def refuse(*_: Any) -> int:
        raise smtplib.SMTPRecipientsRefused({"alice@example.test": (550, b"no")})

    monkeypatch.setattr(EmailBackend, "send_messages", refuse)
    assert not mail.send(written(alice).pk, now=timezone.now())


def test_a_worker_that_dies_while_sending_leaves_it_to_be_sent_again(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """SIGKILL."""

    def die(*_: Any) -> str:
        raise Killed

    row = written(alice)
    with monkeypatch.context() as patched:
        patched.setattr(links, "mint", die)
        patched.setattr(mail, "_message", die)
        with pytest.raises(Killed):
            mail.send(row.pk, now=timezone.now())
    assert not mail.send(row.pk, now=timezone.now())  # somebody else may be at it
    assert mail.send(row.pk, now=timezone.now() + timedelta(minutes=5, seconds=1))


@pytest.mark.django_db(transaction=True)
def test_a_worker_is_woken_after_the_commit_and_a_dead_broker_harms_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[object] = []
    monkeypatch.setattr("workers.nudges.wake_mail", woken.append)
    settings.MAIL_WAKE = "workers.nudges.wake_mail"
    alice = factories.person("alice", "investor", email="alice@example.test")
    with transaction.atomic():
        row = written(alice)
        assert woken == []
    assert woken == [row.pk]

    def away(_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr("workers.nudges.wake_mail", away)
    written(alice)
    assert Mail.objects.count() == 2
