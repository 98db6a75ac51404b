"""The one settings file. Everything that differs between deployments comes from the environment.

`.env.example` lists every variable. `NAME_FILE` works for each of them (a path whose content is the
value), so that secrets can be mounted as files. A secret has no default; the default of every switch
is the safe one. All mistakes are reported together, when the file has been read (`env.seal()`).
Rules between settings are system checks: `config/checks.py`.
"""

from pathlib import Path

import dj_database_url
from environs import FileAwareEnv, validate

from config.logs import logging_config

BASE_DIR = Path(__file__).resolve().parent.parent

env = FileAwareEnv(eager=False, strip_whitespace=True)
filled = validate.Length(min=1, error="must not be empty")

# --- Django ------------------------------------------------------------------------------------
SECRET_KEY: str = env.str("SECRET_KEY", validate=filled)
DEBUG: bool = env.bool("DEBUG", False)
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", [])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", [])
TRUSTED_PROXY_COUNT: int = env.int("TRUSTED_PROXY_COUNT", 0, validate=validate.Range(min=0))
HTTPS: bool = env.bool("HTTPS", True)

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_structlog",
    "corsheaders",
    "csp",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "config.apps.ConfigConfig",
    "audit",
    "identity",
    "pipeline",
    "console",
    "config.apps.AdminConfig",  # after ours, whose templates come before its own
]

MIDDLEWARE = [
    "django_structlog.middlewares.RequestMiddleware",
    "audit.middleware.RequestContext",
    "csp.middleware.CSPMiddleware",  # before whatever may answer by itself
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

STATIC_URL = "/static/"
STATIC_ROOT: str = env.str("STATIC_ROOT", str(BASE_DIR / "static-root"))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},  # nothing is uploaded here
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# --- Database and queue ------------------------------------------------------------------------
_database_url: str = env.str("DATABASE_URL", validate=filled)
BROKER_URL: str = env.str("BROKER_URL", validate=filled)
# The connection outlives a request or task and is tested before it is used again (research: the
# default, a new connection each time, costs 4x).
DATABASES = {
    "default": {
        **(dj_database_url.parse(_database_url) if _database_url else {}),
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
    }
}
# Only counts of calls (api.rates), shared by all web processes. Never clear it: it is the queues' own database.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": BROKER_URL,
        "KEY_PREFIX": "strongroom:rate",
        "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1},
    }
}

# --- People ------------------------------------------------------------------------------------
AUTH_USER_MODEL = "identity.User"
PASSWORD_HASHERS = ["identity.passwords.Argon2"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "identity.passwords.Length"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "identity.passwords.Guessable"},
]
# Words that somebody who knows the house would guess first, such as its name.
PASSWORD_CONTEXT_WORDS: list[str] = env.list("PASSWORD_CONTEXT_WORDS", [])
ENFORCE_INITIAL_PASSWORD_CHANGE: bool = env.bool("ENFORCE_INITIAL_PASSWORD_CHANGE", True)
KNOX_TOKEN_MODEL = "identity.ApiToken"  # noqa: S105 (the name of a model)
# knox's migrations would make the table of its own token model, which ours replaces.
MIGRATION_MODULES = {"knox": None}
MFA_ENCRYPTION_KEYS: list[str] = env.list("MFA_ENCRYPTION_KEYS", validate=filled)
MFA_ISSUER: str = env.str("MFA_ISSUER", "Strongroom", validate=filled)
MFA_WINDOW_STEPS: int = env.int("MFA_WINDOW_STEPS", 1, validate=validate.Range(0, 1))

# How long tokens and browser sessions live, and how long unused. Admins and auditors have the shorter ones.
_hours = validate.Range(min=0, min_inclusive=False, max=24)
INVESTOR_SESSION_HOURS: float = env.float("INVESTOR_SESSION_HOURS", 12, validate=_hours)
INVESTOR_IDLE_MINUTES: float = env.float("INVESTOR_IDLE_MINUTES", 60, validate=validate.Range(min=1))
ADMIN_SESSION_HOURS: float = env.float("ADMIN_SESSION_HOURS", 8, validate=_hours)
ADMIN_IDLE_MINUTES: float = env.float("ADMIN_IDLE_MINUTES", 30, validate=validate.Range(min=1))

