"""What the pages outside the API are to leave in the log, and why the others leave nothing.

Django's admin answers to a route by whatever method, and what would change anything only to POST.
"""

from typing import Any

from django.conf import settings
from django.test import Client, RequestFactory
from django.utils import timezone

from audit import sequencer
from audit.models import Checkpoint, Erasure, Event
from identity import mail, sessions
from identity.models import AdminAct, Mail, MfaDevice, RoleRequest, User
from identity.session_store import SessionStore
from pipeline.models import Alarm, Document, DocumentVersion, Scan
from tests import factories
from tests.api.acts import NOBODY, REASON, Act, Left, Table, World, by_themselves, entering, name
from tests.factories import PASSWORD

ACTS: Table = []
leaves = entering(ACTS)


def password_given(world: World, name_: str = "rhea", **more: Any) -> tuple[Client, Any]:
    """A browser in which an admin has given the password."""
    world.person(name_, "admin", **more)
    browser = Client()
    return browser, browser.post("/admin/login/", {"username": name_, "password": PASSWORD}, secure=True)


def entered(world: World) -> Client:
    """A browser in which rhea is signed in."""
    browser, _ = password_given(world)
    browser.post("/admin/login/code/", {"code": world.rhea.code()}, secure=True)
    return browser


def inside(user: User) -> Client:
    """A browser in which the person has shown both factors, whoever it is; without the work of signing in."""
    request = RequestFactory().get("/")
    request.session = SessionStore()
    user.refresh_from_db()
    sessions.complete(request, user, factor="totp", now=timezone.now())
    request.session.save()
    browser = Client()
    browser.cookies[settings.SESSION_COOKIE_NAME] = request.session.session_key or ""
    return browser


@leaves("POST /admin/login/", "auth.password_accepted")
def _(world: World) -> Left:
    _, answer = password_given(world)
    return Left(answer, NOBODY, name(world.rhea.user), name(world.rhea.user))


@leaves("POST /admin/login/", "auth.sign_in_failed")
def _(world: World) -> Left:
    body, who = {"username": world.carol.user.username, "password": PASSWORD}, name(world.carol.user)  # not an admin
    return Left(Client().post("/admin/login/", body, secure=True), NOBODY, who, who, "failure")


@leaves("POST /admin/login/code/", "auth.signed_in")
def _(world: World) -> Left:
    browser, _ = password_given(world)
    answer = browser.post("/admin/login/code/", {"code": world.rhea.code()}, secure=True)
    return by_themselves(answer, world.rhea.user)


@leaves("POST /admin/login/code/", "mfa.failed")
def _(world: World) -> Left:
    browser, _ = password_given(world)
    answer, who = browser.post("/admin/login/code/", {"code": "000000"}, secure=True), name(world.rhea.user)
    return Left(answer, NOBODY, who, who, "failure")


@leaves("GET /admin/login/enrol/", "mfa.setup_started")
def _(world: World) -> Left:
    browser, _ = password_given(world, "nora", enrolled=False)
    return by_themselves(browser.get("/admin/login/enrol/", secure=True), world.made["nora"].user)


@leaves("POST /admin/login/enrol/", "mfa.enrolled")
def _(world: World) -> Left:
    browser, _ = password_given(world, "nora", enrolled=False)
    secret = browser.get("/admin/login/enrol/", secure=True).context["setup"].secret
    answer = browser.post("/admin/login/enrol/", {"code": factories.code(secret)}, secure=True)
    return by_themselves(answer, world.made["nora"].user)


@leaves("POST /admin/logout/", "auth.signed_out")
def _(world: World) -> Left:
    return by_themselves(entered(world).post("/admin/logout/", secure=True), world.rhea.user)


@leaves("GET /internal/flower-auth/", "flower.entered")
def _(world: World) -> Left:
    return by_themselves(inside(world.rhea.user).get("/internal/flower-auth/", secure=True), world.rhea.user)


@leaves("POST /admin/step-up/", "auth.stepped_up")
def _(world: World) -> Left:
    browser, body = inside(world.rhea.user), {"code": world.rhea.code()}
    return by_themselves(browser.post("/admin/step-up/", body, secure=True), world.rhea.user)


@leaves("POST /admin/step-up/", "mfa.failed")
def _(world: World) -> Left:
    answer = inside(world.rhea.user).post("/admin/step-up/", {"code": "000000"}, secure=True)
    return by_themselves(answer, world.rhea.user, outcome="failure")


@leaves("POST /admin/pipeline/documentversion/", "version.requeued")
def _(world: World) -> Left:
    version = _version(world)
    DocumentVersion.objects.filter(pk=version.pk).update(stuck_reason="for a test")
    body = {"action": "requeue", "index": "0", "_selected_action": [str(version.pk)]}
    answer = inside(world.rhea.user).post("/admin/pipeline/documentversion/", body, secure=True)
    return Left(answer, name(world.rhea.user), f"version:{version.pk}", name(world.carol.user))


# --- pages of one row ------------------------------------------------------------------------------
def _version(world: World) -> DocumentVersion:
    return factories.begun(world.carol.user)


def _scan(world: World) -> Scan:
    return Scan.objects.create(version=_version(world), engine="x", scanned_bytes=1, verdict="clean", seconds=0)


