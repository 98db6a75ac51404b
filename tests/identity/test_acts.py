"""What admins do to accounts: to others, for a reason, on the record, by mail; the admin role by two."""

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from audit.models import Outbox
from identity import acts, mfa, two_people
from identity.models import AdminAct, ApiToken, Mail, Role, RoleRequest, User
from identity.two_people import NotASecondPerson
from tests import factories

pytestmark = pytest.mark.django_db
WHY = {"reason": "she called from her known number"}


@pytest.fixture
def bea(db: None) -> User:
    """Another admin, whom nobody but an operator has made."""
    return factories.person("bea", "admin")


@pytest.fixture
def alice(db: None) -> User:
    """An investor with an address and a second factor."""
    user = factories.person("alice", "investor", email="alice@example.test", password=factories.PASSWORD)
    factories.enrolled(user)
    return user


def last() -> dict[str, Any]:
    """The event recorded last."""
    event: dict[str, Any] = json.loads(Outbox.objects.latest("id").leaf)
    return event


ACTS: dict[str, tuple[Callable[..., object], dict[str, Any]]] = {
    "mfa.reset": (acts.reset_mfa, {}),
    "user.sessions_revoked": (acts.revoke_sessions, {}),
    "user.deactivated": (acts.deactivate, {}),
    "user.email_changed": (acts.change_email, {"email": "new@example.test"}),
    "user.role_changed": (acts.change_role, {"role": "auditor"}),
}


@pytest.mark.parametrize("action", ACTS)
def test_an_act_ends_sessions_and_is_recorded_and_mailed(ada: User, alice: User, action: str) -> None:
    act, more = ACTS[action]
    factories.token(alice)
    before = User.objects.get(pk=alice.pk).security_epoch
    act(ada, alice, **more, **WHY, now=timezone.now())
    alice.refresh_from_db()
    assert alice.security_epoch > before
    event = last()
    assert (event["action"], event["actor"]["uid"], event["subject"]["uid"]) == (action, str(ada.pk), str(alice.pk))
    assert WHY["reason"] not in Outbox.objects.latest("id").leaf
    assert event["private"]
    assert Mail.objects.filter(user=alice, kind=action.replace(".", "_")).exists()
    assert not ApiToken.objects.filter(user=alice, epoch=alice.security_epoch).exists()


@pytest.mark.parametrize("action", [action for action in ACTS if action != "user.sessions_revoked"])
def test_nobody_does_it_to_themselves(ada: User, bea: User, action: str) -> None:
    act, more = ACTS[action]
    factories.enrolled(ada)
    before = User.objects.values().get(pk=ada.pk)
    with pytest.raises(acts.OnYourself):
        act(ada, ada, **more, **WHY, now=timezone.now())
    assert User.objects.values().get(pk=ada.pk) == before


def test_after_a_reset_there_is_nothing_but_to_enrol(ada: User, alice: User) -> None:
    mfa.renew_backup_codes(alice, now=timezone.now())
    acts.reset_mfa(ada, alice, **WHY, now=timezone.now())
    assert not mfa.enrolled(alice)
    assert mfa.backup_codes_left(alice) == 0
    assert alice.is_active


def test_a_deactivated_account_keeps_everything_and_can_come_back(ada: User, alice: User) -> None:
    version = factories.begun(alice)
    acts.deactivate(ada, alice, **WHY, now=timezone.now())
    version.refresh_from_db()
    assert version.document.owner_id == alice.pk
    acts.reactivate(ada, alice, **WHY, now=timezone.now())
    alice.refresh_from_db()
    assert alice.is_active
    assert mfa.enrolled(alice)
    with pytest.raises(acts.Pointless):
        acts.reactivate(ada, alice, **WHY, now=timezone.now())


def test_the_last_admin_stays(ada: User, bea: User) -> None:
    acts.deactivate(ada, bea, **WHY, now=timezone.now())
    User.objects.filter(pk=bea.pk).update(role="investor", is_active=True)
    bea.refresh_from_db()
    with pytest.raises(acts.LastAdmin):
        acts.deactivate(bea, ada, **WHY, now=timezone.now())
    with pytest.raises(acts.LastAdmin):
        acts.change_role(bea, ada, role=Role.INVESTOR, **WHY, now=timezone.now())


@pytest.mark.django_db(transaction=True)
def test_two_admins_cannot_remove_each_other_at_once() -> None:
    ada, bea = factories.person("ada", "admin"), factories.person("bea", "admin")
    gate, refused = threading.Barrier(2), []

    def remove(one: User, other: User) -> None:
        try:
            gate.wait()
            acts.deactivate(one, other, **WHY, now=timezone.now())
        except acts.LastAdmin:
            refused.append(one)
        finally:
            connection.close()

    pairs = [(ada, User.objects.get(pk=bea.pk)), (bea, User.objects.get(pk=ada.pk))]
    crowd = [threading.Thread(target=remove, args=pair) for pair in pairs]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert len(refused) == 1
    assert User.objects.filter(role="admin", is_active=True).count() == 1


