"""How long from the last byte sent to the document being downloadable: `python -m bench.latency [N] [STACK]`.

Against a running stack (STACK is its stack.json). One document at a time, on an otherwise idle stack.
Prints each stage's median and, last, one line of JSON.
"""

import io
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import pikepdf

from devstack.client import Client
from devstack.courier import STEPS, stage_seconds

EVERY = 0.02


def main(count: int, stack: dict[str, Any]) -> None:
    """Send `count` documents and print what they took, in seconds."""
    client = _signed_in(stack)
    took = [_one(client, n) for n in range(count)]
    medians = {
        step: round(statistics.median(t[step] for t in took), 3) for step in ("total", *STEPS) if step in took[0]
    }
    for step, seconds in medians.items():
        print(f"{step:10} {seconds:.3f} s")
    print(json.dumps({"documents": count, "median_seconds": medians}))


def _signed_in(stack: dict[str, Any]) -> Client:
    origin = stack["console"].rstrip("/")
    account = stack["accounts"]["alice"]
    token = Client(stack["api"], origin=origin).sign_in(**account)
    return Client(stack["api"], origin=origin, token=token)


def _paper(title: str) -> bytes:
    """A PDF of one empty page, unlike any other."""
    made = io.BytesIO()
    with pikepdf.new() as pdf:
        pdf.add_blank_page()
        pdf.docinfo["/Title"] = title
        pdf.save(made)
    return made.getvalue()


def _one(client: Client, n: int) -> dict[str, float]:
    body = _paper(f"{n} {time.time_ns()}")
    said: dict[str, Any] = {"name": f"latency {time.time_ns()}", "doc_type": "other", "filename": "a.pdf"}
    ticket = client.begin({**said, "content_type": "application/pdf", "size": len(body)})
    client.send(ticket, "a.pdf", body, "application/pdf")
    last_byte = time.monotonic()
    client.complete(ticket.id)
    while (said := client.show(ticket.id))["status"] != "available":
        if said["status"] not in {"received", "validated", "clean"}:
            raise SystemExit(f"ended as {said['status']}: {said['reason']}")
        time.sleep(EVERY)
    if client.fetch(ticket.id) != body:
        raise SystemExit("other bytes came back")
    return {"total": time.monotonic() - last_byte, **stage_seconds(said)}


if __name__ == "__main__":
    stack_file = Path(sys.argv[2] if len(sys.argv) > 2 else ".stack/stack.json")
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20, json.loads(stack_file.read_text()))