# --- Mail --------------------------------------------------------------------------------------
PUBLIC_URL: str = env.str("PUBLIC_URL", validate=filled)  # what the links in mails begin with
MAIL_FOLDER: str = env.str("MAIL_FOLDER", "")  # where mails are written instead of sent
EMAIL_BACKEND = f"django.core.mail.backends.{'filebased' if MAIL_FOLDER else 'smtp'}.EmailBackend"
EMAIL_FILE_PATH = MAIL_FOLDER or None
EMAIL_HOST: str = env.str("EMAIL_HOST", "localhost")
EMAIL_PORT: int = env.int("EMAIL_PORT", 587)
EMAIL_HOST_USER: str = env.str("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD: str = env.str("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS: bool = env.bool("EMAIL_USE_TLS", True)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL: str = env.str("DEFAULT_FROM_EMAIL", "Strongroom <no-reply@localhost>")
MAIL_WAKE = "workers.nudges.wake_mail"

# --- Web ---------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["identity.tokens.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["api.permissions.Verified"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["api.parsers.Json"],
    "DEFAULT_THROTTLE_CLASSES": ["api.rates.Calls"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "api.errors.handle",
    "NUM_PROXIES": TRUSTED_PROXY_COUNT,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Strongroom",
    "DESCRIPTION": "Takes documents in safely: presigned upload, scanning, an immutable vault.",
    "VERSION": "0.1.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["api.permissions.Verified"],
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024  # JSON only: the documents themselves never pass here

SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_REDIRECT_EXEMPT = ["^healthz$", "^readyz$"]  # probes come from inside, without TLS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXY_COUNT else None
# A __Host- cookie can be set by this host alone, over HTTPS alone (RFC 6265bis 4.1.3.2).
SESSION_COOKIE_NAME = "__Host-sessionid" if HTTPS else "sessionid"
CSRF_COOKIE_NAME = "__Host-csrftoken" if HTTPS else "csrftoken"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "console.views.csrf_failure"
SESSION_COOKIE_AGE = int(ADMIN_SESSION_HOURS * 3600)
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_ENGINE = "identity.session_store"
SESSION_SERIALIZER = "django.contrib.sessions.serializers.JSONSerializer"
X_FRAME_OPTIONS = "DENY"
# Nothing inline, nothing evaluated, nothing from elsewhere. `data:` is for the QR code of an enrolment.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "form-action": ["'self'"],
    }
}
# Tokens travel in a header, so browsers need send no cookie from another origin.
CORS_ALLOWED_ORIGINS: list[str] = env.list("CORS_ALLOWED_ORIGINS", [])
CORS_ALLOW_CREDENTIALS = False
CORS_URLS_REGEX = r"^/api/"
CORS_EXPOSE_HEADERS = ["Link", "Retry-After", "X-Request-ID"]
FLOWER_URL: str = env.str("FLOWER_URL", "")  # where Flower's door is, if not under /flower/ of this host

# Rates of the document routes: load, not security. Sign-in, second factor and reset have fixed ones of their own.
UPLOADS_PER_HOUR: int = env.int("UPLOADS_PER_HOUR", 30, validate=validate.Range(min=1))
DOWNLOADS_PER_HOUR: int = env.int("DOWNLOADS_PER_HOUR", 120, validate=validate.Range(min=1))
INVESTOR_CALLS_PER_MINUTE: int = env.int("INVESTOR_CALLS_PER_MINUTE", 120, validate=validate.Range(min=1))
ADMIN_CALLS_PER_MINUTE: int = env.int("ADMIN_CALLS_PER_MINUTE", 600, validate=validate.Range(min=1))

# --- Storage (S3) ------------------------------------------------------------------------------
S3_ENDPOINT_URL: str = env.str("S3_ENDPOINT_URL", "")  # empty: AWS
S3_PUBLIC_ENDPOINT_URL: str = env.str("S3_PUBLIC_ENDPOINT_URL", "") or S3_ENDPOINT_URL
S3_REGION: str = env.str("S3_REGION", "us-east-1")
S3_ACCESS_KEY_ID: str = env.str("S3_ACCESS_KEY_ID", validate=filled)
S3_SECRET_ACCESS_KEY: str = env.str("S3_SECRET_ACCESS_KEY", validate=filled)
S3_ENCRYPTION: str = env.str("S3_ENCRYPTION", "AES256")
QUARANTINE_BUCKET: str = env.str("QUARANTINE_BUCKET", validate=filled)
VAULT_BUCKET: str = env.str("VAULT_BUCKET", validate=filled)
VAULT_LOCK_MODE: str = env.str("VAULT_LOCK_MODE", "", validate=validate.OneOf(["", "GOVERNANCE", "COMPLIANCE"]))
VAULT_LOCK_DAYS: int = env.int("VAULT_LOCK_DAYS", 0, validate=validate.Range(min=0))
# The SQS queue in which S3 tells of new objects, for `python -m workers.s3events`; empty: the reconciler alone looks.
S3_EVENTS_QUEUE_URL: str = env.str("S3_EVENTS_QUEUE_URL", "")
S3_EVENTS_DEAD_QUEUE_URL: str = env.str("S3_EVENTS_DEAD_QUEUE_URL", "")
S3_EVENTS_ENDPOINT_URL: str = env.str("S3_EVENTS_ENDPOINT_URL", "")  # empty: AWS

