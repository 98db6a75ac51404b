"""Compares what there is with what was sent. Plain functions over plain data: each returns what it finds wrong."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.breaking.carrying import Account
from bench.breaking.evidence import Event, Evidence, Row, Seen, Stored

LOST, DOUBLED, OUT_OF_ORDER, UNEXPLAINED = "lost", "doubled", "out_of_order", "unexplained"
SORTS = (LOST, DOUBLED, OUT_OF_ORDER, UNEXPLAINED)
UNFINISHED = ("pending", "received", "validated", "clean")
PATHS: dict[str, tuple[tuple[str, ...], ...]] = {
    "available": (("requested", "received", "validated", "scanned", "available"),),
    "infected": (("requested", "received", "validated", "infected"),),
    "rejected": (("requested", "received", "rejected"), ("requested", "received", "validated", "rejected")),
    "expired": (("requested", "expired"),),
    "pending": (("requested",),),
    "received": (("requested", "received"),),
    "validated": (("requested", "received", "validated"),),
    "clean": (("requested", "received", "validated", "scanned"),),
}
"""The changes that lead to a status, one event each."""
NO_CHANGE = ("purged", "stuck", "requeued")
"""Events of a version that tell of no change of its status; a crash may repeat `purged`."""


@dataclass(frozen=True)
class Finding:
    """Something that must not be."""

    sort: str
    what: str
    words: str

    def __str__(self) -> str:
        return f"{self.sort}: {self.what}: {self.words}"


def everything(accounts: Sequence[Account], evidence: Evidence) -> list[Finding]:
    """Return all that is wrong."""
    return [
        *accounted_for(accounts, evidence.rows),
        *ended(evidence.rows),
        *numbered(evidence.rows),
        *in_the_order_of_arrival(accounts, evidence.rows),
        *one_event_each(evidence.rows, evidence.events),
        *in_the_vault(evidence.rows, evidence.vault),
        *nothing_in_quarantine(evidence.rows, evidence.quarantine),
        *as_owners_see_it(accounts, evidence.rows, evidence.seen),
        *([Finding(UNEXPLAINED, "audit log", evidence.log)] if evidence.log else []),
    ]


def accounted_for(accounts: Iterable[Account], rows: Iterable[Row]) -> Iterator[Finding]:
    """Each upload has its row, which came to the end that it must; rows that nobody knows of came to nothing."""
    by_name = defaultdict[str, list[Row]](list)
    for row in rows:
        by_name[row.filename].append(row)
    for account in accounts:
        yield from _one(account, by_name.pop(account.intent.filename, []))
        yield from (
            Finding(UNEXPLAINED, account.intent.filename, odd) for odd in account.odd if not odd.startswith("gave up")
        )
    for name in by_name:
        yield Finding(UNEXPLAINED, name, "nobody has sent that")


def _one(account: Account, rows: list[Row]) -> Iterator[Finding]:
    name = account.intent.filename
    others = [row for row in rows if row.id != account.id]
    if account.id and len(others) == len(rows):
        yield Finding(LOST, name, f"the service promised {account.id}, and does not know it")
    if len(others) > account.begun:
        yield Finding(DOUBLED, name, f"{len(others)} rows for {account.begun} requests whose answer was lost")
    for row in others:
        if row.status != "expired" and row.status not in UNFINISHED:
            yield Finding(UNEXPLAINED, name, f"{row.id} is {row.status}, and nothing was sent for it")
    if sum(row.status == "available" for row in rows) > 1:
        yield Finding(DOUBLED, name, "it is available more than once")
    for row in rows:
        if row.id == account.id:
            yield from _its_end(account, row)


def _its_end(account: Account, row: Row) -> Iterator[Finding]:
    wanted = account.intent.kind.end
    if row.status in UNFINISHED or row.status == wanted or (row.status == "expired" and account.sent != "yes"):
        return
    words = f"{row.id} is {row.status} where it should be {wanted} (sent: {account.sent})"
    yield Finding(LOST if wanted == "available" else UNEXPLAINED, account.intent.filename, words)


def ended(rows: Iterable[Row]) -> Iterator[Finding]:
    """Every version has ended, and none is stuck: nothing that was broken stays broken."""
    for row in rows:
        if row.stuck_reason:
            yield Finding(UNEXPLAINED, row.id, f"stuck in {row.status}: {row.stuck_reason}")
        elif row.status in UNFINISHED:
            yield Finding(UNEXPLAINED, row.id, f"still {row.status}, {row.attempts} attempts")


def numbered(rows: Iterable[Row]) -> Iterator[Finding]:
    """The numbers of a document, and the places of its arrivals, are 1, 2, 3 ..., and go up together."""
    for document, versions in _by_document(rows).items():
        for what in ("arrival", "number"):
            given = sorted(place for row in versions if (place := getattr(row, what)) is not None)
            if len(set(given)) < len(given):
                yield Finding(DOUBLED, document, f"{what}s {given}")
            elif given != list(range(1, len(given) + 1)):
                yield Finding(OUT_OF_ORDER, document, f"{what}s {given}")
        in_vault = sorted((row for row in versions if row.number is not None), key=lambda row: row.number or 0)
        for one, other in pairwise(in_vault):
            if (one.arrival or 0) > (other.arrival or 0):
                yield Finding(OUT_OF_ORDER, document, f"{one.number} came after {other.number}")
        arrived = sorted((row for row in versions if row.received_at), key=lambda row: row.arrival or 0)
        for one, other in pairwise(arrived):
            if one.received_at and other.received_at and one.received_at > other.received_at:
                yield Finding(OUT_OF_ORDER, document, f"arrival {other.arrival} is dated before {one.arrival}")


def in_the_order_of_arrival(accounts: Iterable[Account], rows: Iterable[Row]) -> Iterator[Finding]:
    """Where the service had said of one upload that it has come before another was sent at all, it comes first."""
    known = {account.id: account for account in accounts}
    for document, versions in _by_document(rows).items():
        arrived = [(row.arrival, known[row.id]) for row in versions if row.arrival is not None and row.id in known]
        for place, account in arrived:
            late = [other for other in arrived if other[0] < place and account.completed_at]
            for other_place, other in late:
                if account.completed_at < other.sent_from:
                    words = f"arrival {other_place} was sent after arrival {place} had been received"
                    yield Finding(OUT_OF_ORDER, document, words)


def _by_document(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found = defaultdict[str, list[Row]](list)
    for row in rows:
        found[row.document].append(row)
    return found


def one_event_each(rows: Iterable[Row], events: Iterable[Event]) -> Iterator[Finding]:
    """Each change of status has one event, and they happened in their order."""
    told = defaultdict[str, list[Event]](list)
    for event in events:
        told[event.version].append(event)
    for row in rows:
        changes = sorted(told.pop(row.id, []), key=lambda event: event.at)
        path = tuple(name for event in changes if (name := event.action.removeprefix("version.")) not in NO_CHANGE)
        yield from _compared(row, path)
    for version in told:
        yield Finding(UNEXPLAINED, version, "events of a version that is not there")


def _compared(row: Row, path: tuple[str, ...]) -> Iterator[Finding]:
    if path in PATHS[row.status]:
        return
    ways = PATHS[row.status]
    wanted = next((way for way in ways if Counter(way) == Counter(path)), None)
    words = f"{row.status}, and its events are {', '.join(path) or 'none'}"
    if wanted:
        sort = OUT_OF_ORDER
    elif max(Counter(path).values(), default=0) > 1:
        sort = DOUBLED
    else:
        sort = LOST if not any(set(way) <= set(path) for way in ways) else UNEXPLAINED
    yield Finding(sort, row.id, words)


def in_the_vault(rows: Iterable[Row], vault: Iterable[Stored]) -> Iterator[Finding]:
    """Each available version has one object, that version of it, of that size; there are no others."""
    lie = defaultdict[str, list[Stored]](list)
    for stored in vault:
        lie[stored.key].append(stored)
    for row in rows:
        if row.status != "available":
            continue
        found = lie.pop(row.vault_key, [])
        if len(found) > 1:
            yield Finding(DOUBLED, row.id, f"{len(found)} S3 versions in the vault")
        if not any((each.version, each.size) == (row.vault_version, row.size) for each in found):
            yield Finding(LOST, row.id, "its bytes are not in the vault")
    for key in lie:
        yield Finding(UNEXPLAINED, key, "an object in the vault that belongs to no available version")


def nothing_in_quarantine(rows: Iterable[Row], quarantine: Iterable[Stored]) -> Iterator[Finding]:
    """Only infected bytes stay: two people may release them."""
    kept = {f"incoming/{row.id}" for row in rows if row.status == "infected"}
    for key in {stored.key for stored in quarantine} - kept:
        yield Finding(UNEXPLAINED, key, "left over in quarantine")


def as_owners_see_it(accounts: Iterable[Account], rows: Iterable[Row], seen: dict[str, Seen]) -> Iterator[Finding]:
    """The API tells what the database has, and gives the very bytes that were sent."""
    by_id = {row.id: row for row in rows}
    for account in accounts:
        row, saw = by_id.get(account.id), seen.get(account.id)
        if row is None:
            continue
        if saw is None or (saw.status, saw.number) != (row.status, row.number):
            yield Finding(UNEXPLAINED, row.id, f"{row.status} {row.number}, and its owner is told {saw}")
        elif row.status == "available" and saw.sha256 != account.intent.sha256:
            yield Finding(LOST, row.id, "the bytes in the vault are not those that were sent")
