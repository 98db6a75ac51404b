"""The private part of an event: personal values, committed to by the leaf and stored encrypted.

    opening     salt (32 random bytes) || canonical JSON of the values
    commitment  SHA-256("audit-priv-v1\\0" || opening), in the leaf
    ciphertext  nonce (12) || AES-256-GCM(data key, opening, additional data = the event's id)

Each person has a data key (`PrivateKey`), itself encrypted under AUDIT_ENCRYPTION_KEYS: the first
of those encrypts, any of them decrypts. Whoever holds the opening can prove the values; once the
data key is destroyed nobody can read them, and leaf, hash and proofs stay what they were.

Every recording needs a key, so a process remembers those that it used for ten minutes. It only remembers what is
committed: a key that was made in a transaction that rolls back is in nobody's table. A key that was destroyed
meanwhile still encrypts, for that long, in the processes that remember it: what it encrypts nobody can read.
"""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction

from audit import leaf
from audit.models import Event, Private, PrivateKey

_PREFIX: Final = b"audit-priv-v1\x00"
_SALT_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
_REMEMBERED: Final = 4096  # keys, of less than 1 kB each
_REMEMBERED_SECONDS: Final = 600


class Erased(Exception):
    """The personal part of this event has been erased."""


class WrongKey(Exception):
    """None of the configured keys opens this."""


class Damaged(Exception):
    """The personal part of this event is not what was recorded."""


@dataclass(frozen=True)
class Sealed:
    """A private part ready to be stored; only the commitment goes into the leaf."""

    commitment: str
    ciphertext: bytes
    key_id: int


def seal(values: Mapping[str, leaf.JSON], *, owner: str, event_id: UUID) -> Sealed:
    """Commit to `values` and encrypt them under the owner's data key, made if there is none.

    Must run in the transaction that records the event. Raises what `leaf.canonical` raises.
    """
    opening = secrets.token_bytes(_SALT_BYTES) + leaf.canonical(values).encode()
    key = _key_of(owner)
    return Sealed(
        commitment=commitment(opening),
        ciphertext=_encrypt(key.plain, opening, event_id.bytes),
        key_id=key.id,
    )


def commitment(opening: bytes) -> str:
    """What the leaf says of an opening, in hex."""
    return hashlib.sha256(_PREFIX + opening).hexdigest()


def opening(event: Event) -> bytes:
    """The opening of the event's private part.

    Raises Erased if its data key or ciphertext is gone, Private.DoesNotExist if it never had one, Damaged if it is not
    what its leaf commits to, and WrongKey.
    """
    part = event.leaf_values()
    if "private" not in part:
        raise Private.DoesNotExist
    stored = Private.objects.filter(seq=event.seq).first()
    key = stored and PrivateKey.objects.filter(pk=stored.key_id).first()
    if not stored or not key or key.wrapped is None:
        raise Erased
    return _opened(stored, _unwrap(bytes(key.wrapped), key.owner), part)


def reveal(event: Event) -> dict[str, leaf.JSON]:
    """The personal values of an event; raises what `opening` raises."""
    values: dict[str, leaf.JSON] = json.loads(opening(event)[_SALT_BYTES:])
    return values


def openings(events: Iterable[Event]) -> dict[int, bytes]:
    """Return the openings of those events that have one which is not erased, by their places: three queries for all.

    Raises WrongKey, and Damaged for one that is not what its leaf commits to.
    """
    parts = {event.seq: leaf_ for event in events if "private" in (leaf_ := event.leaf_values())}
    stored = {row.seq: row for row in Private.objects.filter(seq__in=parts)}
    living = PrivateKey.objects.filter(pk__in={row.key_id for row in stored.values()}, wrapped__isnull=False)
    keys = {key.pk: _unwrap(bytes(key.wrapped or b""), key.owner) for key in living}
    return {seq: _opened(row, keys[row.key_id], parts[seq]) for seq, row in stored.items() if row.key_id in keys}


def _opened(row: Private, key: bytes, part: Mapping[str, str]) -> bytes:
    try:
        opened = _decrypt(key, bytes(row.ciphertext), UUID(part["id"]).bytes)
    except InvalidTag as error:
        raise Damaged(f"the personal part of event {row.seq} was altered") from error
    if commitment(opened) != part["private"]:
        raise Damaged(f"the personal part of event {row.seq} is not the one that the event commits to")
    return opened


def forget_keys() -> None:
    """Forget every data key that this process remembers."""
    _keys.clear()


class _Key(NamedTuple):
    id: int
    plain: bytes
    until: float


_keys: Final[dict[str, _Key]] = {}


def _key_of(owner: str) -> _Key:
    known = _keys.get(owner)
    if known and time.monotonic() < known.until:
        return known
    key_id, wrapped = _stored_key(owner)
    key = _Key(key_id, _unwrap(wrapped, owner), time.monotonic() + _REMEMBERED_SECONDS)
    transaction.on_commit(lambda: _remember(owner, key))
    return key


def _remember(owner: str, key: _Key) -> None:
    if len(_keys) >= _REMEMBERED:
        forget_keys()
    _keys[owner] = key


def _stored_key(owner: str) -> tuple[int, bytes]:
    """The living key of `owner`, wrapped; made if there is none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, wrapped FROM audit_privatekey WHERE owner = %s AND wrapped IS NOT NULL", [owner])
        row = cursor.fetchone()
    if row:
        return row[0], bytes(row[1])
    wrapped = _encrypt(_ring()[0], secrets.token_bytes(_KEY_BYTES), owner.encode())
    # Two transactions may meet here: the second waits for the first and takes its key.
    PrivateKey.objects.bulk_create([PrivateKey(owner=owner, wrapped=wrapped)], ignore_conflicts=True)
    return _stored_key(owner)


def _unwrap(wrapped: bytes, owner: str) -> bytes:
    for candidate in _ring():
        try:
            return _decrypt(candidate, wrapped, owner.encode())
        except InvalidTag:
            continue
    raise WrongKey


def _ring() -> list[bytes]:
    keys = [base64.urlsafe_b64decode(text) for text in settings.AUDIT_ENCRYPTION_KEYS]
    if not keys or any(len(key) != _KEY_BYTES for key in keys):
        raise ImproperlyConfigured("AUDIT_ENCRYPTION_KEYS: url-safe base64 of 32 bytes each")
    return keys


def _encrypt(key: bytes, plain: bytes, bound_to: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, bound_to)


def _decrypt(key: bytes, sealed: bytes, bound_to: bytes) -> bytes:
    return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to)
