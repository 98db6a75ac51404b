"""`bin/demo`: the whole stack up, real documents through it, and a look at what became of each.

Here is only the story: the stack is `launch`'s, the conversation `courier`'s, the screen `board`'s.
"""

import argparse
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import requests

from devstack.board import Board
from devstack.client import Client, Json, Refused
from devstack.courier import Courier, Passage
from devstack.launch import Running, StackFailed, running
from devstack.samples import Conduct, Sample, from_file, samples

# Short, so that the upload that never comes expires while one looks.
LIMITS = {"UPLOAD_WINDOW_SECONDS": "5", "EXPIRE_GRACE_SECONDS": "2"}
SENDING_AT_ONCE = 4
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def main(argv: Sequence[str]) -> int:
    """Run the demo with these arguments; returns the exit code.

    0: every document ended as expected; 1: one did not, or the stack did not start; 130: Ctrl-C.
    """
    wishes = _parsed(argv)
    board = Board(errors=wishes.json)
    data = Path(tempfile.mkdtemp(prefix="strongroom-demo-"))
    try:
        passages, engine = _demonstrate(wishes, board, data)
    except (KeyboardInterrupt, SystemExit) as stopped:  # Ctrl-C, and SIGTERM as `running` has it
        shutil.rmtree(data, ignore_errors=True)
        if isinstance(stopped, SystemExit):
            raise
        return INTERRUPTED
    except (StackFailed, Refused, requests.RequestException) as failure:
        board.say(f"{failure}\nLogs and data are kept in {data}")
        return 1
    if wishes.json:
        print(json.dumps(report(passages, engine)), flush=True)  # all else went to standard error
    if not all(passage.as_expected() for passage in passages):
        board.say(f"Logs and data are kept in {data}")
        return 1
    shutil.rmtree(data, ignore_errors=True)
    return 0


def report(passages: Sequence[Passage], engine: str) -> Json:
    """What `--json` prints."""
    return {"documents": [passage.as_json() for passage in passages], "engine": engine}


def _demonstrate(wishes: argparse.Namespace, board: Board, data: Path) -> tuple[list[Passage], str]:
    """Start, send, show, and stay until Ctrl-C unless told to exit."""
    chosen: list[Sample] = wishes.files or samples()
    with _stack(board, data) as stack:
        board.warn(stack.details)
        passages = _delivered(chosen, stack, board)
        board.tally(passages)
        board.warn(stack.details)  # again: the first one has scrolled away
        if not wishes.exit:
            board.addresses(stack.details, data / "logs")
            board.invite(stack.details["accounts"]["admin"], stack.path)
            _stay(stack)
        engine = str(stack.details["engine"])
    board.say("Everything is stopped.")
    return passages, engine


@contextmanager
def _stack(board: Board, data: Path) -> Iterator[Running]:
    board.spin("starting")
    try:
        with running(data, settings=LIMITS, progress=board.progress) as stack:
            board.rest()
            try:
                yield stack
            finally:
                board.spin("stopping")
    finally:
        board.rest()


def _delivered(chosen: Sequence[Sample], stack: Running, board: Board) -> list[Passage]:
    """Carry every sample to its end, several at once, each in a thread of its own."""
    passages = [Passage(sample) for sample in chosen]
    stop = threading.Event()
    threads = _threads(passages, stack.details, board, stop)
    try:
        with board.watching(passages):
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                stack.poll()
                time.sleep(0.05)
    finally:
        stop.set()
    return passages


def _threads(passages: Sequence[Passage], details: Json, board: Board, stop: threading.Event) -> list[threading.Thread]:
    """A thread for each passage; daemons, so that none of them can hold up a Ctrl-C."""
    address = urlsplit(details["console"])
    origin = f"{address.scheme}://{address.netloc}"
    tokens = {name: _token(name, details, origin) for name in {p.sample.owner for p in passages}}
    turns = threading.Semaphore(SENDING_AT_ONCE)
    # What must run out begins first: everything else is done before it.
    order = sorted(passages, key=lambda passage: passage.sample.conduct is not Conduct.NEVER_SENDS)
    return [
        threading.Thread(
            target=Courier(
                Client(details["api"], origin=origin, token=tokens[passage.sample.owner]),
                turns,
                stop,
                board.tell,
            ).carry,
            args=(passage, _before(passage, passages)),
            daemon=True,
        )
        for passage in order
    ]


def _token(name: str, details: Json, origin: str) -> str:
    account = details["accounts"][name]
    client = Client(details["api"], origin=origin)
    return client.sign_in(**account)


def _before(passage: Passage, passages: Sequence[Passage]) -> Passage | None:
    """The earlier version that must be received before this one is sent."""
    if not passage.sample.follows:
        return None
    earlier = passages[: passages.index(passage)]
    return next(p for p in reversed(earlier) if p.sample.name == passage.sample.name)


def _stay(stack: Running) -> None:
    """Watch the stack until Ctrl-C. Raises StackFailed if it ends by itself."""
    while True:
        stack.poll()
        time.sleep(0.5)


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bin/demo",
        description="Start everything, send documents through it, and show what became of each.",
        epilog="Without FILEs it sends samples: honest papers, a virus, a program in disguise.",
    )
    parser.add_argument("--exit", action="store_true", help="stop everything when all have ended")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON, last")
    parser.add_argument("files", nargs="*", metavar="FILE", type=_file, help="send these instead")
    return parser.parse_args(argv)


def _file(name: str) -> Sample:
    try:
        return from_file(Path(name))
    except OSError as fault:
        raise argparse.ArgumentTypeError(f"{name}: {fault.strerror}") from None
