"""The life of a version, in the order in which it happens.

    begin --> PENDING --receive--> RECEIVED --validate--> VALIDATED --scan--> CLEAN --finalize--> AVAILABLE
                 |                               |                   |
               expire                       REJECTED           INFECTED, REJECTED
                 v
              EXPIRED

The status column is the truth; a message to a worker is only a nudge. So every step may be called
twice, late, by two workers at once, or again after a crash, and has three paragraphs:

  read   is it this version's turn, and is nobody at it? If not, leave quietly (None).
  work   slow and repeatable, outside any transaction. Faults (`faults`) are let through, and what is
         known to be away is not asked (`breaker`).
  move   `_move`: one conditional UPDATE and its audit event, in one transaction.

What cannot go on stands with a `stuck_reason` until an admin requeues it: bytes that are gone, work
that was cut off too often, a status that has lasted longer than its budget though nothing hindered it.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any, Final
from unicodedata import normalize
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Max, Q
from django.utils import timezone

from audit import actions, trail
from audit.trail import Ref
from pipeline import breaker, claims, faults, places, policy, quotas, reasons, sandbox, scanner, storage
from pipeline.inspection import findings
from pipeline.models import APART_AFTER, IN_TURN, TIDIED, UNFINISHED, Document, DocumentVersion, Scan, Status, Versions

if TYPE_CHECKING:
    from identity.models import User

ARROWS: Final[dict[Status, frozenset[Status]]] = {
    Status.PENDING: frozenset({Status.RECEIVED, Status.EXPIRED}),
    Status.RECEIVED: frozenset({Status.VALIDATED, Status.REJECTED}),
    Status.VALIDATED: frozenset({Status.CLEAN, Status.REJECTED, Status.INFECTED}),
    Status.CLEAN: frozenset({Status.AVAILABLE}),
    Status.AVAILABLE: frozenset(),
    Status.EXPIRED: frozenset(),
    Status.REJECTED: frozenset(),
    Status.INFECTED: frozenset(),
    Status.RECALLED: frozenset(),
}
MOST_DEATHS = 6
MOST_NAMED: Final = 10  # S3 versions in one event: an id may have 1,024 bytes, and a policy can be replayed often
NUDGE_AGAIN = timedelta(seconds=10)
HINDERED_LATELY: Final = timedelta(minutes=15)
# Findings whose content clamd does not see by itself: whatever the policy says of them, it is streamed too.
PACKED: Final = frozenset({findings.ATTACHMENT, findings.EMBEDDED_OLE})

Step = Callable[[DocumentVersion], DocumentVersion | None]

BYTES_GONE: Final = "The bytes are gone from quarantine. The file must be sent again."
NOBODY: Final = "Nobody took it up: see that workers run for every queue, then requeue it."
IN_LINE: Final = "An earlier version of this document is still being checked. This one goes on when that has ended."

SYSTEM = Ref("system", "pipeline")


class BytesMissing(Exception):
    """No file has arrived for this upload yet. Send it to the upload's url first, then call again."""


class TooLarge(Exception):
    """The file is larger than this service takes."""


class NothingToRequeue(Exception):
    """This version neither stands still nor is it late; there is nothing to requeue."""


def begin(
    owner: "User",
    *,
    name: str,
    doc_type: str,
    filename: str,
    content_type: str,
    size: int,
    sha256: str = "",
    now: datetime | None = None,
) -> DocumentVersion:
    """Record that `owner` is about to upload `size` bytes as the next version of `name`; PENDING.

    Names are compared after Unicode NFC and without outer white space; case counts.
    Raises `TooLarge`, and `quotas.QuotaReached` where the owner has too much open or today.
    """
    if size > settings.UPLOAD_MAX_BYTES:
        raise TooLarge
    now = now or timezone.now()

    with transaction.atomic():
        places.lock(owner.pk)  # two at once must not both be the last that the quota lets through
        quotas.check(owner.pk, size=size, now=now)
        document, _ = Document.objects.get_or_create(
            owner=owner, name=normalize("NFC", name).strip(), doc_type=doc_type
        )
        ends = storage.policy_ends(size, now)
        version = DocumentVersion.objects.create(
            document=document,
            owner=owner,
            uploader=owner,
            filename=filename,
            content_type=content_type,
            size=size,
            declared_sha256=sha256.lower(),
            expires_at=ends,
            late_at=ends + _grace() + _budget(Status.PENDING),
        )
        _record(version, actions.VERSION_REQUESTED, by=Ref("user", str(owner.pk)), facts={"size": size})
    return version


