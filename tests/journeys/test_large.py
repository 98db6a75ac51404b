"""A file near the limit passes in constant memory."""

import hashlib
import io
import threading
from collections.abc import Callable

import psutil
import pytest
import requests

from devstack.client import Client
from devstack.launch import Running
from tests.journeys.test_documents import ended

MIB = 1024 * 1024
SIZE = 900 * MIB


class Letters(io.RawIOBase):
    """900 MiB of text that is never held in memory as a whole."""

    def __init__(self, head: bytes, tail: bytes) -> None:
        super().__init__()
        self.parts = [head, tail]
        self.size = len(head) + SIZE + len(tail)
        self.at = 0
        self.block = (b"an ordinary line of text, again and again\n" * 25_000)[:MIB]
        self.head, self.tail = head, tail

    def __len__(self) -> int:
        return self.size - self.at

    def read(self, size: int = -1) -> bytes:
        """At most one block."""
        out = self._at(self.at)
        out = out if size < 0 else out[:size]
        self.at += len(out)
        return out

    def _at(self, at: int) -> bytes:
        if at < len(self.head):
            return self.head[at:]
        at -= len(self.head)
        if at < SIZE:
            return self.block[at % MIB :]
        return self.tail[at - SIZE :]


def memory(pid: int) -> int:
    """Resident bytes of a worker and its children: the largest of them."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return max(process.memory_info().rss for process in family)


@pytest.mark.all_only("sends a 900 MB file")
@pytest.mark.timeout(900)
def test_a_900_mb_file_passes_within_100_mb_of_a_workers_idle_memory(
    as_: Callable[[str], Client], stack: Running
) -> None:
    alice = as_("alice")
    names = ("validate", "scan", "apart", "finalize")
    idle = {name: memory(stack.details["pids"][name]) for name in names}
    peak = dict(idle)
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.1):
            for name in names:
                peak[name] = max(peak[name], memory(stack.details["pids"][name]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        id_, digest = send(alice)
        alice.complete(id_)
        said = ended(alice, id_, seconds=600)
    finally:
        stop.set()
        watcher.join()
    assert said["status"] == "available", said
    assert said["sha256"] == digest
    for name in names:
        assert peak[name] - idle[name] < 100 * 1000 * 1000, (name, idle[name], peak[name])


def send(client: Client) -> tuple[str, str]:
    """POST the file as multipart, streamed; return the version's id and the file's SHA-256."""
    digest = hashlib.sha256()
    letters = Letters(b"", b"")
    while chunk := letters.read():
        digest.update(chunk)
    ticket = client.begin(
        {"name": "Large", "doc_type": "other", "filename": "large.txt", "content_type": "text/plain", "size": SIZE}
    )
    boundary = "strongroom-large"
    fields = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in ticket.fields.items()
    )
    head = (
        f'{fields}--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="large.txt"\r\n'
        "Content-Type: text/plain\r\n\r\n"
    )
    answer = requests.post(
        ticket.url,
        data=Letters(head.encode(), f"\r\n--{boundary}--\r\n".encode()),
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
        timeout=600,
    )
    answer.raise_for_status()
    return ticket.id, digest.hexdigest()
