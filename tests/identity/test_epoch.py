"""What changes who somebody is, or how they prove it, makes every token void, whoever changes it and how."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed

from identity import mfa, tokens
from identity.models import MfaDevice, User
from tests import factories

pytestmark = pytest.mark.django_db

Change = Callable[[User], object]


def alive(text: str) -> bool:
    """Whether the API takes this token."""
    try:
        tokens.TokenAuthentication().authenticate_credentials(text.encode())
    except AuthenticationFailed:
        return False
    return True


def _saved(**values: object) -> Change:
    def change(user: User) -> None:
        for name, value in values.items():
            setattr(user, name, value)
        user.save()

    return change


def _updated(**values: object) -> Change:
    return lambda user: User.objects.filter(pk=user.pk).update(**values)


def _bulk(**values: object) -> Change:
    def change(user: User) -> None:
        for name, value in values.items():
            setattr(user, name, value)
        User.objects.bulk_update([user], list(values))

    return change


def _sql(statement: str) -> Change:
    def change(user: User) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, [user.pk])

    return change


def _set_password(user: User) -> None:
    user.set_password("another long password")
    user.save(update_fields=["password"])


NEW_HASH = make_password("another long password")
CHANGES: dict[str, Change] = {
    **{
        f"{how.__name__.strip('_')} {name}": how(**{name: value})
        for how in (_saved, _updated, _bulk)
        for name, value in {
            "password": NEW_HASH,
            "email": "new@example.test",
            "role": "auditor",
            "is_active": False,
        }.items()
    },
    "sql password": _sql("UPDATE identity_user SET password = 'x' WHERE id = %s"),
    "sql email": _sql("UPDATE identity_user SET email = 'new@example.test' WHERE id = %s"),
    "sql role": _sql("UPDATE identity_user SET role = 'admin' WHERE id = %s"),
    "sql activity": _sql("UPDATE identity_user SET is_active = false WHERE id = %s"),
    "sql factor gone": _sql("DELETE FROM identity_mfadevice WHERE user_id = %s"),
    "sql factor unconfirmed": _sql("UPDATE identity_mfadevice SET confirmed_at = NULL WHERE user_id = %s"),
    "sql another secret": _sql("UPDATE identity_mfadevice SET secret = 'x' WHERE user_id = %s"),
    "factor removed": mfa.remove,
    "factor replaced": lambda user: factories.enrolled(user),
    "everything ended": tokens.end_all,
    "set_password": _set_password,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_ends_every_token(alice: User, bob: User, change: Change) -> None:
    for who in (alice, bob):
        factories.enrolled(who)
    hers, his = factories.token(alice).text, factories.token(bob).text
    assert alive(hers)
    change(alice)
    assert not alive(hers)
    assert alive(his)


def test_a_change_that_is_taken_back_revives_nothing(alice: User) -> None:
    text = factories.token(alice).text
    for role in ("admin", "investor"):
        User.objects.update(role=role)
    assert not alive(text)


def test_a_row_saved_from_a_stale_copy_revives_nothing(alice: User) -> None:
    stale = User.objects.get(pk=alice.pk)
    text = factories.token(alice).text
    tokens.end_all(alice)
    stale.save()
    assert not alive(text)
    User.objects.update(security_epoch=timezone.now() - timedelta(days=1))
    assert not alive(text)


def test_what_changes_nothing_of_that_ends_nothing(alice: User) -> None:
    factories.enrolled(alice)
    text = factories.token(alice).text
    User.objects.update(last_login=timezone.now(), must_change_password=True)
    MfaDevice.objects.update(last_step=10**9)
    mfa.renew_backup_codes(alice, now=timezone.now())
    assert alive(text)


def test_two_changes_in_one_instant_are_two_epochs(alice: User) -> None:
    seen = set()
    for n in range(5):
        User.objects.update(email=f"{n}@example.test")
        seen.add(User.objects.get().security_epoch)
    assert len(seen) == 5