def receive(version_id: UUID, *, by: Ref = SYSTEM) -> DocumentVersion | None:
    """PENDING -> RECEIVED: pin the first bytes that came. Raises `BytesMissing` where none did."""
    version = _in(Status.PENDING, version_id)
    if version is None:
        return None

    pin = storage.oldest(version)
    if pin is None:
        raise BytesMissing

    with transaction.atomic():
        places.lock(version.document.owner_id)  # before the document, as `begin` does
        document = _locked(version.document_id)
        now = timezone.now()
        moved = _move(
            version,
            Status.RECEIVED,
            actions.VERSION_RECEIVED,
            by=by,
            facts={
                "s3_version": pin.version_id,
                "size": pin.size,
                "arrival": document.arrivals + 1,
            },
            s3_version_id=pin.version_id,
            etag=pin.etag,
            received_size=pin.size,
            received_at=max(now, _last_arrival(document) or now),  # clocks differ; the order of arrivals does not
            arrival=document.arrivals + 1,
            entered_at=now if places.free(document.owner_id) else None,
        )
        if moved:
            Document.objects.filter(pk=document.pk).update(arrivals=F("arrivals") + 1)
    return moved


def expire(version_id: UUID, *, now: datetime | None = None) -> DocumentVersion | None:
    """PENDING -> EXPIRED once the policy and its grace are over, unless bytes came after all."""
    version = _in(Status.PENDING, version_id)
    if version is None or (now or timezone.now()) < version.expires_at + _grace():
        return None

    try:
        return receive(version_id)
    except BytesMissing:
        pass

    return _end(version, Status.EXPIRED, actions.VERSION_EXPIRED, reasons.EXPIRED_UNSENT)


def _turn(status: Status, *needs: str) -> Callable[[Step], Callable[[UUID], DocumentVersion | None]]:
    """Make a step, which takes a version, one that takes an id and leaves quietly out of turn.

    `needs` names the dependencies without which it is not begun. The attempt is counted before the work and taken
    back when the work ends in any named way, so what stays counted are deaths: killed workers, and errors that
    nobody foresaw.
    """

    def wrap(step: Step) -> Callable[[UUID], DocumentVersion | None]:
        @wraps(step)
        def taken(version_id: UUID) -> DocumentVersion | None:
            _pay_back()  # before anything is read: it changes what counts
            with claims.held(version_id) as ours:
                version = _in(status, version_id) if ours else None
                return _attempted(step, version, needs) if version else None

        return taken

    return wrap


def _attempted(step: Step, version: DocumentVersion, needs: Collection[str]) -> DocumentVersion | None:
    if version.attempts < APART_AFTER:
        return _tried(step, version, needs)
    with claims.locked(claims.APART) as alone:  # one such in the whole fleet at a time
        return _tried(step, version, needs) if alone else None


def _tried(step: Step, version: DocumentVersion, needs: Collection[str]) -> DocumentVersion | None:
    if version.attempts >= MOST_DEATHS:
        _stick(version, "Work on this file was cut off too often. An admin can requeue it.")
        return None
    if shut := breaker.process.shut(needs, now=time.monotonic()):
        put_off([version], shut)
        return None

    moved = None
    try:
        _attempt(version)
        moved = step(version)
    except storage.Gone:
        _stick(version, BYTES_GONE)
    except faults.FAULTS as error:
        if fault := faults.of(error):
            _give_back(version)
            wait_for(version, fault)
        raise
    if moved is None:
        _give_back(version)
        breaker.process.unsaid(needs, now=time.monotonic())
    else:
        breaker.process.answered(needs)
    return moved


