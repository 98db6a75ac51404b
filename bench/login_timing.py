"""Whether the time of a refused sign-in tells who has an account: `python -m bench.login_timing [RUNS] [STACK]`.

Against a running stack (STACK is its stack.json). Refused sign-ins under a name that nobody has, with a
wrong password, and into an inactive account, RUNS of each in a shuffled order, over one kept connection
per address. They come from many loopback addresses and go to many accounts, so that no counter refuses
them unseen. Prints the medians and, last, one line of JSON with the ratio of the slowest to the fastest.
Makes its accounts (and leaves them, inactive) through `manage.py identity ensure` and the database.
"""

import json
import os
import random
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("unknown", "wrong", "inactive")
PER_ACCOUNT = 4  # the fifth failure of an account at one address begins a wait
LIMIT = 1.5


def main(runs: int, stack: Path) -> int:
    """Time `runs` refusals of each kind; 0 if the medians lie within 1.5 of each other."""
    told = json.loads(stack.read_text())
    password = secrets.token_urlsafe(20)
    names = _people(told, stack, password, runs)
    took: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for address, kind, name in _order(names, runs):
        took[kind].append(_refused(told["api"], address, name, password if kind == "inactive" else password[::-1]))
    medians = {kind: round(statistics.median(seconds), 4) for kind, seconds in took.items()}
    ratio = round(max(medians.values()) / min(medians.values()), 2)
    for kind, seconds in medians.items():
        print(f"{kind:10} {seconds:.4f} s")
    print(json.dumps({"runs": runs, "median_seconds": medians, "ratio": ratio, "limit": LIMIT}))
    return 0 if ratio <= LIMIT else 1


def _people(told: dict[str, Any], stack: Path, password: str, runs: int) -> dict[str, list[str]]:
    """Names of each kind, as many as the counters ask for; the inactive ones are made so in the database."""
    tag, count = secrets.token_hex(4), -(-runs // PER_ACCOUNT)
    names = {kind: [f"timing-{tag}-{kind}-{n}" for n in range(count)] for kind in KINDS}
    wanted = [
        {"username": name, "role": "investor", "password": password} for name in (*names["wrong"], *names["inactive"])
    ]
    environment = {**os.environ, **json.loads((stack.parent / "environment.json").read_text()), "LOG_LEVEL": "ERROR"}
    command = [sys.executable, str(ROOT / "manage.py"), "identity", "ensure"]
    subprocess.run(command, input=json.dumps(wanted).encode(), env=environment, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    with psycopg2.connect(told["database_url"]) as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE identity_user SET is_active = false WHERE username = ANY(%s)", [names["inactive"]])
    return names


def _order(names: dict[str, list[str]], runs: int) -> Iterator[tuple[str, str, str]]:
    """Where from, what kind, and whom: shuffled, at most 15 from one address (20 in a minute begin a wait)."""
    tries = [(kind, names[kind][n // PER_ACCOUNT]) for kind in KINDS for n in range(runs)]
    random.shuffle(tries)
    for place, (kind, name) in enumerate(tries):
        yield f"127.0.{place // 15 // 250 + 1}.{place // 15 % 250 + 2}", kind, name


def _refused(api: str, address: str, name: str, password: str) -> float:
    """One refusal; the seconds from the request to the answer's end, without the making of the connection."""
    site = urlsplit(api)
    connection = HTTPConnection(site.hostname or "", site.port, timeout=30, source_address=(address, 0))
    connection.connect()
    body = json.dumps({"username": name, "password": password})
    begun = time.perf_counter()
    connection.request("POST", f"{site.path}/auth/login/", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    told = json.loads(answer.read())
    took = time.perf_counter() - begun
    connection.close()
    if (answer.status, told["code"]) != (400, "invalid_credentials"):
        raise SystemExit(f"{name}: {answer.status} {told}")
    return took


if __name__ == "__main__":
    stack_file = Path(sys.argv[2] if len(sys.argv) > 2 else ".stack/stack.json")
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 40, stack_file))
