"""Rules between settings. `manage.py check` and every start run them; `--deploy` adds the stricter."""

import base64
import re
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from pipeline import clamav, policy, rules

# Without scheme, spaces, plus and slashes around it; short enough for its column with a number behind it.
_LOG_NAME: Final = re.compile(r"(?!.*://)(?!/)[!-*,-~]{1,180}(?<!/)", re.ASCII)
_ORIGIN: Final = re.compile(r"https?://[a-z0-9.-]+(:[0-9]+)?", re.ASCII)


@register(Tags.security)
def lock_is_whole(**_: Any) -> list[CheckMessage]:
    """A lock needs both its mode and its days: half a lock would silently lock nothing."""
    if bool(settings.VAULT_LOCK_MODE) == bool(settings.VAULT_LOCK_DAYS):
        return []
    return [
        Error(
            "VAULT_LOCK_MODE and VAULT_LOCK_DAYS must be set together.",
            hint="Set both to lock vault objects, or neither.",
            id="strongroom.E001",
        )
    ]


@register(Tags.security)
def stand_in_is_allowed(**_: Any) -> list[CheckMessage]:
    """The built-in scanner has no signatures of its own; it runs only where somebody said so."""
    if settings.SCANNER != "builtin" or settings.SCANNER_BUILTIN_ALLOWED:
        return []
    return [
        Error(
            "SCANNER=builtin without SCANNER_BUILTIN_ALLOWED.",
            hint="Use clamd. The built-in scanner is for laptops without one.",
            id="strongroom.E002",
        )
    ]


@register(Tags.security)
def scanners_have_addresses(**_: Any) -> list[CheckMessage]:
    """A mistyped address is a clamd that never answers, which looks like one that is down."""
    return [
        Error(
            f"{address!r} is not an address of clamd.",
            hint="In CLAMD_ADDRESSES (or CLAMD_ADDRESS) write unix:///path or tcp://host:port.",
            id="strongroom.E012",
        )
        for address in clamav.addresses()
        if not clamav.is_address(address)
    ]


@register(Tags.security)
def rules_compile(**_: Any) -> list[CheckMessage]:
    """Without its rules the second engine scans nothing, and every version waits for them."""
    try:
        rules.current()
    except rules.Unsound as unsound:
        return [
            Error(
                f"The rules of YARA_RULES cannot be used: {unsound}",
                hint="Mend them, or leave YARA_RULES empty to scan without rules of your own.",
                id="strongroom.E011",
            )
        ]
    return []


@register(Tags.security)
def audit_keys_are_keys(**_: Any) -> list[CheckMessage]:
    """Each key is url-safe base64 of 32 bytes; a bad one must not be found out at the first event."""
    if all(_is_key(key) for key in settings.AUDIT_ENCRYPTION_KEYS):
        return []
    return [
        Error(
            "AUDIT_ENCRYPTION_KEYS has an entry that is not url-safe base64 of 32 bytes.",
            hint="python -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())'",
            id="strongroom.E005",
        )
    ]


@register(Tags.security)
def signing_keys_are_keys(**_: Any) -> list[CheckMessage]:
    """Only the process `audit` has some; where there is one, it must be one."""
    if all(_is_key(key) for key in settings.AUDIT_SIGNING_KEYS):
        return []
    return [
        Error(
            "AUDIT_SIGNING_KEYS has an entry that is not url-safe base64 of 32 bytes.",
            hint="python -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())'",
            id="strongroom.E013",
        )
    ]


@register(Tags.security)
def log_has_a_name(**_: Any) -> list[CheckMessage]:
    """The name stands in every checkpoint and key for ever, so it must be one that every verifier reads (C2SP)."""
    if not settings.AUDIT_ORIGIN or _LOG_NAME.fullmatch(settings.AUDIT_ORIGIN):
        return []
    return [
        Error(
            f"AUDIT_ORIGIN is {settings.AUDIT_ORIGIN!r}, which cannot be the name of a log.",
            hint="Write a URL without its scheme, such as rooms.example/api/audit/log: no spaces, no plus.",
            id="strongroom.E014",
        )
    ]