@_turn(Status.RECEIVED, "storage", "disk", "sandbox")
def validate(version: DocumentVersion) -> DocumentVersion | None:
    """RECEIVED -> VALIDATED or REJECTED: hash the bytes and see what they really are."""
    with storage.spooled(version) as spooled:
        reason_code = _announced(version, spooled)
        report = sandbox.inspect(
            spooled.file, filename=version.filename, content_type=version.content_type, size=spooled.size
        )
    rules = policy.load()
    judgement = rules.judge(report, doc_type=version.document.doc_type, size=spooled.size)

    found = {"sha256": spooled.sha256, "media_type": report.media_type}
    judged = {"found": sorted(report.kinds), "flags": list(judgement.flags), "policy_sha256": rules.digest}
    facts = {**found, **judged, "size": spooled.size}
    changes: dict[str, Any] = {**found, **judged, "validated_at": timezone.now()}
    if code := reason_code or judgement.reason_code:
        return _end(version, Status.REJECTED, actions.VERSION_REJECTED, code, facts, **changes)
    return _move(version, Status.VALIDATED, actions.VERSION_VALIDATED, facts=facts, **changes)


def _announced(version: DocumentVersion, spooled: storage.Spooled) -> str:
    """S3 has enforced size and hash already; an S3 that did not is found out here."""
    if spooled.size != version.size:
        return reasons.SIZE_MISMATCH
    if version.declared_sha256 and version.declared_sha256 != spooled.sha256:
        return reasons.HASH_MISMATCH
    if spooled.size < scanner.SMALLEST:
        return reasons.UNSCANNABLE
    return ""


@_turn(Status.VALIDATED, "storage", "scanner")
def scan(version: DocumentVersion) -> DocumentVersion | None:
    """VALIDATED -> CLEAN, INFECTED or REJECTED: stream the pinned bytes through the scanner."""
    with _opened(version) as (chunks, parts):
        verdict = scanner.scan(
            chunks,
            size=version.size,
            sha256=version.sha256,
            parts=parts,
            policy_sha256=version.policy_sha256,
        )

    with transaction.atomic():
        moved = _judge(version, verdict)
        if moved:
            _keep(version, verdict)
    return moved


@contextmanager
def _opened(version: DocumentVersion) -> Iterator[tuple[Iterable[bytes], scanner.Parts]]:
    """The bytes, and what is packed inside that an engine does not see by itself: in most documents nothing."""
    if not (scanner.unpacks_nothing() or PACKED & set(version.found)):
        yield storage.stream(version), ()
        return
    with storage.spooled(version) as spooled:
        yield spooled.chunks(), lambda: sandbox.parts(spooled.file, size=spooled.size)


def _judge(version: DocumentVersion, verdict: scanner.Verdict) -> DocumentVersion | None:
    facts = {
        "engine": verdict.engine.name,
        "engine_version": verdict.engine.version,
        "signatures": verdict.engine.signatures,
        "rules": verdict.rules_sha256,
        "config": verdict.config_sha256,
        "sha256": verdict.sha256,
        "size": verdict.size,
        "parts": verdict.parts,
        **({"found": verdict.signature} if verdict.signature else {}),
    }
    at: dict[str, Any] = {"scanned_at": timezone.now()}
    if verdict.clean:
        return _move(version, Status.CLEAN, actions.VERSION_SCANNED, facts=facts, **at)
    if verdict.code == reasons.INFECTED:
        return _end(version, Status.INFECTED, actions.VERSION_INFECTED, verdict.code, facts, **at)
    return _end(version, Status.REJECTED, actions.VERSION_REJECTED, verdict.code, facts, **at)


