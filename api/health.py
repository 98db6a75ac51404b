"""Whether the service lives (`/healthz`) and can do its part (`/readyz`). For probes, without sign-in.

A dependency that only delays work (broker, scanner), or a log that is not signed, makes the service degraded, not
unready: uploads are still taken, and versions go on when it is back.
"""

import time
from collections.abc import Callable
from functools import cache
from typing import Any

from django.db import connection, transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.utils import timezone
from django.views.decorators.http import require_safe

from audit import checkpoint, standing
from pipeline import sandbox, scanner, stalled, storage
from pipeline.faults import FAULTS
from workers import broker

NEEDED = {"database", "s3"}
IN_DATABASE = {"audit", "pipeline"}  # not asked where it is away: each would wait for it once more
COUNTING_MS = 500
NAMED: tuple[type[Exception], ...] = (*FAULTS, *broker.FAULTS, checkpoint.Refused)


def _database() -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("select 1")
    return {}


def _s3() -> dict[str, Any]:
    storage.check()
    return {}


def _broker() -> dict[str, Any]:
    return {"queues": broker.lengths()}


def _scanner() -> dict[str, Any]:
    standing = scanner.check()
    engine = standing.engine
    return {
        "engine": engine.name,
        "version": engine.version,
        "signatures": engine.signatures,
        "answering": standing.answering,
        "addresses": standing.addresses,
    }


@cache
def _walls() -> sandbox.Containment:
    """What this machine gives, asked for once: a zygote is started for it."""
    try:
        return sandbox.walls()
    finally:
        sandbox.close()


def _sandbox() -> dict[str, Any]:
    """Files are examined in any case; a wall that this machine does not give is named."""
    return {"contained": _walls().whole, "missing": _walls().missing()}


def _audit() -> dict[str, Any]:
    """Whether checkpoints are signed. If they are not, events are recorded all the same."""
    if refusal := standing.publication().refusal:
        raise checkpoint.Refused(refusal)
    return {}


def _pipeline() -> dict[str, Any]:
    """How old the oldest is and what stands; never by more than a moment's work. None of it makes us unready."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"set local statement_timeout = {COUNTING_MS}")
        return stalled.summary(timezone.now())


CHECKS: dict[str, Callable[[], dict[str, Any]]] = {
    "database": _database,
    "s3": _s3,
    "broker": _broker,
    "scanner": _scanner,
    "sandbox": _sandbox,
    "audit": _audit,
    "pipeline": _pipeline,
}


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer 200 as long as the process can answer at all."""
    return JsonResponse({"status": "alive"})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 if uploads can be taken, else 503; each dependency is named with what it said."""
    checks: dict[str, dict[str, Any]] = {}
    for name, check in CHECKS.items():
        behind = name in IN_DATABASE and not checks["database"]["ok"]
        checks[name] = {**checks["database"], "ms": 0.0} if behind else _checked(check)
    away = {name for name, said in checks.items() if not said["ok"]}
    ready = not away & NEEDED
    status = "ready" if not away else "degraded" if ready else "unavailable"
    answer = JsonResponse({"status": status, "checks": checks}, status=200 if ready else 503)
    if not ready:
        answer["Retry-After"] = "5"
    return answer


def _checked(check: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    started = time.monotonic()
    try:
        said = {"ok": True, **check()}
    except NAMED as fault:
        said = {"ok": False, "error": _words(fault)}
    return {**said, "ms": round((time.monotonic() - started) * 1000, 1)}


def _words(fault: Exception) -> str:
    """Say what is wrong without addresses or credentials: our own words, else only the kind."""
    ours = isinstance(fault, (scanner.Stale, storage.NotVersioned, checkpoint.Refused))
    return str(fault) or type(fault).__name__ if ours else type(fault).__name__


urlpatterns = [path("healthz", healthz), path("readyz", readyz)]
