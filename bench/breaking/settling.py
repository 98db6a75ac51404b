"""Waits until everything has come to an end: versions, events, and what quarantine held."""

import time
from collections.abc import Callable
from threading import Event

from bench.breaking.evidence import objects, query
from devstack.launch import Running

PATIENCE_SECONDS = 240.0
EVERY_SECONDS = 0.5

_OPEN = """
    select coalesce(string_agg(n || ' ' || what, ', '), '') from (
        select count(*) as n, status as what from pipeline_documentversion
        where status in ('pending', 'received', 'validated', 'clean') and stuck_reason = '' group by status
        union all select count(*), 'events without a place' from audit_outbox
        union all select count(*), 'ended, to be tidied' from pipeline_documentversion
        where status in ('available', 'expired', 'rejected') and tidied_at is null
    ) as counted where n > 0
"""
_MAY_STAY = "select 'incoming/' || id from pipeline_documentversion where status = 'infected' or stuck_reason <> ''"


def settle(stack: Running, stop: Event, tell: Callable[[str], None], patience: float = PATIENCE_SECONDS) -> bool:
    """Wait until nothing is left to do, at most so long; tell what is left meanwhile. Returns whether it is so."""
    began, told = time.monotonic(), 0.0
    while left := under_way(stack):
        now = time.monotonic()
        if now - began > patience or stop.is_set():
            tell(f"not settled after {now - began:.0f} s: {left}")
            return False
        if now - told > 10:
            told = now
            tell(f"settling: {left}")
        stop.wait(EVERY_SECONDS)
    return True


def under_way(stack: Running) -> str:
    """Say what is not at its end; empty when all is."""
    left = str(query(stack, _OPEN)[0][0])
    if left:
        return left
    may_stay = {key for (key,) in query(stack, _MAY_STAY)}
    rest = {stored.key for stored in objects(stack, stack.details["s3"]["quarantine"])} - may_stay
    return f"{len(rest)} keys in quarantine" if rest else ""
