"""What breaks outside is named: no way in which S3, the database or the disk fail is taken for a death or a verdict.

How a scanner or a sandbox fails, and that it is `Unavailable`, is in their own tests.
"""

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import botocore.exceptions
import psycopg2.errors
import pytest
from botocore.config import Config
from django.conf import settings as ours
from django.db import IntegrityError, InternalError, OperationalError, ProgrammingError, connection, transaction
from kombu.exceptions import OperationalError as KombuError
from redis.exceptions import ConnectionError as RedisError

from identity.models import User
from pipeline import faults, lifecycle, sandbox, scanner, storage
from pipeline.models import DocumentVersion, Status
from tests import factories
from tests.pipeline import buckets
from tests.pipeline.buckets import Proxy, Way
from workers import broker

# --- S3 ------------------------------------------------------------------------------------------
WAYS: dict[str, Way] = {
    "hangs up": buckets.nothing,
    "resets": buckets.reset,
    "hangs up in the headers": buckets.in_the_headers,
    "hangs up in the body": buckets.in_the_body,
    "resets in the body": buckets.reset_in_the_body,
    "stalls in the body": buckets.stalled_in_the_body,
    "says nothing": buckets.silent,
    "does not say how long": buckets.no_length,
    "speaks no HTTP": buckets.no_http,
    "is slow": buckets.error("503 Slow Down", "SlowDown"),
    "fails": buckets.error("500 Internal Server Error", "InternalError"),
    "fails and hangs up": buckets.error("500 Internal Server Error", "InternalError", cut=20),
    "refuses and hangs up": buckets.error("403 Forbidden", "AccessDenied", cut=20),
    "is a proxy that has no S3": buckets.saying("502 Bad Gateway", "<html>nothing here</html>"),
    "is a proxy that knows no such page": buckets.saying("404 Not Found", "404 page not found"),
    "is another site": buckets.saying("200 OK", "<html><body>hello</body></html>"),
    "is another site without pages": buckets.saying("200 OK", "hello"),
}


def read(version: DocumentVersion) -> str:
    """Read all of it."""
    with storage.spooled(version) as spooled:
        return spooled.sha256


ASKED: dict[str, tuple[Callable[..., DocumentVersion], Callable[[DocumentVersion], Any]]] = {
    "list": (factories.received, storage.oldest),
    "read": (factories.received, read),
    "copy": (factories.validated, storage.admit),
    "look": (factories.validated, storage._admitted),
    "delete": (factories.received, lambda version: storage.purge(version, ["nothing"])),
}


@pytest.fixture
def proxy(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """An S3 that breaks; it is asked once, and waited for only a little."""
    once: Any = {"retries": {"mode": "standard", "total_max_attempts": 1}, "read_timeout": 0.3}
    monkeypatch.setattr(storage, "Config", lambda **said: Config(**{**said, **once}))
    with buckets.before(ours.S3_ENDPOINT_URL) as there:
        settings.S3_ENDPOINT_URL = there.address
        yield there
    storage._client.cache_clear()


def outcome(ask: Callable[[DocumentVersion], Any], version: DocumentVersion) -> Any:
    """What is said, or the fault that it is."""
    try:
        return ask(version)
    except faults.FAULTS as error:
        return faults.of(error)


@pytest.mark.django_db
@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("way", WAYS)
def test_however_s3_breaks_it_has_a_name_or_the_answer_is_right(
    alice: User, proxy: Proxy, asked: str, way: str
) -> None:
    before, ask = ASKED[asked]
    version = before(alice)
    right = outcome(ask, version)
    if asked == "copy":
        version = before(alice, name="Another")  # a copy is made once
    proxy.way = WAYS[way]
    found = outcome(ask, version)
    fault = isinstance(found, faults.Fault) and found.dependency == "storage"
    assert fault or (isinstance(found, str) and way == "does not say how long" if asked == "copy" else found == right)
    assert fault or asked != "read"


@pytest.mark.django_db
def test_an_s3_that_is_not_there_is_away(alice: User, proxy: Proxy, settings: Any) -> None:
    version = factories.received(alice)
    settings.S3_ENDPOINT_URL = "http://127.0.0.1:9"
    assert {outcome(ask, version) for _, ask in ASKED.values()} == {faults.STORAGE}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("way", "fault"),
    [
        (buckets.error("503 Slow Down", "SlowDown"), faults.STORAGE),
        (buckets.error("400 Bad Request", "RequestTimeout"), faults.STORAGE),
        (buckets.error("403 Forbidden", "AccessDenied"), faults.REFUSED),
        (buckets.error("403 Forbidden", "InvalidAccessKeyId"), faults.REFUSED),
        (buckets.error("404 Not Found", "NoSuchBucket"), faults.REFUSED),
        (buckets.error("412 Precondition Failed", "PreconditionFailed"), faults.DIFFERS),
        (buckets.saying("404 Not Found", "404 page not found"), faults.REFUSED),
    ],
    ids=["slow", "timeout", "rights", "key", "bucket", "changed", "not S3's word"],
)
def test_what_s3_refuses_is_told_from_its_absence(alice: User, proxy: Proxy, way: Way, fault: faults.Fault) -> None:
    version = factories.received(alice)
    proxy.way = way
    with pytest.raises(faults.FAULTS):
        lifecycle.validate(version.pk)
    version.refresh_from_db()
    assert (version.status, version.attempts, version.stuck_reason) == (Status.RECEIVED, 0, "")
    assert version.waits_for == fault.words