def created(admin: User, **changes: Any) -> User:
    """An account made by an admin."""
    wanted = {"username": "dora", "email": "dora@example.test", "password": factories.PASSWORD, **changes}
    return acts.create_user(admin, **wanted, now=timezone.now())


def test_a_password_given_by_an_admin_must_be_changed(ada: User) -> None:
    user = created(ada)
    assert user.must_change_password
    assert user.initial_secret_expires_at
    assert abs(user.initial_secret_expires_at - timezone.now() - timedelta(hours=72)) < timedelta(minutes=1)
    assert Mail.objects.get().kind == "account_created"


def test_without_a_password_an_invitation_is_sent(ada: User) -> None:
    user = created(ada, password=None)
    assert not user.has_usable_password()
    assert Mail.objects.get().kind == "invitation"
    assert last()["action"] == "user.invited"


@pytest.mark.parametrize(
    "changes",
    [
        {"password": None, "email": ""},
        {"role": "admin"},
        {"username": "ada"},
        {"email": "no address"},
        {"password": "short"},
    ],
)
def test_a_refused_account_leaves_nothing(ada: User, changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        created(ada, **changes)
    assert list(User.objects.all()) == [ada]
    assert not Mail.objects.exists()
    assert not AdminAct.objects.exists()


def asked(admin: User, user: User) -> RoleRequest:
    """A request that this person become an admin."""
    request = acts.change_role(admin, user, role=Role.ADMIN, **WHY, now=timezone.now())
    assert request is not None
    return request


def test_the_admin_role_takes_two(ada: User, bea: User, alice: User) -> None:
    request = asked(ada, alice)
    alice.refresh_from_db()
    assert alice.role == "investor"
    with pytest.raises(NotASecondPerson):
        acts.decide(ada, request.pk, grant=True, now=timezone.now())
    acts.decide(bea, request.pk, grant=True, now=timezone.now())
    alice.refresh_from_db()
    assert (alice.role, alice.must_change_password) == ("admin", True)
    request.refresh_from_db()
    assert (request.decided_by, request.granted) == (bea, True)
    with pytest.raises(acts.NoSuchRequest):
        acts.decide(bea, request.pk, grant=True, now=timezone.now())


@pytest.mark.parametrize("kind", list(AdminAct.Kind))
@pytest.mark.parametrize("turned", [False, True])
def test_who_made_the_other_is_no_second_person_for_a_week(
    ada: User, bea: User, alice: User, kind: AdminAct.Kind, turned: bool
) -> None:
    one, other = (bea, ada) if turned else (ada, bea)
    now = timezone.now()
    two_people.remember(one, kind, other, now=now - timedelta(days=6, hours=23))
    request = asked(ada, alice)
    with pytest.raises(NotASecondPerson):
        acts.decide(bea, request.pk, grant=True, now=now)
    acts.decide(bea, request.pk, grant=True, now=now + timedelta(hours=2))


def test_whoever_becomes_an_admin_is_for_a_week_nobodys_second_person(ada: User, bea: User, alice: User) -> None:
    acts.decide(bea, asked(ada, alice).pk, grant=True, now=timezone.now())
    alice.refresh_from_db()
    request = asked(ada, factories.person("carol", "investor"))
    with pytest.raises(NotASecondPerson):
        acts.decide(alice, request.pk, grant=True, now=timezone.now())


def test_a_request_can_be_refused_or_withdrawn(ada: User, bea: User, alice: User) -> None:
    for decider, named in ((bea, bea), (ada, None)):
        request = acts.decide(decider, asked(ada, alice).pk, grant=False, now=timezone.now())
        assert (request.decided_by, request.granted) == (named, False)
    alice.refresh_from_db()
    assert alice.role == "investor"


def test_nobody_decides_about_themselves(ada: User, bea: User) -> None:
    carol = factories.person("carol", "auditor")
    request = asked(ada, carol)
    User.objects.filter(pk=carol.pk).update(role="admin")
    carol.refresh_from_db()
    with pytest.raises(acts.OnYourself):
        acts.decide(carol, request.pk, grant=True, now=timezone.now())


def test_the_database_knows_no_request_decided_by_its_asker(ada: User, alice: User) -> None:
    request = asked(ada, alice)
    with pytest.raises(IntegrityError, match="two_people"), transaction.atomic():
        RoleRequest.objects.filter(pk=request.pk).update(decided_by=ada, granted=True)


def test_there_is_one_open_request_for_a_person(ada: User, bea: User, alice: User) -> None:
    asked(ada, alice)
    with pytest.raises(acts.Pointless):
        asked(bea, alice)
