"""What the database holds true of users, whoever writes."""

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from audit.trail import Ref
from identity import accounts, roles
from identity.models import InvestorProfile, Role, User

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"
CLI = Ref("system", "test")


def make(username: str, role: Role = Role.INVESTOR, email: str = "") -> User:
    """An account with the password above."""
    return accounts.create(username=username, role=role, email=email, password=PASSWORD, actor=CLI)


def sql(statement: str, *values: str) -> None:
    """Run raw SQL, past every rule in Python."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)


def test_the_user_model_is_ours() -> None:
    assert get_user_model() is User


def test_a_name_is_taken_in_any_case() -> None:
    make("Alice")
    with pytest.raises(ValidationError):
        make("alice")
    assert User.objects.count() == 1


def test_the_database_refuses_a_name_that_differs_only_in_case() -> None:
    make("alice")
    make("bob")
    with pytest.raises(IntegrityError, match="username_any_case"):
        sql("UPDATE identity_user SET username = 'ALICE' WHERE username = 'bob'")


def test_an_address_is_taken_in_any_case() -> None:
    make("alice", email="a@example.org")
    with pytest.raises(ValidationError):
        make("bob", email="A@example.org")
    make("carol")
    with pytest.raises(IntegrityError, match="email_any_case"):
        sql("UPDATE identity_user SET email = 'A@EXAMPLE.ORG' WHERE username = 'carol'")


def test_many_may_have_no_address() -> None:
    make("alice")
    make("bob")


@pytest.mark.parametrize("role", ["", "root", "Admin"])
def test_the_database_knows_three_roles(role: str) -> None:
    make("alice")
    with pytest.raises(IntegrityError, match="role_is_known"):
        sql("UPDATE identity_user SET role = %s", role)


@pytest.mark.parametrize("username", ["", "al ice", "\u0430lice", "al\nice", "a'--", "x" * 151])
def test_a_name_is_plain_ascii(username: str) -> None:
    with pytest.raises(ValidationError):
        make(username)


def test_the_database_refuses_a_name_in_another_alphabet() -> None:
    make("alice")
    with pytest.raises(IntegrityError, match="username_is_ascii"):
        sql("UPDATE identity_user SET username = %s", "\u0430lice")


@pytest.mark.parametrize("role", list(Role))
def test_staff_follows_from_the_role_and_nobody_is_above_it(role: Role) -> None:
    user = make("someone", role)
    assert user.is_staff is (role == Role.ADMIN)
    assert user.is_superuser is False
    assert user.has_perm("identity.change_user") is (role == Role.ADMIN)
    assert user.has_module_perms("identity") is (role == Role.ADMIN)


def test_an_inactive_admin_may_do_nothing() -> None:
    user = make("admin", Role.ADMIN)
    user.is_active = False
    assert not user.has_perm("identity.view_user")
    assert not user.has_module_perms("identity")
    assert not roles.sees_everything(user)
    assert not roles.is_admin(user)


def test_every_investor_has_a_profile_and_nobody_else() -> None:
    for role in Role:
        make(role.value, role)
    assert [p.user.role for p in InvestorProfile.objects.all()] == [Role.INVESTOR]


def test_a_user_is_found_in_any_case_and_with_any_text() -> None:
    alice = make("Alice")
    assert User.objects.named("aLICE") == alice
    assert User.objects.get_by_natural_key("alice") == alice
    with pytest.raises(User.DoesNotExist):
        User.objects.get_by_natural_key("nobody")


def test_createsuperuser_makes_an_admin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    call_command("createsuperuser", interactive=False, username="root", email="r@example.org")
    root = User.objects.get()
    assert (root.role, root.check_password(PASSWORD)) == (Role.ADMIN, True)


def test_what_each_role_may_do() -> None:
    admin, auditor, investor = (make(role.value, role) for role in Role)
    people = [admin, auditor, investor]
    assert [roles.sees_everything(one) for one in people] == [True, True, False]
    assert [roles.reads_the_log(one) for one in people] == [True, True, False]
    assert [roles.downloads(one) for one in people] == [True, False, True]
    assert [roles.is_admin(one) for one in people] == [True, False, False]
