"""Two hundred uploads of one name by twenty clients, through real workers."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from devstack.client import Client
from tests import factories
from tests.journeys.test_documents import upload

CLIENTS, EACH = 20, 10


@pytest.mark.all_only("sends 200 documents")
@pytest.mark.timeout(600)
def test_two_hundred_uploads_of_one_name_are_versions_1_to_200_in_the_order_of_receipt(
    as_: Callable[[str], Client],
) -> None:
    def client(number: int) -> dict[str, bytes]:
        alice = as_("alice")
        bodies = [factories.PDF + f"% client {number}, upload {i}\n".encode() for i in range(EACH)]
        return {upload(alice, body, "Many", "many.pdf", "application/pdf"): body for body in bodies}

    with ThreadPoolExecutor(CLIENTS) as pool:
        sent = {id_: body for bodies in pool.map(client, range(CLIENTS)) for id_, body in bodies.items()}

    alice = as_("alice")
    one = next(iter(sent))
    limit = time.monotonic() + 300
    while (history := alice.history(one))["total_versions"] < CLIENTS * EACH:
        assert time.monotonic() < limit, f"only {history['total_versions']} after 300 s"
        time.sleep(1)

    versions = sorted(history["versions"], key=lambda v: v["version"])
    assert [v["version"] for v in versions] == list(range(1, CLIENTS * EACH + 1))
    assert [v["received_at"] for v in versions] == sorted(v["received_at"] for v in versions)
    assert {v["id"] for v in versions} == set(sent)
    for version in versions:
        assert version["sha256"] == factories.sha256(sent[version["id"]])
        assert alice.fetch(version["id"]) == sent[version["id"]]
