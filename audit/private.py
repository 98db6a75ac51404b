"""The private part of an event: personal values, committed to by the leaf and stored encrypted.

    opening     salt (32 random bytes) || canonical JSON of the values
    commitment  SHA-256("audit-priv-v1\\0" || opening), in the leaf
    ciphertext  nonce (12) || AES-256-GCM(data key, opening, additional data = the event's id)

Each person has a data key (`PrivateKey`), itself encrypted under AUDIT_ENCRYPTION_KEYS: the first
of those encrypts, any of them decrypts. Whoever holds the opening can prove the values; once the
data key is destroyed nobody can read them, and leaf, hash and proofs stay what they were.
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from audit import leaf
from audit.models import Event, Private, PrivateKey

_PREFIX: Final = b"audit-priv-v1\x00"
_SALT_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32


class Erased(Exception):
    """The personal part of this event has been erased."""


class WrongKey(Exception):
    """None of the configured keys opens this."""


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
    key_id, wrapped = _key_of(owner)
    return Sealed(
        commitment=commitment(opening),
        ciphertext=_encrypt(_unwrap(wrapped, owner), opening, event_id.bytes),
        key_id=key_id,
    )


def commitment(opening: bytes) -> str:
    """What the leaf says of an opening, in hex."""
    return hashlib.sha256(_PREFIX + opening).hexdigest()


def opening(event: Event) -> bytes:
    """The opening of the event's private part.

    Raises Erased if its data key or ciphertext is gone, Private.DoesNotExist if it never had one.
    """
    part = event.leaf_values()
    if "private" not in part:
        raise Private.DoesNotExist
    stored = Private.objects.filter(seq=event.seq).first()
    key = stored and PrivateKey.objects.filter(pk=stored.key_id).first()
    if not stored or not key or key.wrapped is None:
        raise Erased
    data_key = _unwrap(bytes(key.wrapped), key.owner)
    return _decrypt(data_key, bytes(stored.ciphertext), UUID(part["id"]).bytes)


def reveal(event: Event) -> dict[str, leaf.JSON]:
    """The personal values of an event; raises what `opening` raises."""
    values: dict[str, leaf.JSON] = json.loads(opening(event)[_SALT_BYTES:])
    return values


def _key_of(owner: str) -> tuple[int, bytes]:
    """Plain SQL for the same reason as in `trail`: every recording asks."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, wrapped FROM audit_privatekey WHERE owner = %s AND wrapped IS NOT NULL", [owner])
        row = cursor.fetchone()
    if row:
        return row[0], bytes(row[1])
    wrapped = _encrypt(_ring()[0], secrets.token_bytes(_KEY_BYTES), owner.encode())
    # Two transactions may meet here: the second waits for the first and takes its key.
    PrivateKey.objects.bulk_create([PrivateKey(owner=owner, wrapped=wrapped)], ignore_conflicts=True)
    return _key_of(owner)


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
