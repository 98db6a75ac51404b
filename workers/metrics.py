"""Prometheus metrics on an internal address: `python -m workers.metrics` (METRICS_BIND).

Counted from the database and the broker at each scrape, so they are true after a restart of any
process and through an emptied broker. Nothing personal is in them.
"""

import signal
import threading
from collections.abc import Iterable, Iterator
from datetime import timedelta

import django
import structlog
from django.conf import settings
from django.db import close_old_connections, connection
from django.db.models import Count
from django.utils import timezone
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

django.setup()

from audit import checkpoint, sequencer, standing  # noqa: E402  (models need Django to be set up)
from pipeline import scrub, stalled  # noqa: E402
from pipeline.models import ENDS, IN_TURN, UNFINISHED, DocumentVersion, Status  # noqa: E402
from workers import broker  # noqa: E402

log = structlog.get_logger(__name__)

WINDOW = timedelta(hours=1)
STAGES = {
    "receive": ("created_at", "received_at"),
    "validate": ("received_at", "validated_at"),
    "scan": ("validated_at", "scanned_at"),
    "finalize": ("scanned_at", "available_at"),
}


class Pipeline(Collector):
    """Everything that an operator watches, one method a family."""

    def collect(self) -> Iterable[Metric]:
        """Yield the families; a dead database is an error of the scrape, not a zero."""
        close_old_connections()
        yield from _waiting()
        yield from _standing()
        yield _verdicts()
        yield _durations()
        yield _queues()
        yield from _audit()
        connection.close()  # each scrape is a thread of its own, and its connection with it


def _waiting() -> Iterator[Metric]:
    """The stuck are not waiting. Counted in the two indexes of who is, so by no more than stands in them."""
    pending = GaugeMetricFamily("strongroom_pending", "Versions in a stage.", labels=["stage"])
    oldest = GaugeMetricFamily("strongroom_oldest_pending_seconds", "Age of the oldest in a stage.", labels=["stage"])
    now, versions = timezone.now(), DocumentVersion.objects
    found = dict(versions.filter(IN_TURN).values_list("status").annotate(n=Count("*")))
    queueing = versions.queueing().count()
    for stage in UNFINISHED:
        since = stalled.oldest(stage)
        pending.add_metric([stage], found.get(stage, 0) + (queueing if stage == Status.RECEIVED else 0))
        oldest.add_metric([stage], (now - since).total_seconds() if since else 0)
    yield from (pending, oldest)
    yield GaugeMetricFamily("strongroom_waiting_for_place", "Versions that wait for their owner's others.", queueing)


def _standing() -> Iterator[Metric]:
    """What stands or is late: each is counted in an index of these rows alone."""
    versions, now = DocumentVersion.objects, timezone.now()
    yield GaugeMetricFamily("strongroom_stuck", "Versions that stand with a reason.", versions.stuck().count())
    yield GaugeMetricFamily("strongroom_late", "Versions over their budget.", versions.over_budget(now).count())
    alarms = GaugeMetricFamily("strongroom_alarms", "Alarms that stand.", labels=["kind"])
    for kind, n in stalled.alarms().items():
        alarms.add_metric([kind], n)
    yield alarms
    unchecked = scrub.since(now=now)
    yield GaugeMetricFamily("strongroom_oldest_unchecked_seconds", "Since the vault was last read whole.", unchecked)


def _verdicts() -> Metric:
    family = GaugeMetricFamily(
        "strongroom_verdicts_last_hour",
        "Versions that ended in the last hour.",
        labels=["status", "reason_code"],
    )
    rows = DocumentVersion.objects.filter(
        status__in=[Status.AVAILABLE, *ENDS], status_at__gte=timezone.now() - WINDOW
    ).values_list("status", "reason_code")
    for status, reason_code, n in rows.annotate(n=Count("pk")):
        family.add_metric([status, reason_code], n)
    return family


def _durations() -> Metric:
    family = GaugeMetricFamily(
        "strongroom_stage_seconds_last_hour",
        "How long stages took for versions that ended in the last hour.",
        labels=["stage", "quantile"],
    )
    for stage, (start, end) in STAGES.items():
        for quantile, seconds in zip(("0.5", "0.95"), _quantiles(start, end), strict=True):
            family.add_metric([stage, quantile], seconds)
    return family


def _quantiles(start: str, end: str) -> tuple[float, float]:
    # Column names are ours, from STAGES.
    sql = f"""
        select coalesce(percentile_cont(0.5) within group (order by s), 0),
               coalesce(percentile_cont(0.95) within group (order by s), 0)
        from (select extract(epoch from {end} - {start}) as s from pipeline_documentversion
              where status = any(%s) and status_at >= %s and {end} is not null) as took
    """  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [[Status.AVAILABLE, *ENDS], timezone.now() - WINDOW])
        half, most = cursor.fetchone()
    return float(half), float(most)


def _queues() -> Metric:
    family = GaugeMetricFamily("strongroom_queue_length", "Messages that wait.", labels=["queue"])
    try:
        for queue, length in broker.lengths().items():
            family.add_metric([queue], length)
    except broker.FAULTS as away:
        log.warning("broker_away", fault=type(away).__name__)  # unknown is not zero: no sample
    return family


def _audit() -> Iterator[Metric]:
    """Before the first checkpoint there is no sample of one: unknown is not zero."""
    yield GaugeMetricFamily("strongroom_audit_backlog", "Audit events not yet in the log.", sequencer.backlog())
    yield GaugeMetricFamily("strongroom_audit_size", "Events in the log.", standing.size())
    refused = bool(standing.publication().refusal)
    yield GaugeMetricFamily("strongroom_audit_checkpoint_refused", "1: nothing is signed; readyz says why.", refused)
    size = GaugeMetricFamily("strongroom_audit_checkpoint_size", "Events that the newest checkpoint covers.")
    age = GaugeMetricFamily("strongroom_audit_checkpoint_age_seconds", "Age of the newest checkpoint.")
    if newest := checkpoint.latest():
        size.add_metric([], newest.size)
        age.add_metric([], (timezone.now() - newest.at).total_seconds())
    yield from (size, age)


def main() -> None:
    """Serve /metrics at METRICS_BIND until SIGTERM or SIGINT."""
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    host, _, port = settings.METRICS_BIND.rpartition(":")
    registry = CollectorRegistry()
    registry.register(Pipeline())
    server, thread = start_http_server(int(port), host, registry)
    log.info("metrics_started", bind=settings.METRICS_BIND)
    stop.wait()
    server.shutdown()
    thread.join()


if __name__ == "__main__":
    main()
