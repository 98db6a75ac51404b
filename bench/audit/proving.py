"""How large a proof is, and how quick an export is verified by the program that stands alone."""

import base64
import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from django.test import override_settings
from django.utils import timezone

from audit import checkpoint, export, note, standing, verify
from audit.models import Checkpoint, Publication, State
from audit.trail import Ref
from bench.audit.figures import Figure

PROOFS = 200


def prove() -> Iterator[Figure]:
    """Sign the log as it is (nothing goes to the bucket), prove events of it, export it whole and verify that."""
    seed = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    with override_settings(AUDIT_SIGNING_KEYS=[seed]):
        under = _signed()
        keys = [verify.VerifierKey.parse(signer.vkey) for signer in note.signers(under.origin)]
        yield from _proofs(under)
        with tempfile.TemporaryDirectory(prefix="strongroom-bench-") as folder:
            yield from _export(Path(folder) / "log.jsonl", under, keys)


def _signed() -> Checkpoint:
    state, origin = State.objects.get(), standing.publication().origin
    root = bytes(state.root)
    text = note.signed(note.body(origin, state.size, root), note.signers(origin))
    Publication.objects.create(origin=origin)
    return Checkpoint.objects.create(origin=origin, size=state.size, root=root, note=text)


def _proofs(under: Checkpoint) -> Iterator[Figure]:
    proofs = [checkpoint.prove(secrets.randbelow(under.size)) for _ in range(PROOFS)]
    yield Figure(name="the largest proof", value=max(map(len, map(str.encode, proofs))), unit="bytes", most=1500)


def _export(path: Path, under: Checkpoint, keys: list[verify.VerifierKey]) -> Iterator[Figure]:
    begun = time.perf_counter()
    made = export.write(path, under, export.Filters(), actor=Ref("system", "bench"), now=timezone.now())
    yield Figure(name="written to an export", value=made.events / (time.perf_counter() - begun), unit="events/s")
    yield Figure(name="bytes per event in it", value=path.stat().st_size / made.events, unit="bytes")
    begun = time.process_time()
    with path.open("rb") as lines:
        report = verify.verify_export(lines, keys)
    taken = time.process_time() - begun
    if report.events != under.size:
        raise SystemExit(f"{report.events} of {under.size} events were verified")
    yield Figure(name="verified of it, a second of CPU", value=report.events / taken, unit="events/s", least=100_000)
