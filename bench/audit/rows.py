"""Events by the million, as a busy house has them: one person does a third of all, half of all acts are reads.

Leaves are of about 449 bytes, personal parts of 180.
"""

import io
import random
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from django.db import connection, transaction

from audit import sequencer
from audit.models import State
from bench.audit.figures import Figure

DAYS = 50
END = datetime(2026, 11, 24, tzinfo=UTC)
HOT = "1"  # who does a third of all
PEOPLE, DOCUMENTS = 10_000, 200_000
FOUND = "version.infected"  # by a worker; the others by a person's request
ACTIONS = ("document.read", "document.download_linked", "version.requested", FOUND, "mfa.reset")
SHARES = (50, 30, 18.9, 1, 0.1)  # per cent
_CHUNK = 5000
PRIVATE_BYTES = 180
_HEX, _NULL = r"\\x", r"\N"  # as COPY reads them


def fill(size: int) -> Iterator[Figure]:
    """Let the log grow to a size, through the outbox and the sequencer."""
    dice, state = random.Random(size), State.objects.first()  # noqa: S311 - nobody is to guess nothing
    begun, there = time.perf_counter(), state.size if state else 0
    for low in range(there, size, _CHUNK):
        wait(dice, low, min(_CHUNK, size - low), of=size)
        while sequencer.sequence(_CHUNK):
            pass
    yield Figure(name="events in the log", value=size, unit="events")
    rate = (size - there) / (time.perf_counter() - begun)
    yield Figure(name="made up, queued and sequenced", value=rate, unit="events/s")


def wait(dice: random.Random, low: int, count: int, *, of: int) -> None:
    """Put the events from place `low` on into the outbox, as if they had been recorded."""
    text = io.StringIO("".join(_line(dice, low + at, of) for at in range(count)))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.copy_expert("COPY audit_outbox (leaf, private, key_id) FROM STDIN", text)


def when(place: int, of: int) -> datetime:
    """When the event of a place occurred: evenly over the days."""
    return END - timedelta(days=DAYS) * (1 - place / of)


def document(number: int) -> str:
    """The id of a document."""
    return str(uuid.UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128))


def _line(dice: random.Random, place: int, of: int) -> str:
    """A row for COPY: a request's, with its id and a personal part, or a worker's, which concerns somebody."""
    (action,) = dice.choices(ACTIONS, SHARES)
    person = HOT if dice.random() < 0.34 else str(dice.randrange(2, PEOPLE))
    time = f"{when(place, of).isoformat(timespec='microseconds')[:-6]}Z"
    if action == FOUND:
        said = _leaf(dice, action, "system", "worker", f'"subject":{{"kind":"user","uid":"{person}"}},', time)
        return f"{said}\t{_NULL}\t{_NULL}\n"
    request = f'"private":"{dice.randbytes(32).hex()}","request_id":"{_uuid(dice)}",'
    said = _leaf(dice, action, "user", person, request, time)
    return f"{said}\t{_HEX}{dice.randbytes(PRIVATE_BYTES).hex()}\t{person}\n"


def _leaf(dice: random.Random, action: str, kind: str, uid: str, more: str, time: str) -> str:
    """Canonical as it stands; audit.columns refuses it if it is not."""
    return (
        f'{{"action":"{action}","actor":{{"kind":"{kind}","uid":"{uid}"}},"details":"Opened.",'
        f'"facts":{{}},"id":"{_uuid(dice)}","nonce":"{dice.randbytes(16).hex()}",'
        f'"object":{{"kind":"document","uid":"{document(dice.randrange(DOCUMENTS))}"}},"outcome":"success",'
        f'{more}"time":"{time}","v":1}}'
    )


def _uuid(dice: random.Random) -> uuid.UUID:
    return uuid.UUID(int=dice.getrandbits(128), version=4)
