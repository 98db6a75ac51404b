"""Wait until Celery workers answer: `python -m devstack.pinger NODE...` prints the name of each as it does.

One program asks for all of them, without our application: `celery inspect` would load it, once per question.
"""

import os
import sys

from celery import Celery

_ROUND_SECONDS = 0.5


def main(nodes: set[str]) -> None:
    """Ask all nodes again and again until each has answered once. Who starts this bounds the time."""
    app = Celery(broker=os.environ["BROKER_URL"], set_as_current=False)
    while nodes:
        for answer in app.control.ping(timeout=_ROUND_SECONDS) or ():
            seen = {full.split("@", 1)[0] for full in answer} & nodes
            nodes -= seen
            print(*seen, sep="\n", end="\n" if seen else "", flush=True)


if __name__ == "__main__":
    main(set(sys.argv[1:]))
