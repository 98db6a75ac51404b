"""What each call of the API is to leave in the log, and the calls themselves; or why a call leaves nothing.

One line per act: the call as the resolver writes it, the action, and a function that does it for real and says who did
it, to what, and whom it concerns. A call that can end in several ways has a line for each.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone
from rest_framework.test import APIClient

from identity import acts, lockout, mfa, tokens
from identity.links import mint
from identity.models import Attempts, Role, TokenKind, User
from pipeline.models import DocumentVersion
from tests import factories
from tests.api.test_upload import BODY
from tests.factories import PASSWORD
from tests.people import Person, bearer, post

NOBODY = "anonymous:unknown"
NEW = "another long sentence of hers"
REASON = {"reason": "She has asked for it."}


@dataclass
class World:
    """Who there is: carol, an investor; newton, without a second factor yet; rhea and ruth, admins; and documents."""

    somebody: Callable[..., Person]
    made: dict[str, Person] = field(default_factory=dict)

    def person(self, name: str, role: str = "investor", *, enrolled: bool = True) -> Person:
        """Somebody, made the first time that they are asked for."""
        if name not in self.made:
            self.made[name] = self.somebody(name, role, enrolled=enrolled)
        return self.made[name]

    @property
    def carol(self) -> Person:
        """An investor with both factors."""
        return self.person("carol")

    @property
    def rhea(self) -> Person:
        """An admin."""
        return self.person("rhea", "admin")

    def client(self, person: Person) -> APIClient:
        """A client of theirs, who has just shown both factors."""
        return bearer(factories.token(person.user).text)


@dataclass
class Left:
    """What is to be in the log after an answer."""

    answer: Any
    actor: str
    object: str
    subject: str = ""
    outcome: str = "success"


Act = Callable[[World], Left]
Table = list[tuple[str, str, Act]]
ACTS: Table = []


def entering(table: Table) -> Callable[[str, str], Callable[[Act], Act]]:
    """Give the decorator that puts an act into this table, under its call and its action."""

    def leaves(call: str, action: str) -> Callable[[Act], Act]:
        def enter(act: Act) -> Act:
            table.append((call, action, act))
            return act

        return enter

    return leaves


leaves = entering(ACTS)


def name(user: User) -> str:
    """As the log names a person."""
    return f"user:{user.pk}"


def by_themselves(answer: Any, user: User, **more: Any) -> Left:
    """Something that a person did to their own account."""
    return Left(answer, name(user), name(user), name(user), **more)


# --- signing in and out --------------------------------------------------------------------------
@leaves("POST /api/auth/login/", "auth.signed_in")
def _(world: World) -> Left:
    return by_themselves(world.carol.login(), world.carol.user)


@leaves("POST /api/auth/login/", "auth.password_accepted")
def _(world: World) -> Left:
    return Left(world.carol.login(mfa_code=""), NOBODY, name(world.carol.user), name(world.carol.user))


@leaves("POST /api/auth/login/", "auth.sign_in_failed")
def _(world: World) -> Left:
    answer, who = world.carol.login(password="wrong"), name(world.carol.user)
    return Left(answer, NOBODY, who, who, "failure")


@leaves("POST /api/auth/login/", "auth.throttled")
def _(world: World) -> Left:
    answer = [world.carol.login(password="wrong") for _ in range(5)][-1]
    return Left(answer, NOBODY, name(world.carol.user), name(world.carol.user), "failure")


@leaves("POST /api/auth/login/", "mfa.failed")
def _(world: World) -> Left:
    answer, who = world.carol.login(mfa_code="000000"), name(world.carol.user)
    return Left(answer, NOBODY, who, who, "failure")


@leaves("POST /api/auth/login/", "mfa.locked")
def _(world: World) -> Left:
    carol, key = world.carol, lockout.second_factor(world.carol.user)[0].key
    lockout.charge(lockout.second_factor(carol.user), now=timezone.now())
    Attempts.objects.filter(key=key).update(failures=99, not_before=None)
    return Left(carol.login(mfa_code="000000"), "system:lockout", name(carol.user), name(carol.user))


@leaves("POST /api/auth/login/", "backup_code.used")
def _(world: World) -> Left:
    code = mfa.renew_backup_codes(world.carol.user, now=timezone.now())[0]
    return by_themselves(world.carol.login(mfa_code=code), world.carol.user)


@leaves("POST /api/auth/token/", "auth.signed_in")
def _(world: World) -> Left:
    body = {"username": "carol", "password": PASSWORD, "mfa_code": world.carol.code()}
    return by_themselves(post(APIClient(), "auth/token/", body), world.carol.user)


@leaves("POST /api/auth/token/rotate/", "token.rotated")
def _(world: World) -> Left:
    return by_themselves(post(world.client(world.carol), "auth/token/rotate/"), world.carol.user)


@leaves("POST /api/auth/step-up/", "auth.stepped_up")
def _(world: World) -> Left:
    body = {"mfa_code": world.carol.code()}
    return by_themselves(post(world.client(world.carol), "auth/step-up/", body), world.carol.user)


@leaves("POST /api/auth/step-up/", "mfa.failed")
def _(world: World) -> Left:
    answer = post(world.client(world.carol), "auth/step-up/", {"mfa_code": "000000"})
    return by_themselves(answer, world.carol.user, outcome="failure")


@leaves("POST /api/auth/logout/", "auth.signed_out")
def _(world: World) -> Left:
    return by_themselves(post(world.client(world.carol), "auth/logout/"), world.carol.user)


@leaves("POST /api/auth/logout-all/", "auth.signed_out_everywhere")
def _(world: World) -> Left:
    return by_themselves(post(world.client(world.carol), "auth/logout-all/"), world.carol.user)


@leaves("DELETE /api/auth/sessions/<uuid:id>/", "session.revoked")
def _(world: World) -> Left:
    other: tokens.Issued = factories.token(world.carol.user)
    answer = world.client(world.carol).delete(f"/api/auth/sessions/{other.token.id}/")
    return by_themselves(answer, world.carol.user)


# --- passwords and the second factor ---------------------------------------------------------------
@leaves("POST /api/auth/password/change/", "password.changed")
def _(world: World) -> Left:
    body = {"current_password": PASSWORD, "new_password": NEW, "mfa_code": world.carol.code()}
    return by_themselves(post(world.client(world.carol), "auth/password/change/", body), world.carol.user)


@leaves("POST /api/auth/password/change/", "password.change_failed")
def _(world: World) -> Left:
    body = {"current_password": "wrong", "new_password": NEW}
    answer = post(world.client(world.carol), "auth/password/change/", body)
    return by_themselves(answer, world.carol.user, outcome="failure")


@leaves("POST /api/auth/password/reset/", "password.reset_requested")
def _(world: World) -> Left:
    who = name(world.carol.user)
    return Left(post(APIClient(), "auth/password/reset/", {"email": "carol@example.test"}), NOBODY, who, who)


@leaves("POST /api/auth/password/reset/confirm/", "password.reset")
def _(world: World) -> Left:
    secret = mint(world.carol.user, "reset").partition("secret=")[2]
    body = {"uid": world.carol.user.pk, "token": secret, "new_password": NEW}
    return by_themselves(post(APIClient(), "auth/password/reset/confirm/", body), world.carol.user)


@leaves("POST /api/auth/password/reset/confirm/", "password.reset_failed")
def _(world: World) -> Left:
    body, who = {"uid": world.carol.user.pk, "token": "guessed", "new_password": NEW}, name(world.carol.user)
    return Left(post(APIClient(), "auth/password/reset/confirm/", body), NOBODY, who, who, "failure")


@leaves("POST /api/investors/mfa/setup/", "mfa.setup_started")
def _(world: World) -> Left:
    newton = world.person("newton", enrolled=False)
    client = bearer(factories.token(newton.user, kind=TokenKind.ENROL).text)
    return by_themselves(post(client, "investors/mfa/setup/"), newton.user)


@leaves("POST /api/investors/mfa/verify/", "mfa.enrolled")
def _(world: World) -> Left:
    newton = world.person("newton", enrolled=False)
    client = bearer(factories.token(newton.user, kind=TokenKind.ENROL).text)
    secret = post(client, "investors/mfa/setup/").json()["secret"]
    return by_themselves(post(client, "investors/mfa/verify/", {"code": factories.code(secret)}), newton.user)


@leaves("POST /api/investors/mfa/disable/", "mfa.disabled")
def _(world: World) -> Left:
    body = {"code": world.carol.code()}
    return by_themselves(post(world.client(world.carol), "investors/mfa/disable/", body), world.carol.user)


@leaves("POST /api/investors/mfa/backup-codes/", "backup_codes.renewed")
def _(world: World) -> Left:
    body = {"code": world.carol.code()}
    return by_themselves(post(world.client(world.carol), "investors/mfa/backup-codes/", body), world.carol.user)


# --- documents -------------------------------------------------------------------------------------
def of_version(answer: Any, user: User, version_id: Any, owner: User) -> Left:
    """Something that was done to a version."""
    return Left(answer, name(user), f"version:{version_id}", name(owner))


@leaves("POST /api/documents/", "version.requested")
def _(world: World) -> Left:
    answer = post(world.client(world.carol), "documents/", BODY)
    return of_version(answer, world.carol.user, answer.json()["id"], world.carol.user)


@leaves("POST /api/documents/<uuid:id>/complete/", "version.received")
def _(world: World) -> Left:
    version = factories.begun(world.carol.user)
    factories.send(version)
    answer = post(world.client(world.carol), f"documents/{version.pk}/complete/")
    return of_version(answer, world.carol.user, version.pk, world.carol.user)


def looked_at(world: World, version: DocumentVersion, rest: str = "") -> Left:
    """rhea looks at what is carol's."""
    answer = world.client(world.rhea).get(f"/api/documents/{version.pk}/{rest}")
    return of_version(answer, world.rhea.user, version.pk, world.carol.user)