def _keep(version: DocumentVersion, verdict: scanner.Verdict) -> None:
    Scan.objects.create(
        version=version,
        engine=verdict.engine.name,
        engine_version=verdict.engine.version,
        signatures=verdict.engine.signatures,
        signatures_dated=verdict.engine.dated,
        config_sha256=verdict.config_sha256,
        scanned_bytes=verdict.size,
        sha256=verdict.sha256,
        verdict=verdict.code,
        signature=verdict.signature[:255],
        seconds=verdict.seconds,
    )


@_turn(Status.CLEAN, "storage")
def finalize(version: DocumentVersion) -> DocumentVersion | None:
    """CLEAN -> AVAILABLE: into the vault, under the document's next number.

    Numbers follow the order in which the bytes were received, so a version waits while an earlier one
    is still under way. A crash after the copy is repaired by calling this again (`storage.admit`).
    """
    if _waits(version):
        _wait([version], IN_LINE)
        return None

    vault_version_id = storage.admit(version)

    with transaction.atomic():
        document = _locked(version.document_id)
        if _waits(version):  # an earlier one was requeued meanwhile
            return None
        number = document.numbers + 1
        moved = _move(
            version,
            Status.AVAILABLE,
            actions.VERSION_AVAILABLE,
            facts={"number": number, "sha256": version.sha256, "vault_version": vault_version_id},
            number=number,
            vault_version_id=vault_version_id,
            available_at=timezone.now(),
        )
        if moved:
            Document.objects.filter(pk=document.pk).update(numbers=number)
    return moved


def tidy(version_id: UUID, *, now: datetime | None = None) -> int:
    """Delete what quarantine still holds of an ended version; return how many S3 versions that were.

    Replays of the POST may land until its policy ends, so only a tidy after that end is the last one.
    Infected bytes are kept: two people may release them.

    What is about to go is recorded first, by its S3 versions, because bytes that are gone cannot be told
    of any more: a crash in between repeats the event for those that are still there.
    """
    with claims.held(version_id) as ours:
        version = _ended(version_id) if ours else None
        if version is None:
            return 0

        doomed = storage.quarantined(version)
        if doomed:
            with transaction.atomic():
                facts = {"count": len(doomed), "s3_versions": doomed[:MOST_NAMED]}
                _record(version, actions.VERSION_PURGED, facts=facts)
        purged = storage.purge(version, doomed)

    if (now or timezone.now()) >= version.expires_at + _grace():
        DocumentVersion.objects.filter(pk=version.pk).update(tidied_at=timezone.now())
    return purged


def _ended(version_id: UUID) -> DocumentVersion | None:
    return DocumentVersion.objects.select_related("document").filter(pk=version_id, status__in=TIDIED).first()


def next_in_line(version: DocumentVersion) -> DocumentVersion | None:
    """Return the clean version, if any, that waits for `version`, which has ended, to be numbered."""
    return (
        DocumentVersion.objects.filter(document_id=version.document_id, status=Status.CLEAN, stuck_reason="")
        .order_by("arrival")
        .first()
    )


# --- what goes wrong for longer ---------------------------------------------------------------
def forsaken(now: datetime) -> Versions:
    """Return the versions to give up: over their budget, and not hindered lately by anything that has a name."""
    hindered = Q(waited_at__isnull=False, waited_at__gt=now - HINDERED_LATELY)
    return DocumentVersion.objects.over_budget(now).exclude(hindered).not_in_line()


def give_up(version_id: UUID, *, now: datetime | None = None) -> DocumentVersion | None:
    """Mark a version as stuck that is over its budget though nothing that has a name hinders it.

    One that met a named fault lately, stands in line or is being worked on goes on by itself: it is late, and is told
    of as such.
    """
    now = now or timezone.now()
    with claims.held(version_id) as ours:
        version = forsaken(now).select_related("document").filter(pk=version_id).first() if ours else None
        return _given_up(version) if version else None


def _given_up(version: DocumentVersion) -> DocumentVersion:
    since = timezone.localtime(version.status_at).isoformat(" ", "minutes")
    _stick(version, f"It has been {version.status} since {since}, longer than that may last. {NOBODY}")
    return version


