"""What a scan costs: `python -m bench.scan [MB] [STACK]`, against a running stack (STACK is its stack.json).

Sends a file of mixed content to quarantine, and takes it away again. Then, by turns and three times: our
scan of it (GET from S3, SHA-256, INSTREAM), and what one would do without us: a GET whose bytes nobody
keeps, and `clamdscan --stream` of a copy on disk. Counts CPU, not time, so that a busy machine matters
less: user and system of this process and its children, and of clamd, which works in both; S3's own is in
neither. Our process lives long and has loaded everything; clamdscan starts anew, as it always does.

Prints each round, the medians and, last, one line of JSON.
"""

import hashlib
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import s3
from devstack import debs, jsonfile
from devstack.places import CLAMAV

ROUNDS = 3
MIB = 1024 * 1024
TICKS = os.sysconf("SC_CLK_TCK")
SETTLE_SECONDS = 0.3  # clamd deletes its copy after it has answered


def main(megabytes: int, stack: dict[str, Any]) -> None:
    """Measure with a file of so many MiB and print what was found."""
    if stack["engine"] != "clamd":
        raise SystemExit("this stack has no clamd: there is nothing to compare with")
    clamdscan = _clamdscan(Path(stack["data"]))
    _become_a_worker(Path(stack["data"]))
    with _sent(stack, megabytes) as (version, copy):
        rounds = [_round(n, _ways(version, copy, clamdscan), stack["pids"]["clamd"]) for n in range(ROUNDS)]
    medians = {name: round(statistics.median(each[name] for each in rounds), 3) for name in rounds[0]}
    for name, seconds in medians.items():
        print(f"{name:18} {'  '.join(f'{each[name]:7.3f}' for each in rounds)}   median {seconds:.3f} s")
    ratio = medians["ours"] / (medians["clamdscan"] + medians["get"])
    print(
        json.dumps({"megabytes": megabytes, "rounds": ROUNDS, "median_cpu_seconds": medians, "ratio": round(ratio, 3)})
    )


def _ways(version: Any, copy: Path, clamdscan: Callable[[Path], None]) -> dict[str, Callable[[], None]]:
    from pipeline import scanner, storage

    def ours() -> None:
        verdict = scanner.scan(storage.stream(version), size=version.size, sha256=version.sha256)
        if not verdict.clean:
            raise SystemExit(f"the file was called {verdict.code}: {verdict.signature}")

    def get() -> None:
        for _ in storage.stream(version):
            pass

    return {"ours": ours, "get": get, "clamdscan": lambda: clamdscan(copy)}


def _round(number: int, ways: dict[str, Callable[[], None]], clamd: int) -> dict[str, float]:
    """CPU seconds of each, ours first in one round and last in the next; and how much of it is clamd's."""
    found: dict[str, float] = {}
    for name in sorted(ways, reverse=bool(number % 2)):
        before, before_clamd = _own(), _of(clamd)
        ways[name]()
        own = _own() - before
        time.sleep(SETTLE_SECONDS)
        within = _of(clamd) - before_clamd
        found |= {name: own + within, f"{name} (clamd)": within}
    return {name: found[name] for way in ways for name in (way, f"{way} (clamd)")}


def _own() -> float:
    """CPU seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _of(pid: int) -> float:
    """CPU seconds of another process (proc(5): utime and stime; its name may hold anything)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _become_a_worker(data: Path) -> None:
    import django

    os.environ.update(jsonfile.read(data / "environment.json"))
    django.setup()


@contextmanager
def _sent(stack: dict[str, Any], megabytes: int) -> Iterator[tuple[Any, Path]]:
    """Have the file in quarantine and a copy on disk; give a version that tells where, and the copy."""
    from pipeline.models import DocumentVersion

    body = b"".join(_mixed(megabytes))
    version = DocumentVersion(id=uuid.uuid4(), size=len(body), received_size=len(body))
    version.sha256 = hashlib.sha256(body).hexdigest()
    where = {"Bucket": stack["s3"]["quarantine"], "Key": version.incoming_key}
    client = s3.client(stack)
    put = client.put_object(**where, Body=body)
    version.s3_version_id, version.etag = put["VersionId"], put["ETag"]
    try:
        with tempfile.NamedTemporaryFile(prefix="strongroom-bench-") as copy:
            copy.write(body)
            copy.flush()
            del body
            yield version, Path(copy.name)
    finally:
        client.delete_object(**where, VersionId=version.s3_version_id)


def _mixed(megabytes: int) -> Iterator[bytes]:
    """Random bytes (as in pictures), lines of a table, and bytes that are mostly zero, a MiB of each by turns."""
    chance = random.Random(5)  # noqa: S311 (nobody is to guess nothing)
    for number in range(megabytes):
        match number % 3:
            case 0:
                yield chance.randbytes(MIB)
            case 1:
                lines = (f"{n},{chance.random():.6f},investor {n % 97}\n" for n in range(MIB // 20))
                yield "".join(lines).encode()[:MIB].ljust(MIB, b"\n")
            case _:
                yield b"".join(chance.randbytes(64).ljust(1024, b"\0") for _ in range(1024))


def _clamdscan(data: Path) -> Callable[[Path], None]:
    """Find clamdscan: installed, or among the unpacked packages, or fetched to lie beside them."""
    configuration = data / "scanner" / "clamd.conf"
    roots = (CLAMAV / "packages", CLAMAV / "clamdscan" / "packages")
    places = [shutil.which("clamdscan"), *(root / "usr/bin/clamdscan" for root in roots)]
    if not any(place and Path(place).exists() for place in places):
        debs.packages("clamdscan", CLAMAV / "clamdscan")
    program = next((Path(place) for place in places if place and Path(place).exists()), None)
    if program is None:
        raise SystemExit("no clamdscan is installed and its package cannot be had: there is nothing to compare with")
    libraries = ":".join(str(path) for path in program.parents[1].glob("lib/*-linux-*"))

    def run(file: Path) -> None:
        argv: list[str | Path] = [program, f"--config-file={configuration}", "--stream", "--no-summary", file]
        environment = {"PATH": os.defpath, "LD_LIBRARY_PATH": libraries}
        subprocess.run(argv, env=environment, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 (fixed arguments)

    return run


if __name__ == "__main__":
    stack_file = Path(sys.argv[2] if len(sys.argv) > 2 else ".stack/stack.json")
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100, json.loads(stack_file.read_text()))
