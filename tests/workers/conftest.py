"""A cloud whose S3 tells a queue of what arrives: moto's S3 and SQS, over real sockets.

What the S3 of our own stack cannot show, since it sends no events. Only for tests that ask for it.
"""

from collections.abc import Iterator

import pytest
import requests
from moto.server import ThreadedMotoServer
from pytest_django import Settings

from pipeline import storage
from tests.workers.arriving import queue
from workers.celery import app


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The address of the cloud."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def cloud(moto: str, settings: Settings) -> None:
    """Both buckets, versioned, and the queue that quarantine tells of new objects; nothing in them."""
    requests.post(f"{moto}/moto-api/reset", timeout=10).raise_for_status()
    settings.S3_ENDPOINT_URL = settings.S3_PUBLIC_ENDPOINT_URL = settings.S3_EVENTS_ENDPOINT_URL = moto
    for bucket in (settings.QUARANTINE_BUCKET, settings.VAULT_BUCKET):
        storage.client().create_bucket(Bucket=bucket)
        storage.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    settings.S3_EVENTS_QUEUE_URL, name = queue("arrivals")
    settings.S3_EVENTS_DEAD_QUEUE_URL = ""
    storage.client().put_bucket_notification_configuration(
        Bucket=settings.QUARANTINE_BUCKET,
        NotificationConfiguration={"QueueConfigurations": [{"QueueArn": name, "Events": ["s3:ObjectCreated:*"]}]},
    )
    app.control.purge()


@pytest.fixture
def dead(cloud: None, settings: Settings) -> str:
    """The address of a queue for what cannot be handled."""
    settings.S3_EVENTS_DEAD_QUEUE_URL = url = queue("dead")[0]
    return url