def _event(world: World) -> Event:
    factories.begun(world.carol.user)
    sequencer.sequence()
    return Event.objects.latest("seq")


def _mail(world: World) -> Mail:
    mail.to(world.carol.user, "mfa_enrolled", now=timezone.now())
    return Mail.objects.latest("created_at")


def _request(world: World) -> RoleRequest:
    return RoleRequest.objects.create(
        user=world.carol.user, requested_by=world.rhea.user, requested_at=timezone.now(), **REASON
    )


def _act(world: World) -> AdminAct:
    now = timezone.now()
    return AdminAct.objects.create(admin=world.rhea.user, user=world.carol.user, kind="mfa_reset", at=now)


def _alarm(world: World) -> Alarm:
    return Alarm.objects.create(kind="altered", object="documents/a/b", version=_version(world), words="It differs.")


def _erasure(world: World) -> Erasure:
    who = name(world.carol.user)
    return Erasure.objects.create(person=who, requested_by="user:1", requested_at=timezone.now(), **REASON)


def _checkpoint(world: World) -> Checkpoint:
    return Checkpoint.objects.create(origin="o", size=1, root=bytes(32), note="n")


def _user(world: World) -> User:
    return world.carol.user


def _device(world: World) -> MfaDevice:
    return MfaDevice.objects.get(user=world.carol.user)


def _document(world: World) -> Document:
    return _version(world).document


# The page, the row, the action, its object (the row itself if not said otherwise), whether it is about carol.
PAGES: dict[str, tuple[Any, str, str, bool]] = {
    "identity/user": (_user, "user.read", "user:{carol}", True),
    "identity/mfadevice": (_device, "user.read", "user:{carol}", True),
    "identity/mail": (_mail, "user.read", "user:{carol}", True),
    "identity/rolerequest": (_request, "user.read", "user:{carol}", True),
    "identity/adminact": (_act, "user.read", "user:{carol}", True),
    "pipeline/document": (_document, "document.read", "document:{row.pk}", True),
    "pipeline/documentversion": (_version, "document.read", "version:{row.pk}", True),
    "pipeline/scan": (_scan, "document.read", "version:{row.version_id}", True),
    "pipeline/alarm": (_alarm, "document.read", "version:{row.version_id}", True),
    "audit/event": (_event, "log.read", "event:{row.pk}", False),
    "audit/checkpoint": (_checkpoint, "log.read", "checkpoint:{row.pk}", False),
    "audit/erasure": (_erasure, "user.read", "user:{carol}", True),
}


def _page(model: str, page: str) -> Act:
    make, _, object_, of_carol = PAGES[model]

    def look(world: World) -> Left:
        row, browser = make(world), inside(world.rhea.user)
        answer = browser.get(f"/admin/{model}/{row.pk}/{page}/", secure=True)
        carol = world.carol.user
        target = object_.format(row=row, carol=carol.pk)
        return Left(answer, name(world.rhea.user), target, name(carol) if of_carol else "")

    return look


for model in PAGES:
    for page in ("change", "history"):
        leaves(f"GET /admin/{model}/<path:object_id>/{page}/", PAGES[model][1])(_page(model, page))

MODELS = (*PAGES, "identity/apitoken", "identity/attempts")

_PUBLIC = "open to everybody, and shows nothing of anybody"
_NO_PAGE = "no page of one row: it would have a secret or an address in its own address"
_FORM = "an empty form"
_LIST = "a list: it shows what is needed to find one"
NOTHING = {
    "GET /": _PUBLIC,
    "GET /healthz": _PUBLIC,
    "GET /readyz": _PUBLIC,
    "GET /account/password/": _PUBLIC,
    "GET /flower/": "sends the browser to Flower's own door, which asks and records (flower.entered)",
    "GET /admin/": "the names of the lists",
    "GET /admin/login/": _FORM,
    "GET /admin/login/code/": _FORM,
    "GET /admin/step-up/": _FORM,
    "GET /admin/(?P<app_label>audit|identity|pipeline)/": "the names of the lists",
    "GET /admin/(?P<url>.*)": "sends to an address that exists",
    "GET /admin/autocomplete/": "no form has a field for it: 403 or 404",
    "GET /admin/jsi18n/": "words of Django's",
    "GET /admin/password_change/": "no such page",
    "GET /admin/password_change/done/": "no such page",
    "GET /admin/r/<path:content_type_id>/<path:object_id>/": "sends to a row's own address, which none has",
    **{f"GET /admin/{model}/": _LIST for model in MODELS},
    **{f"GET /admin/{model}/<path:object_id>/": "sends on to the page of one row" for model in MODELS},
    **{
        f"GET /admin/identity/{model}/<path:object_id>/{page}/": _NO_PAGE
        for model in ("apitoken", "attempts")
        for page in ("change", "history")
    },
}
# Refused to everybody, admins too: these leave access.denied.
REFUSED = [
    f"{method} /admin/{model}/{page}/"
    for model in MODELS
    for method, page in (
        *(("GET", "add"), ("POST", "add"), ("GET", "<path:object_id>/delete")),
        *(("POST", "<path:object_id>/delete"), ("POST", "<path:object_id>/change")),
    )
]