@register(Tags.security)
def policy_is_sound(**_: Any) -> list[CheckMessage]:
    """A mistake in the policy must stop the start, not an upload."""
    try:
        policy.load()
    except policy.Unsound as error:
        return [Error(f"The policy cannot be used: {error}", hint="See POLICY_FILE.", id="strongroom.E010")]
    return []


@register(Tags.security)
def mfa_keys_are_keys(**_: Any) -> list[CheckMessage]:
    """As the audit's: found out at the first sign-in, a bad one would lock everybody out."""
    if all(_is_key(key) for key in settings.MFA_ENCRYPTION_KEYS):
        return []
    return [
        Error(
            "MFA_ENCRYPTION_KEYS has an entry that is not url-safe base64 of 32 bytes.",
            hint="python -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())'",
            id="strongroom.E006",
        )
    ]


@register(Tags.security)
def origins_are_exact(**_: Any) -> list[CheckMessage]:
    """A page that may call the API is named as browsers name it: scheme, host, port if any (ASVS 3.4.2)."""
    return [
        Error(
            f"CORS_ALLOWED_ORIGINS has {origin!r}, which is not one exact origin.",
            hint="Write each as https://app.example, without a path, a wildcard or null.",
            id="strongroom.E008",
        )
        for origin in settings.CORS_ALLOWED_ORIGINS
        if not _ORIGIN.fullmatch(origin)
    ]


def _is_key(text: str) -> bool:
    try:
        # To the letter: the lenient decoder drops what it does not know, and makes another key of a mistyped one.
        return len(base64.b64decode(text, altchars=b"-_", validate=True)) == 32
    except ValueError:
        return False


@register(Tags.security, deploy=True)
def real_scanner(**_: Any) -> list[CheckMessage]:
    """In production documents are scanned by clamd with dated signatures, or not at all."""
    found: list[CheckMessage] = []
    if settings.SCANNER == "builtin" or settings.SCANNER_BUILTIN_ALLOWED:
        found.append(Error("The built-in scanner is not for production.", id="strongroom.E003"))
    if settings.SCANNER_TEST_SIGNATURES:
        found.append(Error("SCANNER_TEST_SIGNATURES accepts a test set.", id="strongroom.E004"))
    return found


@register(Tags.security, deploy=True)
def proxy_is_counted(**_: Any) -> list[CheckMessage]:
    """Behind TLS there is a proxy; not counting it records the proxy's address for everybody."""
    if settings.TRUSTED_PROXY_COUNT or not settings.HTTPS:
        return []
    return [
        Warning(
            "TRUSTED_PROXY_COUNT is 0 although HTTPS is on.",
            hint="Set it to the number of proxies in front of the web process.",
            id="strongroom.W001",
        )
    ]


@register(Tags.security, deploy=True)
def mails_are_sent(**_: Any) -> list[CheckMessage]:
    """A folder of mails is a folder of links that set passwords, and nobody gets them."""
    if not settings.MAIL_FOLDER:
        return []
    return [
        Error(
            "MAIL_FOLDER is set: mails are written to files instead of sent.",
            hint="Leave it empty and set EMAIL_HOST.",
            id="strongroom.E007",
        )
    ]


@register(Tags.security, deploy=True)
def origins_are_https(**_: Any) -> list[CheckMessage]:
    """Whoever sits on the way of a page over HTTP can write it, and what it sends with our token."""
    return [
        Error(
            f"CORS_ALLOWED_ORIGINS has {origin!r}, which is not https.",
            hint="Serve that page over HTTPS.",
            id="strongroom.E009",
        )
        for origin in settings.CORS_ALLOWED_ORIGINS
        if not origin.startswith("https://")
    ]


@register(Tags.security, deploy=True)
def links_are_https(**_: Any) -> list[CheckMessage]:
    """The links in mails carry a secret to this address."""
    if settings.PUBLIC_URL.startswith("https://"):
        return []
    return [
        Warning(
            "PUBLIC_URL does not begin with https://, so links that set passwords travel in clear.",
            hint="Set it to the https:// address under which people find this service.",
            id="strongroom.W002",
        )
    ]
