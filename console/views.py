"""Renders the console's pages. What they tell comes from the settings; they do no work of their own."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views import csrf
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from identity import denials


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Say what the service is, where its doors are, and whether its scanner is one to rely on."""
    context = {
        "scanner_warning": scanner_warning(),
        "upload_limit_mb": settings.UPLOAD_MAX_BYTES // (1024 * 1024),
    }
    return render(request, "console/home.html", context)


@never_cache
@require_safe
def password(request: HttpRequest) -> HttpResponse:
    """Where the links in mails lead: set a password, or ask for such a link.

    The secret stands in the address's fragment, so it is never sent here: the page's script posts it to
    the API. Referrers are off all the same, for whoever mangles a link into one with a query.
    """
    answer = render(request, "console/password.html", {"scanner_warning": scanner_warning()})
    answer["Referrer-Policy"] = "no-referrer"
    return answer


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Say that a form was not taken: it may be from a page of somebody else's (CSRF_FAILURE_VIEW).

    Of somebody who is signed in that is on the record: either their browser was used, or a page of ours is broken.
    """
    return denials.of_page(request, csrf.csrf_failure(request, reason), code="csrf")


def scanner_warning() -> str:
    """What a person must be told of the scanner before trusting it with documents; "" if nothing."""
    if settings.SCANNER == "builtin":
        return "The built-in stand-in scans here. It is not an antivirus: use no real documents."
    if settings.SCANNER_TEST_SIGNATURES:
        return "The scanner runs on test signatures and finds no real malware: use no real documents."
    return ""
