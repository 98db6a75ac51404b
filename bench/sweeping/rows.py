"""Millions of versions, nearly all of them at rest for up to a year, and crowds of those that are not.

The crowds are as large whatever the number of versions: a queue of 10,000 of one owner's, thousands under way, due,
late and hindered by a scanner that is away, some hundreds stuck. Expressions are SQL over the row's number `i`; ids are
hashes, so that they lie as scattered as random ones. `d` is the number of its document, `begun` when it began.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.db import connection

from bench.sweeping.bare import bare

OWNERS = 20_000
CROWDED = 1
"""The owner with 10,000 uploads that wait for a place."""
Columns = Mapping[str, str]

_SOMEBODY = f"2 + d * 7919::bigint % {OWNERS - 1}"
_HASH = "md5('a' || i) || md5('b' || i)"
_SIZE = "case when i % 50 = 0 then 80000000 else 50000 + i * 7919::bigint % 3000000 end"
_BEGUN: Columns = {
    "status": "'pending'",
    "filename": "'statement-' || i || '.pdf'",
    "content_type": "'application/pdf'",
    "size": _SIZE,
    "declared_sha256": "''",
    "expires_at": "begun + interval '6 minutes'",
    "status_at": "begun",
    "due_at": "now() - interval '60 seconds' + i % 90 * interval '1 second'",
    "late_at": "now() + interval '5 hours'",
    **dict.fromkeys(["s3_version_id", "etag", "sha256", "media_type", "policy_sha256", "vault_version_id"], "''"),
    **dict.fromkeys(["reason_code", "reason", "waits_for", "stuck_reason"], "''"),
    **dict.fromkeys(["found", "flags"], "'[]'::jsonb"),
    "attempts": "0",
}
_RECEIVED: Columns = {
    **_BEGUN,
    "status": "'received'",
    "s3_version_id": "md5('s' || i)",
    "etag": "md5('e' || i)",
    "received_size": _SIZE,
    "received_at": "begun + interval '5 seconds'",
    "entered_at": "begun + interval '5 seconds'",
    "arrival": "1",
}
_VALIDATED: Columns = {
    **_RECEIVED,
    "status": "'validated'",
    "sha256": _HASH,
    "media_type": "'application/pdf'",
    "policy_sha256": "md5('p') || md5('q')",
    "validated_at": "begun + interval '7 seconds'",
}
_CLEAN: Columns = {**_VALIDATED, "status": "'clean'", "scanned_at": "begun + interval '9 seconds'"}
_AVAILABLE: Columns = {
    **_CLEAN,
    "status": "'available'",
    "status_at": "begun + interval '10 seconds'",
    "available_at": "begun + interval '10 seconds'",
    "number": "1",
    "vault_version_id": "md5('w' || i)",
    "due_at": "begun + interval '20 seconds'",
    "late_at": "null",
    "checked_at": "case when begun < now() - interval '30 days' then now() - random() * interval '30 days' end",
    "tidied_at": "case when begun < now() - interval '25 minutes' then begun + interval '22 minutes' end",
}
_ENDED: Columns = {"late_at": "null", "reason_code": "'expired_unsent'", "reason": "'Too late.'"}
_TIDIED: Columns = {"tidied_at": "begun + interval '22 minutes'", "due_at": "begun + interval '1 minute'"}
_STUCK: Columns = {"stuck_reason": "'Work on this file was cut off.'", "stuck_at": "now() - i * interval '1 minute'"}
_LATE: Columns = {"late_at": "now() - i * interval '1 second'"}
_HINDERED: Columns = {
    "waits_for": "'The scanner is away.'",
    "waited_at": "now() - i % 60 * interval '1 second'",
}
_QUEUEING: Columns = {"entered_at": "null", **dict.fromkeys(["size", "received_size"], "1000 + i % 100000")}


@dataclass(frozen=True)
class Crowd:
    """So many versions alike, each of a document of its own unless `of_document` says otherwise."""

    name: str
    count: int
    columns: Columns
    owner: str = _SOMEBODY
    at: str = "now() - interval '10 minutes' - i % 600 * interval '1 second'"
    per_document: int = 1


def _at_rest(count: int) -> str:
    return f"now() - interval '365 days' * ((i - 1)::float8 / {count})"


def crowds(versions: int) -> list[Crowd]:
    """Return all of them; they are `versions` in number."""
    few = [
        Crowd("pending", 3_000, _BEGUN, at="now() - i % 300 * interval '1 second'"),
        Crowd("never sent", 500, _BEGUN, at="now() - interval '1 hour'"),
        Crowd("received", 6_000, _RECEIVED),
        Crowd("queueing", 10_000, {**_RECEIVED, **_QUEUEING}, owner=str(CROWDED)),
        Crowd("queueing, others", 1_000, {**_RECEIVED, **_QUEUEING}, owner="2 + d % 50"),
        Crowd("validated", 5_000, _VALIDATED),
        Crowd("clean", 1_000, _CLEAN),
        Crowd("late and hindered", 3_000, {**_VALIDATED, **_LATE, **_HINDERED}, at="now() - interval '8 hours'"),
        Crowd("forsaken", 200, {**_VALIDATED, **_LATE}, at="now() - interval '9 hours'"),
        Crowd("deadly", 50, {**_RECEIVED, "attempts": "3"}),
        Crowd("stuck, received", 200, {**_RECEIVED, **_STUCK}, at="now() - interval '2 days'"),
        Crowd("stuck, validated", 200, {**_VALIDATED, **_STUCK}, at="now() - interval '2 days'"),
        Crowd("stuck, in the vault", 50, {**_AVAILABLE, **_STUCK}, at="now() - interval '90 days'"),
        Crowd("untidied", 3_000, {**_AVAILABLE, "tidied_at": "null"}, at="now() - interval '1 hour'"),
        Crowd("untidied, expired", 500, {**_BEGUN, **_ENDED, "status": "'expired'"}, at="now() - interval '1 hour'"),
    ]
    rest = versions - sum(crowd.count for crowd in few)
    if rest < 1000:
        raise SystemExit("the crowds alone are more than that: ask for 50000 versions or more")
    expired, rejected, infected = rest * 4 // 1000, rest * 3 // 1000, rest // 5000
    available = rest - expired - rejected - infected
    many = [
        Crowd("available", available, _AVAILABLE, at=_at_rest(available), per_document=4),
        Crowd("expired", expired, {**_BEGUN, **_ENDED, **_TIDIED, "status": "'expired'"}, at=_at_rest(expired)),
        Crowd("rejected", rejected, {**_RECEIVED, **_ENDED, **_TIDIED, "status": "'rejected'"}, at=_at_rest(rejected)),
        Crowd("infected", infected, {**_VALIDATED, **_ENDED, "status": "'infected'"}, at=_at_rest(infected)),
    ]
    return many + few


def fill(versions: int, tell: Callable[[str], None]) -> None:
    """Fill the tables with so many versions, their documents, owners, alarms and mails."""
    _say(f"""
        insert into identity_user
            (id, password, username, email, role, is_active, date_joined, security_epoch,
             must_change_password)
        select i, '!', 'owner-' || i, '', 'investor', true, now(), now(), false
        from generate_series(1, {OWNERS}) i""")
    with bare("pipeline_documentversion"), bare("pipeline_document"):
        for crowd in crowds(versions):
            tell(f"{crowd.count:>10,} {crowd.name}")
            _documents(crowd)
            _versions(crowd)
        tell("the indexes")
    _around()
    tell("vacuum analyze")
    _say("vacuum analyze")


def _documents(crowd: Crowd) -> None:
    each, documents = crowd.per_document, -(-crowd.count // crowd.per_document)
    _say(f"""
        insert into pipeline_document (id, owner_id, name, doc_type, created_at, arrivals, numbers)
        select md5('{crowd.name} ' || d)::uuid, {crowd.owner}, '{crowd.name} ' || d, 'statement', now(), {each}, {each}
        from generate_series(0, {documents - 1}) d""")


def _versions(crowd: Crowd) -> None:
    columns, each = dict(crowd.columns), crowd.per_document
    columns |= {"id": f"md5('version {crowd.name} ' || i)::uuid", "created_at": "begun"}
    columns |= {"document_id": f"md5('{crowd.name} ' || d)::uuid"}
    columns |= dict.fromkeys(["owner_id", "uploader_id"], crowd.owner)
    if each > 1:
        columns |= dict.fromkeys(["number", "arrival"], f"1 + i % {each}")
    _say(f"""
        insert into pipeline_documentversion ({", ".join(columns)})
        select {", ".join(columns.values())}
        from (select i, i / {each} d, {crowd.at} begun from generate_series(0, {crowd.count - 1}) i) rows""")


def _around() -> None:
    """Alarms, most of them settled, and mails, most of them sent."""
    _say("""
        insert into pipeline_alarm (kind, object, words, raised_at, seen_at, resolved_at)
        select case when i % 3 = 0 then 'missing' when i % 3 = 1 then 'altered' else 'stray' end, 'documents/' || i,
               'An object.', now() - i * interval '1 hour', now() - i * interval '1 minute',
               case when i > 60 then now() end
        from generate_series(1, 20000) i""")
    _say("""
        insert into identity_mail (id, user_id, kind, address, facts, created_at, due_at, attempts, sent_at)
        select gen_random_uuid(), i % 20000 + 1, 'signed_in', '', '{}', now(), now() - interval '1 minute', 0,
               case when i > 50 then now() end
        from generate_series(1, 200000) i""")


def _say(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)
