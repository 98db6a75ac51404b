"""Workers stay as large as they were, whatever passes through them, and leave no file behind."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import psutil
import pytest

from devstack.client import Client
from devstack.launch import Running
from tests import factories
from tests.inspection import makers, ordinary

WORKERS = ("validate", "scan", "apart", "finalize", "default")
COUNT, WARM, AT_ONCE = 2000, 100, 6
MIB = 1024 * 1024


def papers() -> list[tuple[str, bytes]]:
    """Good, damaged, infected and hostile ones, to be sent over and over."""
    good = [
        ("docx", ordinary.docx(Random(1))),
        ("pptx", ordinary.pptx(Random(2))),
        ("odt", ordinary.odt(Random(3))),
        ("pdf", ordinary.form(Random(4))),
        ("pdf", makers.pdf_with(b"attached words")),
        ("png", ordinary.png(Random(5))),
        ("jpg", ordinary.jpeg(Random(6))),
        ("tif", ordinary.tiff(Random(7))),
        ("txt", ordinary.letter(Random(8))),
    ]
    hostile = list(makers.hostile().values())[:4]
    return [*good, ("pdf", factories.PDF[:100]), ("txt", factories.EICAR), *hostile]


def sizes(stack: Running) -> dict[int, int]:
    """Resident bytes of each process of the workers, their zygotes included."""
    found = {}
    for name in WORKERS:
        worker = psutil.Process(stack.details["pids"][name])
        for process in (worker, *worker.children(recursive=True)):
            found[process.pid] = process.memory_info().rss
    return found


def spooled(stack: Running) -> set[Path]:
    """What lies in the folder for temporary files, where workers hold what they look at."""
    return set((Path(stack.details["data"]) / "tmp").iterdir())


@pytest.mark.all_only("sends 2,000 documents")
@pytest.mark.timeout(1500)
def test_workers_are_as_large_after_2000_documents_as_before_and_leave_no_file(
    as_: Callable[[str], Client], stack: Running
) -> None:
    clients, bodies = [as_("alice") for _ in range(AT_ONCE)], papers()

    def send(n: int) -> str:
        client = clients[n % AT_ONCE]
        extension, body = bodies[n % len(bodies)]
        said: dict[str, Any] = {"name": f"memory {n}", "doc_type": "other", "filename": f"a.{extension}"}
        ticket = client.begin({**said, "content_type": "application/octet-stream", "size": len(body)})
        client.send(ticket, f"a.{extension}", body, "application/octet-stream")
        client.complete(ticket.id)
        return ticket.id

    def through(numbers: range) -> None:
        """Send them and wait for the last: one lane a client, since a session is for one thread."""
        lanes = [[n for n in numbers if n % AT_ONCE == lane] for lane in range(AT_ONCE)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            ids = [id_ for lane in pool.map(lambda lane: [send(n) for n in lane], lanes) for id_ in lane]
        until = time.monotonic() + 600
        for id_ in ids:
            while clients[0].show(id_)["status"] in {"received", "validated", "clean"}:
                assert time.monotonic() < until, id_
                time.sleep(0.2)

    through(range(WARM))
    before, files = sizes(stack), spooled(stack)
    through(range(WARM, WARM + COUNT))
    after = sizes(stack)
    grown = {pid: (after[pid] - size) // MIB for pid, size in before.items() if pid in after}
    assert len(grown) >= len(WORKERS) * 2
    assert all(abs(mib) <= 50 for mib in grown.values()), grown
    assert spooled(stack) == files