# --- Uploads -----------------------------------------------------------------------------------
UPLOAD_MAX_BYTES: int = env.int(
    "UPLOAD_MAX_BYTES", 1000 * 1024 * 1024, validate=validate.Range(min=1, max=1000 * 1024 * 1024)
)
UPLOAD_WINDOW_SECONDS: int = env.int("UPLOAD_WINDOW_SECONDS", 300, validate=validate.Range(min=1))
EXPIRE_GRACE_SECONDS: int = env.int("EXPIRE_GRACE_SECONDS", 900, validate=validate.Range(min=0))
POLICY_FILE: str = env.str("POLICY_FILE", "")  # empty: pipeline/policy.toml
OPEN_UPLOADS_PER_OWNER: int = env.int("OPEN_UPLOADS_PER_OWNER", 200, validate=validate.Range(min=1))
BYTES_PER_DAY_PER_OWNER: int = env.int("BYTES_PER_DAY_PER_OWNER", 20 * 1024**3, validate=validate.Range(min=1))
DOWNLOAD_SECONDS: int = env.int("DOWNLOAD_SECONDS", 300, validate=validate.Range(1, 300))

# --- Scanner -----------------------------------------------------------------------------------
SCANNER: str = env.str("SCANNER", "clamd", validate=validate.OneOf(["clamd", "builtin"]))
SCANNER_BUILTIN_ALLOWED: bool = env.bool("SCANNER_BUILTIN_ALLOWED", False)
CLAMD_ADDRESSES: list[str] = env.list("CLAMD_ADDRESSES", [], subcast=str.strip)
CLAMD_ADDRESS: str = env.str("CLAMD_ADDRESS", "unix:///run/clamav/clamd.sock")  # where CLAMD_ADDRESSES is empty
SCANNER_TEST_SIGNATURES: bool = env.bool("SCANNER_TEST_SIGNATURES", False)
SCANNER_MAX_AGE_DAYS: int = env.int("SCANNER_MAX_AGE_DAYS", 3, validate=validate.Range(min=1))
YARA_RULES: str = env.str("YARA_RULES", "")  # a folder; empty: no rules of our own

# --- Audit -------------------------------------------------------------------------------------
AUDIT_ENCRYPTION_KEYS: list[str] = env.list("AUDIT_ENCRYPTION_KEYS", validate=filled)
AUDIT_WAKE = "workers.nudges.wake_sequencer"
# The name under which checkpoints are signed, for ever: a URL without its scheme (C2SP tlog-checkpoint).
# Empty: PUBLIC_URL's, and /api/audit/log.
AUDIT_ORIGIN: str = env.str("AUDIT_ORIGIN", "")
# Ed25519 seeds. For the process `audit` alone: whoever has one can sign another history. Several: all of them sign.
AUDIT_SIGNING_KEYS: list[str] = env.list("AUDIT_SIGNING_KEYS", [])
# Whether checkpoints and hashes (never the events) are served to anybody, such as a witness.
AUDIT_LOG_PUBLIC: bool = env.bool("AUDIT_LOG_PUBLIC", False)

# --- Work --------------------------------------------------------------------------------------
RECONCILE_SECONDS: float = env.float("RECONCILE_SECONDS", 5.0, validate=validate.Range(min=0.1))
QUEUE_GATE: int = env.int("QUEUE_GATE", 50, validate=validate.Range(min=1))
OWNER_PLACES: int = env.int("OWNER_PLACES", 20, validate=validate.Range(min=1))
LARGE_FILE_BYTES: int = env.int("LARGE_FILE_BYTES", 50 * 1024 * 1024, validate=validate.Range(min=1))
# Seconds that a status may last before it is told of; `pending` counts from the end of the upload's time.
_BUDGETS = {"pending": 3600, "received": 21600, "validated": 21600, "clean": 21600}
STATUS_BUDGETS: dict[str, int] = {
    **_BUDGETS,
    **env.dict(
        "STATUS_BUDGETS",
        {},
        subcast_values=int,
        validate=lambda given: all(name in _BUDGETS and seconds > 0 for name, seconds in given.items()),
    ),
}
# 0: the vault is not read again but for what an admin has requeued. Slower than 64 KiB/s S3 would hang up.
SCRUB_BYTES_PER_SECOND: int = env.int(
    "SCRUB_BYTES_PER_SECOND", 4 * 1024 * 1024, validate=lambda given: given == 0 or given >= 64 * 1024
)
SCRUB_EVERY_DAYS: int = env.int("SCRUB_EVERY_DAYS", 30, validate=validate.Range(min=1))
METRICS_BIND: str = env.str("METRICS_BIND", "127.0.0.1:9090")

# --- Logs --------------------------------------------------------------------------------------
LOG_LEVEL: str = env.str("LOG_LEVEL", "INFO")
LOGGING = logging_config(LOG_LEVEL or "INFO")
DJANGO_STRUCTLOG_CELERY_ENABLED = True
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False  # addresses are personal data: the audit log has them

env.seal()
