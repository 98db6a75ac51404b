"""The Django admin behind both factors: user name and password, then a code, then the pages.

Being signed in to Django opens nothing here; only the note that `identity.sessions` leaves after the
second factor does, so that a login by any other code gains nothing (ASVS 6.3.4). Whoever is not an
admin is refused at the password, in the same words as a stranger. What an attempt costs is for
`identity.authentication`, how long a session is good for `identity.sessions`.
"""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.auth.models import AnonymousUser
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from identity import accounts, authentication, denials, mfa, roles, sessions
from identity.authentication import FactorLocked, TooManyAttempts, WrongCode, WrongCredentials
from identity.models import Role, User

View = TypeVar("View", bound=Callable[..., HttpResponseBase])

NOT_AN_ADMIN: Final = "Wrong user name or password, or not an admin."
_CSP_UPDATE: Final = "_csp_update"  # where django-csp's own decorator leaves what a page adds to the policy
_STATUS: Final[dict[type[Exception], int]] = {TooManyAttempts: 429, FactorLocked: 403}
_a_step = method_decorator(
    [never_cache, require_http_methods(["GET", "HEAD", "POST"]), sensitive_post_parameters("password", "code")]
)


class MfaAdminSite(AdminSite):
    """The only admin site there is (`config.apps.AdminConfig`)."""

    site_title = site_header = "Strongroom"
    index_title = "What there is to see"

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether an admin has shown both factors in this browser, and the session is still good."""
        return roles.is_admin(sessions.holder(request, now=timezone.now()) or AnonymousUser())

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        """As Django's, but nothing behind the door is ever kept in a cache, and who is sent away is recorded."""
        inner = super().admin_view(view)

        @wraps(inner)
        def watched(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            answer = inner(request, *args, **kwargs)
            visitor = sessions.holder(request, now=timezone.now())
            if visitor is None or roles.is_admin(visitor):
                return answer
            return denials.of_page(request, answer, code="admin_only", user=visitor)

        return cast(View, watched)

    def get_urls(self) -> list[URLResolver | URLPattern]:
        """Django's own, and the pages of the second factor."""
        return [
            path("login/code/", self.code, name="code"),
            path("login/enrol/", self.enrol, name="enrol"),
            path("step-up/", self.admin_view(self.step_up), name="step_up"),
            *super().get_urls(),
        ]

    @_a_step
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Step one: user name and password. Right ones open nothing but the next step."""
        if request.method != "POST":
            return _onward(request) if self.has_permission(request) else self._page(request, "password")
        now, username = timezone.now(), request.POST.get("username", "")
        try:
            user = authentication.check_password(username, request.POST.get("password", ""), role=Role.ADMIN, now=now)
        except (WrongCredentials, TooManyAttempts) as refusal:
            return self._refused(request, "password", refusal, username=username)
        authentication.awaits_code(user, now=now)
        sessions.begin(request, user, now=now)
        return _to_step(request, "code" if mfa.enrolled(user) else "enrol")

    @_a_step
    def code(self, request: HttpRequest) -> HttpResponse:
        """Step two: a code of the authenticator app, or a backup code."""
        now = timezone.now()
        user = _expected(request, now)
        if user is None or not mfa.enrolled(user):
            return _to_step(request, "enrol" if user else "login")
        if request.method != "POST":
            return _may_lead_to_flower(self._page(request, "code", person=user))
        try:
            factor = authentication.check_code(user, request.POST.get("code", ""), now=now)
        except mfa.NotEnrolled:  # reset a moment ago
            return _to_step(request, "login")
        except (WrongCode, TooManyAttempts, FactorLocked) as refusal:
            return _may_lead_to_flower(self._refused(request, "code", refusal, person=user))
        return self._admit(request, user, factor, now) or _onward(request)

    @_a_step
    def enrol(self, request: HttpRequest) -> HttpResponse:
        """Step two, the first time: scan the QR code, prove it with a code, keep the backup codes.

        Each look at the page makes a new secret, so a wrong code is answered without one: the entry
        that the app has by now stays good.
        """
        now = timezone.now()
        user = _expected(request, now)
        if user is None or mfa.enrolled(user):
            return _to_step(request, "code" if user else "login")
        try:
            if request.method != "POST":
                return self._page(request, "enrol", person=user, setup=mfa.setup(user, now=now))
            codes = authentication.confirm_enrolment(user, request.POST.get("code", ""), token=None, now=now)
        except (mfa.NotSetUp, mfa.AlreadyEnrolled):  # run out, or done from another window
            return _to_step(request, "enrol")
        except (WrongCode, TooManyAttempts) as refusal:
            return self._refused(request, "enrol", refusal, person=user)
        refused = self._admit(request, user, "totp", now)
        return self._page(request, "backup_codes", codes=codes, onward="" if refused else _onward(request).url)

    @_a_step
    def step_up(self, request: HttpRequest) -> HttpResponse:
        """The second factor once more, before an act; then back to where it was asked for."""
        now = timezone.now()
        user = sessions.holder(request, now=now)
        if user is None:
            return _to_step(request, "login")
        if request.method != "POST":
            return self._page(request, "step_up", person=user)
        try:
            sessions.step_up(request, user, request.POST.get("code", ""), now=now)
        except mfa.NotEnrolled:  # reset a moment ago
            return _to_step(request, "login")
        except (WrongCode, TooManyAttempts, FactorLocked) as refusal:
            return self._refused(request, "step_up", refusal, person=user)
        return _onward(request)

    def ask_again(self, request: HttpRequest) -> HttpResponse | None:
        """Send an admin to show the second factor again who has not done so within 15 minutes; None: it is fresh.

        `audit.looking.AsksAgain`: pages with an act call it first (ASVS 7.5.3).
        """
        if sessions.stepped_up(request, now=timezone.now()):
            return None
        return HttpResponseRedirect(f"{reverse('admin:step_up')}?{urlencode({'next': request.get_full_path()})}")

    @method_decorator([never_cache, require_POST])
    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """End the session."""
        sessions.end(request, now=timezone.now())
        return self._page(request, "signed_out")

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """No such page: it would ask for no second factor. `identity.password_changes` has both ways."""
        raise Http404

    password_change_done = password_change

    def _admit(self, request: HttpRequest, user: User, factor: str, now: datetime) -> HttpResponse | None:
        """Let the admin in; or the answer that says why not."""
        if accounts.owes_a_password(user):
            sessions.end(request, now=now)
            page = self._page(request, "own_password", status=403)
            return denials.of_page(request, page, code="password_change_required", user=user)
        try:
            sessions.complete(request, user, factor=factor, now=now)
        except WrongCredentials:
            return _to_step(request, "login")
        return None

    def _refused(self, request: HttpRequest, step: str, refusal: Exception, **shown: Any) -> HttpResponse:
        """The same step once more, with what went wrong."""
        status = _STATUS.get(type(refusal), 400)
        page = self._page(request, step, status=status, refusal=_words(refusal), **shown)
        if isinstance(refusal, TooManyAttempts):
            page["Retry-After"] = str(refusal.wait)
        return page

    def _page(self, request: HttpRequest, name: str, *, status: int = 200, **shown: Any) -> TemplateResponse:
        context = {**self.each_context(request), **_ways_back(request), **shown}
        return TemplateResponse(request, f"identity/{name}.html", context, status=status)


def _expected(request: HttpRequest, now: datetime) -> User | None:
    """Whose second factor is awaited; nobody, if they have ceased to be an admin meanwhile."""
    user = sessions.pending(request, now=now)
    return user if user and roles.is_admin(user) else None


def _to_step(request: HttpRequest, step: str) -> HttpResponseRedirect:
    return HttpResponseRedirect(_address(request, step))


def _address(request: HttpRequest, step: str) -> str:
    """Of a step. Where the person wants to go is carried along, and judged in `_onward` alone."""
    wanted = request.GET.get("next")
    return reverse(f"admin:{step}") + (f"?{urlencode({'next': wanted})}" if wanted else "")


def _ways_back(request: HttpRequest) -> dict[str, str]:
    return {"start_over": _address(request, "login"), "start_again": _address(request, "enrol")}


def _onward(request: HttpRequest) -> HttpResponseRedirect:
    """To where the person wanted to go, if that is on this host: `//evil.example` is not."""
    wanted = request.GET.get("next", "")
    here = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return HttpResponseRedirect(wanted if here else reverse("admin:index"))


def _may_lead_to_flower(page: HttpResponse) -> HttpResponse:
    """Browsers hold a form to `form-action` through every redirect, and the last may go to Flower's own address."""
    door = urlsplit(settings.FLOWER_URL)
    if door.netloc:
        setattr(page, _CSP_UPDATE, {"form-action": [f"{door.scheme}://{door.netloc}"]})
    return page


def _words(refusal: Exception) -> str:
    if isinstance(refusal, TooManyAttempts):
        return f"Too many attempts. Wait {span(refusal.wait)}, then try again."
    if isinstance(refusal, WrongCredentials):
        return NOT_AN_ADMIN
    return " ".join((type(refusal).__doc__ or "Refused.").split())


def span(seconds: int) -> str:
    """A wait in words."""
    if seconds < 120:
        return f"{seconds} seconds" if seconds > 1 else "a second"
    return f"{-(-seconds // 60)} minutes"
