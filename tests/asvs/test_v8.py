"""OWASP ASVS 5.0, V8 Authorization: one test per requirement that applies, named by its id."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from identity import acts
from identity.models import MfaDevice, Role, User
from pipeline.models import Document
from tests import factories
from tests.asvs.test_v6 import ROOT
from tests.asvs.test_v7 import in_the_admin
from tests.people import Person, post

pytestmark = pytest.mark.django_db
MakePerson = Callable[..., Person]
NEW = {
    "name": "Passport",
    "doc_type": "id",
    "filename": "passport.pdf",
    "content_type": "application/pdf",
    "size": len(factories.PDF),
}


def test_v8_1_1_the_rules_are_documented() -> None:
    page = (ROOT / "docs/security.md").read_text()
    assert all(f"`{role}`" in page for role in ("admin", "auditor", "investor"))


def test_v8_2_1_functions_are_for_those_who_may(anna: Person, root: Person, somebody: MakePerson) -> None:
    """Every role, state, method and route: tests/api/test_matrix.py."""
    auditor = somebody("otto", "auditor").client()
    hers, admin = anna.client(), root.client()
    statuses = {
        path: [client.get(f"/api/{path}").status_code for client in (hers, auditor, admin)]
        for path in ("documents/", "auditlogs/", "investors/")
    }
    assert statuses == {
        "documents/": [200, 200, 200],
        "auditlogs/": [403, 200, 200],
        "investors/": [403, 403, 200],
    }


def test_v8_2_2_other_peoples_documents_are_not_there(anna: Person, somebody: MakePerson) -> None:
    version = factories.available(anna.user)
    stranger = somebody("bert").client()
    for path in ("", "history/", "download/"):
        for id_ in (version.pk, version.document_id):
            assert stranger.get(f"/api/documents/{id_}/{path}").status_code == 404
    for method in (stranger.put, stranger.patch, stranger.delete):
        assert method(f"/api/documents/{version.pk}/").status_code in {404, 405}


@pytest.mark.parametrize("field", ["investor", "user", "owner", "version", "previous_version", "status", "id"])
def test_v8_2_3_fields_that_are_not_the_callers_are_refused(anna: Person, root: Person, field: str) -> None:
    client = anna.client()
    answer = post(client, "documents/", {**NEW, field: root.user.pk})
    assert answer.status_code == 400
    assert field in answer.json()["fields"]
    assert not Document.objects.exists()


@pytest.mark.parametrize(
    "extra",
    [{"is_staff": True}, {"is_superuser": True}, {"mfa_enabled": True}, {"role": "admin"}, {"is_active": False}],
)
def test_v8_2_3_nobody_is_made_more_than_may_be(root: Person, extra: dict[str, Any]) -> None:
    body = {"username": "dora", "password": "a long password of hers", "email": "d@example.test", **extra}
    assert post(root.client(), "investors/create_user/", body).status_code == 400
    assert not User.objects.filter(username="dora").exists()


def test_v8_2_3_secrets_are_in_no_answer(anna: Person, root: Person) -> None:
    device = MfaDevice.objects.get(user=anna.user)
    client = root.client()
    for path in ("investors/", f"investors/{anna.user.pk}/", "auth/me/", "auth/sessions/", "auditlogs/"):
        text = client.get(f"/api/{path}").content.decode()
        anna.user.refresh_from_db()
        for secret in (anna.user.password, anna.secret, bytes(device.secret).decode(), "code_hash", "digest"):
            assert secret not in text


def test_v8_3_1_rules_are_enforced_by_the_server_whatever_a_client_says(anna: Person) -> None:
    client = anna.client()
    answer = client.get("/api/auditlogs/", headers={"X-Role": "admin", "X-User-Id": "1"})
    assert answer.status_code == 403


def test_v8_3_2_a_change_of_role_holds_at_the_next_request(root: Person, somebody: MakePerson, client: Any) -> None:
    second = somebody("second", "admin")
    browser, api = in_the_admin(second, client), second.client()
    acts.change_role(root.user, second.user, role=Role.INVESTOR, reason="changes desks", now=timezone.now())
    assert api.get("/api/auditlogs/").status_code == 401
    assert browser.get("/admin/", secure=True).status_code == 302
    assert browser.get("/internal/flower-auth/", secure=True).status_code == 401


def test_v8_3_3_an_admin_who_completes_an_upload_does_not_become_its_owner(anna: Person, root: Person) -> None:
    version = factories.begun(anna.user)
    factories.send(version)
    assert post(root.client(), f"documents/{version.pk}/complete/").status_code == 202
    version.refresh_from_db()
    assert (version.status, version.document.owner_id) == ("received", anna.user.pk)


def test_v8_4_1_tenants_do_not_mix(anna: Person, somebody: MakePerson) -> None:
    """Every owner is a tenant: the same name and type are two documents."""
    bert = somebody("bert")
    ids = {post(who.client(), "documents/", NEW).json()["document_id"] for who in (anna, bert)}
    assert len(ids) == 2
    owners = Document.objects.order_by("pk").values_list("owner_id", flat=True)
    assert set(owners) == {anna.user.pk, bert.user.pk}


def test_v8_4_2_the_admin_pages_need_more_than_a_password(root: Person, client: Any) -> None:
    client.post("/admin/login/", {"username": "root", "password": factories.PASSWORD}, secure=True)
    assert client.get("/admin/", secure=True).status_code == 302


def test_nobody_rises_in_the_django_admin(root: Person, anna: Person, client: Any) -> None:
    """Django's own UserAdmin lets staff raise themselves and set a stronger user's password: ours has no form."""
    admin = in_the_admin(root, client)
    before = list(User.objects.order_by("pk").values("pk", "role", "password", "is_active"))
    change = f"/admin/identity/user/{anna.user.pk}"
    for path in (f"{change}/change/", f"{change}/password/", "/admin/identity/user/add/", f"{change}/delete/"):
        body = {"role": "admin", "is_staff": "on", "is_superuser": "on", "password1": "x" * 20, "password2": "x" * 20}
        assert admin.post(path, {**body, "post": "yes"}, secure=True).status_code in {302, 403, 404}
    assert list(User.objects.order_by("pk").values("pk", "role", "password", "is_active")) == before