def miss(version: DocumentVersion) -> bool:
    """Mark a version under way as stuck if quarantine has its pinned bytes no more; return whether that is so.

    They are deleted after the end alone, so one that has ended meanwhile is left as it is.
    """
    if version.s3_version_id in storage.quarantined(version):
        return False
    _stick(version, BYTES_GONE)
    return True


def requeue(version_id: UUID, *, by: Ref) -> DocumentVersion:
    """Mark a version as due that stands still or is late; whoever nudges it or sweeps next goes on with it.

    Bytes in the vault are due to be read again, and stay closed until they were. Raises `NothingToRequeue`.
    """
    now = timezone.now()
    version = DocumentVersion.objects.select_related("document").get(pk=version_id)
    late = version.status in UNFINISHED and version.late_at and version.late_at <= now
    if not version.stuck_reason and not late:
        raise NothingToRequeue
    changes: dict[str, Any] = {"checked_at": None}
    if version.status in UNFINISHED:
        changes = {"stuck_reason": "", "stuck_at": None, "attempts": 0, "waits_for": "", "due_at": now}
        changes |= {"late_at": now + _budget(Status(version.status)), "entered_at": _reentered(version)}
    with transaction.atomic():
        same = DocumentVersion.objects.filter(pk=version.pk, status=version.status, stuck_reason=version.stuck_reason)
        if not same.filter(late_at=version.late_at).update(**changes):  # two at once: one requeues it
            raise NothingToRequeue
        facts = {"status": version.status, "why": version.stuck_reason or "late"}
        _record(version, actions.VERSION_REQUEUED, by=by, facts=facts)
    for field, value in changes.items():
        setattr(version, field, value)
    return version


def _reentered(version: DocumentVersion) -> datetime | None:
    """One that was not looked at yet stands in its owner's queue again."""
    return None if version.status == Status.RECEIVED else version.entered_at


# --- what the steps share ----------------------------------------------------------------------
def _grace() -> timedelta:
    return timedelta(seconds=settings.EXPIRE_GRACE_SECONDS)


def _budget(status: Status) -> timedelta:
    return timedelta(seconds=settings.STATUS_BUDGETS[status])


def _in(status: Status, version_id: UUID) -> DocumentVersion | None:
    return DocumentVersion.objects.select_related("document").filter(IN_TURN, pk=version_id, status=status).first()


def _locked(document_id: UUID) -> Document:
    return Document.objects.select_for_update().get(pk=document_id)


def _waits(version: DocumentVersion) -> bool:
    return DocumentVersion.objects.all().earlier_in_line(version).exists()


def _last_arrival(document: Document) -> datetime | None:
    at: datetime | None = document.versions.aggregate(at=Max("received_at"))["at"]
    return at


def _attempt(version: DocumentVersion) -> None:
    _count(version, version.attempts, version.attempts + 1)


def _give_back(version: DocumentVersion) -> None:
    """Take the attempt back, if need be when the database is there again: no version dies of its restarts."""
    _owed.append(version)
    with suppress(*faults.AWAY):
        _pay_back()


def _pay_back() -> None:
    while _owed:
        version = _owed.pop()
        try:
            _count(version, version.attempts + 1, version.attempts)
        except faults.AWAY:
            _owed.append(version)
            raise


def _count(version: DocumentVersion, before: int, after: int) -> None:
    """Both numbers are said, so that it may be done twice, and after one that nobody knows whether it was done."""
    same = DocumentVersion.objects.filter(pk=version.pk, status=version.status)
    same.filter(attempts=before).update(attempts=after)


_owed: list[DocumentVersion] = []  # of this process; should it be killed first, that is a death indeed


def wait_for(version: DocumentVersion, fault: faults.Fault) -> None:
    """Say what the version waits for, so that nobody takes it for lost; it goes on by itself."""
    breaker.process.failed(fault, of=version.pk, now=time.monotonic())
    if fault is not faults.DATABASE:  # that it is away cannot be noted in it
        _wait([version], fault.words)