@leaves("GET /api/documents/<uuid:id>/", "document.read")
def _(world: World) -> Left:
    return looked_at(world, factories.begun(world.carol.user))


@leaves("GET /api/documents/<uuid:id>/history/", "document.history_read")
def _(world: World) -> Left:
    return looked_at(world, factories.begun(world.carol.user), "history/")


@leaves("GET /api/documents/<uuid:id>/download/", "document.download_linked")
def _(world: World) -> Left:
    return looked_at(world, factories.available(world.carol.user), "download/")


@leaves("POST /api/ops/stuck/<uuid:id>/requeue/", "version.requeued")
def _(world: World) -> Left:
    version = factories.begun(world.carol.user)
    DocumentVersion.objects.filter(pk=version.pk).update(stuck_reason="for a test")
    answer = post(world.client(world.rhea), f"ops/stuck/{version.pk}/requeue/")
    return of_version(answer, world.rhea.user, version.pk, world.carol.user)


# --- admins ----------------------------------------------------------------------------------------
def done_to_carol(world: World, rest: str, body: dict[str, str] | None = None) -> Left:
    """rhea does it to carol's account."""
    path = f"investors/{world.carol.user.pk}/{rest}/"
    answer = post(world.client(world.rhea), path, {**REASON, **(body or {})})
    return Left(answer, name(world.rhea.user), name(world.carol.user), name(world.carol.user))