@pytest.mark.django_db
@pytest.mark.parametrize("code", ["NoSuchKey", "NoSuchVersion"])
def test_bytes_that_s3_itself_says_are_not_there_are_gone_and_no_fault(alice: User, proxy: Proxy, code: str) -> None:
    version = factories.received(alice)
    proxy.way = buckets.error("404 Not Found", code)
    assert lifecycle.validate(version.pk) is None
    version.refresh_from_db()
    assert version.stuck_reason == lifecycle.BYTES_GONE


@pytest.mark.django_db
def test_an_answer_that_is_no_list_does_not_say_that_nothing_came(alice: User, proxy: Proxy) -> None:
    version = factories.begun(alice)
    factories.send(version)
    proxy.way = WAYS["is another site"]
    with pytest.raises(faults.FAULTS):
        lifecycle.expire(version.pk, now=version.expires_at + lifecycle._grace())
    version.refresh_from_db()
    assert version.status == Status.PENDING


@pytest.mark.django_db
def test_a_scan_that_s3_breaks_off_is_no_verdict(alice: User, proxy: Proxy) -> None:
    version = factories.validated(alice)
    proxy.way = buckets.reset_in_the_body
    with pytest.raises(faults.FAULTS):
        lifecycle.scan(version.pk)
    version.refresh_from_db()
    assert (version.status, version.attempts, version.waits_for) == (Status.VALIDATED, 0, faults.STORAGE.words)


def test_a_mistake_of_ours_in_asking_s3_is_no_fault() -> None:
    with pytest.raises(botocore.exceptions.ParamValidationError) as raised:
        storage.client().get_object(Bucket="", Key="")
    assert faults.of(raised.value) is None


# --- the disk ------------------------------------------------------------------------------------
class Full:
    """A file that takes a little, then no more."""

    def __init__(self, file: Any, code: int) -> None:
        self._file, self._code, self._left = file, code, 100

    def write(self, chunk: memoryview) -> int:
        """Take up to a hundred bytes, once."""
        if not self._left:
            raise OSError(self._code, "no room")
        taken, self._left = chunk[: self._left], 0
        return int(self._file.write(taken))

    def __enter__(self) -> "Full":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


@pytest.mark.django_db
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_full_disk_is_a_fault_with_a_name(alice: User, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    version = factories.received(alice)
    real = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **said: Full(real(**said), code))
    with pytest.raises(storage.NoRoom):
        lifecycle.validate(version.pk)
    version.refresh_from_db()
    assert (version.attempts, version.waits_for) == (0, faults.DISK.words)