def put_off(versions: Iterable[DocumentVersion], shut: breaker.Shut) -> None:
    """Leave versions alone until what is away may be tried again, and say what they wait for."""
    _wait(versions, shut.fault.words, due_at=timezone.now() + timedelta(seconds=shut.seconds))


def _wait(versions: Iterable[DocumentVersion], why: str, **changes: Any) -> None:
    for some in bits([version.pk for version in versions]):
        these = DocumentVersion.objects.filter(pk__in=some, status__in=UNFINISHED)
        these.update(waits_for=why, waited_at=timezone.now(), **changes)


def bits(ids: Sequence[UUID], size: int = 25) -> Iterator[Sequence[UUID]]:
    """Yield so many at a time: nobody who moves a version waits for a long update of many."""
    return (ids[start : start + size] for start in range(0, len(ids), size))


def _stick(version: DocumentVersion, why: str) -> None:
    with transaction.atomic():
        stuck = DocumentVersion.objects.filter(pk=version.pk, status=version.status, stuck_reason="").update(
            stuck_reason=why, stuck_at=timezone.now()
        )
        if stuck:
            facts = {"status": version.status, "why": why}
            _record(version, actions.VERSION_STUCK, facts=facts, outcome="failure")


def _end(
    version: DocumentVersion,
    to: Status,
    action: str,
    code: str,
    facts: dict[str, Any] | None = None,
    **changes: Any,
) -> DocumentVersion | None:
    """Move to an end, with its reason in code and words."""
    return _move(
        version,
        to,
        action,
        facts={**(facts or {}), "reason_code": code},
        reason_code=code,
        reason=reasons.WORDS[code],
        **changes,
    )


def _move(
    version: DocumentVersion,
    to: Status,
    action: str,
    *,
    by: Ref = SYSTEM,
    facts: dict[str, Any],
    **changes: Any,
) -> DocumentVersion | None:
    """Change the status if it is still what we read; the only writer of `status`.

    One row updated: we won, and the audit event is in the same transaction. None: another worker did.
    """
    if to not in ARROWS[Status(version.status)]:
        raise ValueError(f"{version.status} -> {to} is not an arrow")
    now = timezone.now()
    changes |= {"status": to, "status_at": now, "due_at": now + NUDGE_AGAIN, "attempts": 0, "waits_for": ""}
    changes |= {"stuck_reason": "", "stuck_at": None}  # somebody may have given it up while we were at it
    changes["late_at"] = now + _budget(to) if to in UNFINISHED else None
    with transaction.atomic():
        moved = DocumentVersion.objects.filter(pk=version.pk, status=version.status).update(**changes)
        if not moved:
            return None
        _record(version, action, by=by, facts=facts)
    for field, value in changes.items():
        setattr(version, field, value)
    return version


def _record(
    version: DocumentVersion,
    action: str,
    *,
    by: Ref = SYSTEM,
    facts: dict[str, Any],
    outcome: str = "success",
) -> None:
    trail.record(
        action,
        actor=by,
        object=Ref("version", str(version.pk)),
        subject=Ref("user", str(version.document.owner_id)),
        outcome=outcome,
        details=_line(version, action, facts),
        facts={
            "document": str(version.document_id),
            "doc_type": version.document.doc_type,
            **facts,
        },
    )


def _line(version: DocumentVersion, action: str, facts: dict[str, Any]) -> str:
    """Say the event in a line for people: what, of which document, and why or as what."""
    why = str(facts.get("reason_code") or facts.get("why") or "").rstrip(".")
    if "number" in facts:
        why = f"number {facts['number']}"
    if "s3_versions" in facts:
        why = f"{facts['count']} S3 versions deleted from quarantine"
    what = f"Version {action.rpartition('.')[2]}, document {version.document_id}"
    return f"{what}: {why}." if why else f"{what}."