@leaves("GET /api/investors/<int:id>/", "user.read")
def _(world: World) -> Left:
    answer, who = world.client(world.rhea).get(f"/api/investors/{world.carol.user.pk}/"), name(world.carol.user)
    return Left(answer, name(world.rhea.user), who, who)


def made_by_rhea(world: World, **body: str) -> Left:
    """rhea makes an account."""
    answer = post(world.client(world.rhea), "investors/create_user/", {"username": "dora", **body})
    who = f"user:{answer.json()['user_id']}"
    return Left(answer, name(world.rhea.user), who, who)


@leaves("POST /api/investors/create_user/", "user.created")
def _(world: World) -> Left:
    return made_by_rhea(world, password=NEW)


@leaves("POST /api/investors/create_user/", "user.invited")
def _(world: World) -> Left:
    return made_by_rhea(world, email="dora@example.test")


@leaves("POST /api/investors/<int:id>/reset_mfa/", "mfa.reset")
def _(world: World) -> Left:
    return done_to_carol(world, "reset_mfa")


@leaves("POST /api/investors/<int:id>/revoke_sessions/", "user.sessions_revoked")
def _(world: World) -> Left:
    return done_to_carol(world, "revoke_sessions")


@leaves("POST /api/investors/<int:id>/unlock/", "user.unlocked")
def _(world: World) -> Left:
    return done_to_carol(world, "unlock")


@leaves("POST /api/investors/<int:id>/deactivate/", "user.deactivated")
def _(world: World) -> Left:
    return done_to_carol(world, "deactivate")


@leaves("POST /api/investors/<int:id>/reactivate/", "user.reactivated")
def _(world: World) -> Left:
    User.objects.filter(pk=world.carol.user.pk).update(is_active=False)
    return done_to_carol(world, "reactivate")


@leaves("POST /api/investors/<int:id>/email/", "user.email_changed")
def _(world: World) -> Left:
    return done_to_carol(world, "email", {"email": "new@example.test"})


@leaves("POST /api/investors/<int:id>/role/", "user.role_changed")
def _(world: World) -> Left:
    return done_to_carol(world, "role", {"role": "auditor"})


@leaves("POST /api/investors/<int:id>/role/", "user.role_requested")
def _(world: World) -> Left:
    return done_to_carol(world, "role", {"role": "admin"})


def decided(world: World, rest: str) -> Left:
    """rhea asks that carol become an admin, and ruth decides."""
    now, ruth = timezone.now(), world.person("ruth", "admin")
    asked = acts.change_role(world.rhea.user, world.carol.user, role=Role.ADMIN, reason="She takes over.", now=now)
    assert asked
    answer, who = post(world.client(ruth), f"role-requests/{asked.pk}/{rest}/"), name(world.carol.user)
    return Left(answer, name(ruth.user), who, who)


@leaves("POST /api/role-requests/<uuid:id>/approve/", "user.role_changed")
def _(world: World) -> Left:
    return decided(world, "approve")


@leaves("POST /api/role-requests/<uuid:id>/refuse/", "user.role_refused")
def _(world: World) -> Left:
    return decided(world, "refuse")


_LIST = "a list: it shows what is needed to find one, and each page of it would be an event"
_OWN = "one's own account or upload"
NOTHING = {
    "GET /api/auth/me/": _OWN,
    "GET /api/auth/sessions/": _OWN,
    "GET /api/documents/": _LIST,
    "GET /api/documents/latest/": _LIST,
    "GET /api/documents/by-type/<str:doc_type>/": _LIST,
    "GET /api/investors/": _LIST,
    "GET /api/role-requests/": _LIST,
    "GET /api/ops/stuck/": _LIST,
    "GET /api/schema/": "how this API is called, which is in its documentation too",
}
