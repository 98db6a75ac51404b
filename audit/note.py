"""Signs checkpoints: C2SP's signed note with Ed25519 keys. `audit.verify` has the other half.

A key has the name of the log that it signs for (its origin), and four bytes of a hash over that name and itself. So a
note can carry the signatures of an old key and of a new one while the new one takes the old one's place.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from audit import verify

_ED25519 = b"\x01"
_SEED_BYTES = 32


class NoSigningKey(Exception):
    """This process has no signing key: AUDIT_SIGNING_KEYS is empty. Only the audit worker is given one."""


@dataclass(frozen=True)
class Signer:
    """One signing key of the log `name`: an Ed25519 seed of 32 bytes, never shown."""

    name: str
    seed: bytes = field(repr=False)

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes."""
        return self._key().public_key().public_bytes_raw()

    @property
    def id(self) -> bytes:
        """The four bytes that name the key in a signature line."""
        return verify.key_id(self.name, self.public)

    @property
    def vkey(self) -> str:
        """The verification key as verifiers take it, `name+id+base64`: the form of Go's note package."""
        return f"{self.name}+{self.id.hex()}+{_base64(_ED25519 + self.public)}"

    def sign(self, message: bytes) -> bytes:
        """Return the signature of `message`, 64 bytes; always the same for the same message (RFC 8032)."""
        return self._key().sign(message)

    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


def signers(origin: str) -> list[Signer]:
    """Return this process's keys, all of which sign for the log `origin`; one that is named twice signs once.

    A note with two signatures of one key is refused by verifiers, our own among them: none could follow it.

    Raises NoSigningKey where it has none; ImproperlyConfigured where one is not url-safe base64 of 32 bytes, or where
    no key can have the name.
    """
    if not settings.AUDIT_SIGNING_KEYS:
        raise NoSigningKey
    if not verify.is_name(origin) or not origin.isprintable():
        raise ImproperlyConfigured(f"{origin!r} cannot be the name of a log: it has a space, a plus, or nothing")
    return list(dict.fromkeys(Signer(origin, _seed(text)) for text in settings.AUDIT_SIGNING_KEYS))


def body(origin: str, size: int, root: bytes) -> str:
    """Return what a checkpoint says, three lines: the log's name, its size, its root (C2SP tlog-checkpoint).

    Raises ValueError for what no verifier would take; it must not be signed.
    """
    if not verify.is_name(origin) or size < 0 or len(root) != len(verify.EMPTY_ROOT):
        raise ValueError(f"no checkpoint: {origin!r}, {size} events, a root of {len(root)} bytes")
    return f"{origin}\n{size}\n{_base64(root)}\n"


def signed(text: str, by: Sequence[Signer]) -> str:
    """Return the note: the text, an empty line, and a signature line of each signer (C2SP signed-note).

    Raises NoSigningKey where there is none.
    """
    if not by:
        raise NoSigningKey
    lines = [f"\u2014 {each.name} {_base64(each.id + each.sign(text.encode()))}\n" for each in by]
    return f"{text}\n{''.join(lines)}"


def _seed(text: str) -> bytes:
    """The seed; url-safe base64 to the letter, because the lenient decoder drops what it does not know."""
    try:
        seed = base64.b64decode(text, altchars=b"-_", validate=True)
    except ValueError:
        seed = b""
    if len(seed) != _SEED_BYTES:
        raise ImproperlyConfigured("AUDIT_SIGNING_KEYS: url-safe base64 of 32 bytes each")
    return seed


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