@pytest.mark.django_db
@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENOENT])  # no folder has room for the temporary one
def test_a_file_that_cannot_be_opened_is_one_too(alice: User, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def fails(**_: Any) -> None:
        raise OSError(code, "cannot be opened")

    version = factories.received(alice)
    monkeypatch.setattr(tempfile, "TemporaryFile", fails)
    with pytest.raises(storage.NoRoom):
        lifecycle.validate(version.pk)
    version.refresh_from_db()
    assert (version.attempts, version.waits_for) == (0, faults.DISK.words)


@pytest.mark.django_db
def test_a_sandbox_without_a_descriptor_left_is_away(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise OSError(errno.EMFILE, "too many open files")

    version = factories.received(alice)
    sandbox.warm()
    with monkeypatch.context() as broken:
        broken.setattr(os, "pipe", fails)
        with pytest.raises(sandbox.Unavailable):
            lifecycle.validate(version.pk)
    version.refresh_from_db()
    assert (version.attempts, version.waits_for) == (0, faults.SANDBOX.words)
    assert lifecycle.validate(version.pk)


# --- the database --------------------------------------------------------------------------------
def raised(act: Callable[[], Any], block: AbstractContextManager[Any]) -> BaseException:
    """What comes out of the database for an act."""
    with pytest.raises((OperationalError, InternalError, ProgrammingError, IntegrityError)) as error, block:
        act()
    connection.close()
    return error.value


def sql(*statements: str) -> Callable[[], None]:
    """Make an act of statements."""

    def act() -> None:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    return act


ENDED = "select pg_terminate_backend(pg_backend_pid())"
POSTGRES = {
    "ended": sql(ENDED),
    "ended before": sql("select 1; select pg_terminate_backend(pg_backend_pid())"),
    "standby": sql("set local transaction_read_only = on", "create table x ()"),
    "too slow": sql("set local statement_timeout = 1", "select pg_sleep(5)"),
    "waits for a lock": sql(
        "set local lock_timeout = 1", "select pg_sleep(0)", "do $$ begin raise lock_not_available; end $$"
    ),
    "deadlock": sql("do $$ begin raise deadlock_detected; end $$"),
    "serialization": sql("do $$ begin raise serialization_failure; end $$"),
    "starting": sql("do $$ begin raise cannot_connect_now; end $$"),
    "going": sql("do $$ begin raise admin_shutdown; end $$"),
    "crashed": sql("do $$ begin raise crash_shutdown; end $$"),
    "full": sql("do $$ begin raise disk_full; end $$"),
    "too many": sql("do $$ begin raise too_many_connections; end $$"),
    "idle for too long": sql("do $$ begin raise idle_in_transaction_session_timeout; end $$"),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("why", POSTGRES)
def test_what_a_restart_or_a_failover_brings_is_a_fault_of_the_database(why: str) -> None:
    error = raised(POSTGRES[why], transaction.atomic())
    assert isinstance(error, faults.FAULTS)
    assert faults.of(error) is faults.DATABASE


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "statement",
    [
        "select nothing",
        "select 1/0 from nowhere",
        "do $$ begin raise 'no' ; end $$",
        "do $$ begin raise index_corrupted; end $$",
    ],
)
def test_a_mistake_in_our_sql_or_a_refusal_of_a_trigger_is_none(statement: str) -> None:
    assert faults.of(raised(sql(statement), transaction.atomic())) is None


@pytest.mark.django_db(transaction=True)
def test_a_server_that_takes_no_one_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "PORT", "9")
    monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
    with pytest.raises(OperationalError) as error:
        connection.ensure_connection()
    assert faults.of(error.value) is faults.DATABASE


def test_every_fault_has_words_that_fit_and_a_name() -> None:
    named = {one for one in vars(faults).values() if isinstance(one, faults.Fault)}
    assert {one.dependency for one in named} == {
        *("storage", "scanner", "sandbox", "disk", "policy", "database", "broker"),
    }
    longest = DocumentVersion._meta.get_field("waits_for").max_length
    assert all(len(one.words) <= (longest or 0) for one in named)
    assert len({one.words for one in named}) == len(named)


# --- the others ----------------------------------------------------------------------------------
def test_old_signatures_are_told_from_a_dead_scanner() -> None:
    assert faults.of(scanner.Stale()) is faults.STALE
    assert faults.of(scanner.Unavailable()) is faults.SCANNER


@pytest.mark.parametrize("error", [KombuError(), RedisError(), ConnectionResetError(), TimeoutError()])
def test_a_dead_broker_is_no_fault_of_a_version_s_step(error: Exception) -> None:
    assert isinstance(error, broker.FAULTS)
    assert faults.of(error) is None


def test_refusals_and_verdicts_are_no_faults() -> None:
    errors = (storage.Gone(), sandbox.Unreadable(), lifecycle.BytesMissing(), MemoryError(), KeyError())
    assert [faults.of(error) for error in errors] == [None] * 5


def test_psycopg_s_read_only_error_is_what_we_take_it_for() -> None:
    assert issubclass(psycopg2.errors.ReadOnlySqlTransaction, psycopg2.InternalError)  # and so not an OperationalError
