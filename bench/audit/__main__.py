"""`python -m bench.audit [--events N]`: everything in one run; see the package."""

import argparse
import json
import logging
import sys
from collections.abc import Iterator

from bench.audit import database
from bench.audit.figures import Figure

TRANSACTIONS, SIZES, ROUNDS, PAGES = 4000, (1000, 5000), 15, 200


def main(events: int) -> int:
    """Measure with a log of so many events; 0 if every limit is kept."""
    told = []
    with database.own():
        logging.disable(logging.INFO)
        for figure in _measured(events):
            print(figure.line(), flush=True)
            told.append(figure)
    kept = all(figure.kept for figure in told)
    print(json.dumps({"events": events, "figures": [figure.told() for figure in told], "pass": kept}))
    return 0 if kept else 1


def _measured(events: int) -> Iterator[Figure]:
    from bench.audit import looking, placing, proving, recording, rows  # models, which need the database

    yield from recording.overhead(TRANSACTIONS)
    yield from placing.beside_copy(SIZES, ROUNDS, of=events)
    yield from rows.fill(events)
    yield from looking.room()
    yield from looking.lists(PAGES)
    yield from recording.latency()
    yield from proving.prove()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.audit")
    parser.add_argument("--events", type=int, default=200_000, help="how long the log shall be (default: %(default)s)")
    sys.exit(main(parser.parse_args().events))
