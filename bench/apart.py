"""`python bench/apart.py [--large N] [--small N] [--waiting N]`: whether the crowd of one owner holds up another's one.

Starts two stacks of its own, one after the other: as it comes, and with neither a queue for large files nor places for
owners. On each alice sends a crowd, and bob small files at a steady rate meanwhile; what counts is how long his take
from received to available. Once the crowd are large files, once many small ones that all stand when he comes (validate
is held until then); first there is none, to compare with. Prints the medians and ratios and, last, one line of JSON;
exits with 1 where it measured nothing: a file did not become available, or the large ones were gone before his.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

# Run as a file, it would find bench/audit where it wants audit.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from devstack import holding, launch  # noqa: E402  (not to be found before)
from devstack.client import Client  # noqa: E402

OPEN = {"OPEN_UPLOADS_PER_OWNER": "100000", "BYTES_PER_DAY_PER_OWNER": str(2**40)}
STACKS: Mapping[str, Mapping[str, str]] = {
    "as it comes": {},
    "neither": {"LARGE_FILE_BYTES": str(2**40), "OWNER_PLACES": "1000000"},
}
THREADS, MIB, EVERY_SECONDS, PATIENCE_SECONDS = 6, 1024 * 1024, 0.25, 1800
Took = dict[str, list[float]]


class Person:
    """Somebody who sends text files, from several threads at once."""

    def __init__(self, stack: dict[str, Any], name: str) -> None:
        """Sign in on a stack (what stack.json says)."""
        self._api, self._origin = stack["api"], stack["console"].rstrip("/")
        self._token = Client(self._api, origin=self._origin).sign_in(**stack["accounts"][name])

    def brings(self, body: bytes) -> str:
        """Send a file, but do not say so; return the version's id."""
        client, name = self._client(), str(uuid.uuid4())
        said = {"name": name, "doc_type": "other", "filename": "a.txt", "content_type": "text/plain"}
        ticket = client.begin({**said, "size": len(body)})
        client.send(ticket, "a.txt", body, "text/plain")
        return ticket.id

    def completes(self, version: str) -> None:
        """Say that a file is there."""
        self._client().complete(version)

    def seen(self, version: str) -> dict[str, Any]:
        """What the API says of it."""
        return self._client().show(version)

    def took(self, version: str) -> float:
        """Wait until it is available; the seconds from received to that, by the service's clock."""
        limit = time.monotonic() + PATIENCE_SECONDS
        while (said := self.seen(version))["status"] in {"received", "validated", "clean"}:
            if time.monotonic() > limit:
                raise SystemExit(f"{version} is still {said['status']}")
            time.sleep(EVERY_SECONDS)
        if said["status"] != "available":
            raise SystemExit(f"ended as {said['status']}: {said['reason']}")
        received, available = (datetime.fromisoformat(said[at]) for at in ("received_at", "available_at"))
        return (available - received).total_seconds()

    def _client(self) -> Client:
        return Client(self._api, origin=self._origin, token=self._token)


def body(size: int, seed: int) -> bytes:
    """So many bytes of text, unlike any other."""
    dice, line = Random(seed), 64  # noqa: S311 (nobody is to guess nothing)
    some = "\n".join(f"{dice.randbytes(line // 2).hex()}" for _ in range(min(size, MIB) // line + 1))
    return (f"{time.time_ns()}\n" + some * (size // len(some) + 1))[:size].encode()


def small(person: Person, count: int) -> list[str]:
    """Bring so many small files; nobody knows of them yet."""
    return _each(lambda number: person.brings(body(2000, number)), count)


def paced(person: Person, versions: list[str]) -> list[float]:
    """Complete a file every quarter of a second, whatever becomes of the others; what each took."""
    begun = time.monotonic()
    for number, version in enumerate(versions):
        time.sleep(max(0.0, begun + number * EVERY_SECONDS - time.monotonic()))
        person.completes(version)
    return [person.took(version) for version in versions]


def beside_large(alice: Person, bob: Person, options: argparse.Namespace) -> list[float]:
    """Bob's small ones beside alice's large ones, which are all received at once."""
    large = [alice.brings(body(options.megabytes * MIB, number)) for number in range(options.large)]
    mine = small(bob, options.small)
    for version in large:
        alice.completes(version)
    took = paced(bob, mine)
    if max(alice.took(version) for version in large) < options.small * EVERY_SECONDS:
        raise SystemExit("the large files were gone before bob's: ask for more of them")
    return took


def beside_many(alice: Person, bob: Person, options: argparse.Namespace, data: Path) -> list[float]:
    """Bob's next ones, beside all that alice has sent while nobody could take it up."""

    def sends(number: int) -> str:
        alice.completes(version := alice.brings(body(2000, number)))
        return version

    holding.hold(data, "validate")
    versions, mine = _each(sends, options.waiting), small(bob, options.ones)
    holding.resume(data, "validate")
    alice.took(versions[0])  # now they go on
    return paced(bob, mine)


def measured(options: argparse.Namespace, settings: Mapping[str, str]) -> Took:
    """What bob's files took on a stack of its own, in seconds, by what stood beside them."""
    with tempfile.TemporaryDirectory(prefix="strongroom-apart-", ignore_cleanup_errors=True) as folder:
        data = Path(folder)
        with launch.running(data, settings={**OPEN, **settings}) as stack:
            alice, bob = (Person(stack.details, name) for name in ("alice", "bob"))
            paced(bob, small(bob, 5))  # everything is loaded at the first
            took = {"alone": paced(bob, small(bob, options.small))}
            took["large"] = beside_large(alice, bob, options)
            took["many"] = beside_many(alice, bob, options, data)
    return took


def main(argv: list[str]) -> int:
    """Measure both stacks and print what was found."""
    options = _parser().parse_args(argv)
    told: dict[str, dict[str, float]] = {}
    for name, settings in STACKS.items():
        print(f"--- {name}", flush=True)
        for beside, took in measured(options, settings).items():
            found = {"p50": statistics.median(took), "p95": statistics.quantiles(took, n=20, method="inclusive")[-1]}
            told[f"{name}, {beside}"] = {share: round(seconds, 3) for share, seconds in found.items()}
            print(f"{beside:8} p50 {found['p50']:8.3f} s   p95 {found['p95']:8.3f} s", flush=True)
    ratios = {
        f"{beside}, {share}": {name: round(told[f"{name}, {beside}"][share] / told[f"{name}, alone"][share], 2)
                               for name in STACKS}
        for beside in ("large", "many") for share in ("p50", "p95")
    }  # fmt: skip
    print("--- times as long as alone")
    for beside, ratio in ratios.items():
        print(f"{beside:12} " + "   ".join(f"{name}: {times:g}" for name, times in ratio.items()))
    print(json.dumps({**vars(options), "seconds": told, "ratios": ratios}))
    return 0


def _each(act: Callable[[int], str], count: int) -> list[str]:
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(act, range(count)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench/apart.py", description="Time one owner's files beside another's.")
    parser.add_argument("--large", type=int, default=16, help="alice's large files (default: %(default)s)")
    parser.add_argument("--megabytes", type=int, default=80, help="of each of them (default: %(default)s)")
    parser.add_argument("--small", type=int, default=30, help="bob's files beside them (default: %(default)s)")
    parser.add_argument("--waiting", type=int, default=2000, help="alice's small files (default: %(default)s)")
    parser.add_argument("--ones", type=int, default=8, help="bob's files beside those (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
