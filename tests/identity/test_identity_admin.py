"""Users in Django's admin: seen by admins, changed by nobody."""

import pytest
from django.contrib import admin
from django.test import Client, override_settings
from django.urls import path

from identity import accounts
from identity.models import User

urlpatterns = [path("admin/", admin.site.urls)]

_PLAIN = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


def signed_in(role: str) -> Client:
    """A browser in which somebody of that role is signed in."""
    client = Client()
    client.force_login(accounts.create(username=role, role=role, actor=accounts.SYSTEM))
    return client


@pytest.mark.parametrize("role", ["auditor", "investor"])
def test_the_admin_is_for_admins(role: str) -> None:
    assert signed_in(role).get("/admin/identity/user/", secure=True).status_code == 302


@override_settings(STORAGES=_PLAIN)
def test_an_admin_sees_people_and_no_password() -> None:
    client = signed_in("admin")
    user = User.objects.get()
    assert client.get("/admin/", secure=True).status_code == 200
    assert client.get("/admin/identity/user/", secure=True).status_code == 200
    page = client.get(f"/admin/identity/user/{user.pk}/change/", secure=True)
    assert page.status_code == 200
    assert user.password not in page.content.decode()


@override_settings(STORAGES=_PLAIN)
def test_nothing_about_a_user_is_changed_in_the_admin() -> None:
    client = signed_in("admin")
    before = User.objects.values().get()
    change = f"/admin/identity/user/{before['id']}"
    body = {"username": "eve", "role": "investor", "password": "x"}
    assert client.post(f"{change}/change/", body, secure=True).status_code == 403
    assert client.post(f"{change}/delete/", {"post": "yes"}, secure=True).status_code == 403
    assert client.get("/admin/identity/user/add/", secure=True).status_code == 403
    assert client.get(f"{change}/password/", secure=True).status_code == 302  # no such page
    after = User.objects.values().get()
    assert after == before


def test_tokens_are_not_shown() -> None:
    assert not any(model._meta.app_label == "knox" for model in admin.site._registry)
    assert not any(model.__name__ == "ApiToken" for model in admin.site._registry)
