"""Does one thing to the database and to the simple model, and compares them: what `test_model` is made of.

A mishap may break the real act off. Then the database may be as the model was after any of its small moves, and the
model goes on from there; but a named fault of storage or scanner, and a death over the document's bytes, leave one
state only.
"""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone

from audit.trail import Ref
from identity.models import User
from pipeline import breaker, faults, lifecycle, places
from pipeline.models import DocumentVersion, Status
from tests.pipeline.mishaps import Crash, Fuse, Mishap
from tests.pipeline.simple import APART, UNDER_WAY, WORK, Life, Simple, View
from tests.pipeline.world import GOOD, Bucket, Queues, kind
from workers import reconcile, tasks

ADA = Ref("user", "ada")
REFUSALS = (lifecycle.BytesMissing, lifecycle.NothingToRequeue)
NEEDS = {"validate": {"storage"}, "scan": {"scanner", "storage"}, "finalize": {"storage"}}
Act = tuple[str, UUID]


class Both:
    """The real thing and its model."""

    def __init__(self, owners: list[User], fuse: Fuse, places: int) -> None:
        self.owners, self.fuse = owners, fuse
        self.bucket, self.queues, self.model = Bucket(fuse.touch), Queues(), Simple(places)
        self.sent: dict[UUID, str] = {}
        self.pinned: dict[UUID, tuple[str, bytes]] = {}
        self.forget()

    def forget(self) -> None:
        """A new process knows nothing of what the one before knew."""
        breaker.process.forget()
        lifecycle._owed.clear()

    # --- acts ------------------------------------------------------------------------------------
    def begin(self, owner: int, name: int, what: str) -> UUID:
        """An upload of such bytes begins."""
        version = lifecycle.begin(
            self.owners[owner],
            name=f"n{name}",
            doc_type="statement",
            filename="a.pdf",
            content_type="application/pdf",
            size=len(self.body(what)),
        )
        self.sent[version.pk] = what
        self.model.begin(version.pk, owner, (owner, name))
        return version.pk

    def body(self, what: str) -> bytes:
        """Bytes of that kind, each time others, always as many."""
        return f"{what} {sum(map(len, self.bucket.quarantine.values())):04}".encode()

    def do(self, act: str, id_: UUID, mishap: Mishap | None = None, meanwhile: Act | None = None) -> None:
        """Act on a version: one of `WORK`, or any other that `really` knows."""
        if act in WORK:
            self.compare(
                lambda: getattr(lifecycle, act)(id_), lambda: self.worked(act, id_, meanwhile), mishap, meanwhile
            )
        else:
            self.compare(lambda: self.really(act, id_), lambda: self.modelled(act, id_, meanwhile), mishap, meanwhile)

    def fill(self, owner: int, mishap: Mishap | None = None) -> None:
        """Free places are given."""
        fill = lambda: places.fill(self.owners[owner].pk, now=timezone.now())  # noqa: E731 (two short ones)
        self.compare(fill, lambda: self.model.fill(owner), mishap)

    def sweep(self, mishap: Mishap | None = None) -> None:
        """The reconciler looks at everything."""
        self.compare(reconcile.sweep, self.swept, mishap)

    def deliver(self, which: int, mishap: Mishap | None = None) -> None:
        """A worker is given one of the messages."""
        task, _, version_id = self.queues.messages.pop(which % len(self.queues.messages))
        name, id_ = task.rpartition(".")[2], UUID(version_id)
        if name == "after_end":
            self.do("tidy", id_, mishap)
            return

        def modelled() -> None:
            life = self.model.lives[id_]
            before = life.status
            self.worked(name, id_)
            if before != life.status and life.status not in UNDER_WAY:
                self.model.fill(life.owner)

        self.compare(lambda: getattr(tasks, name)(version_id=version_id), modelled, mishap)

    def really(self, act: str, id_: UUID) -> Any:
        """Do it to the database, or to the bucket."""
        match act:
            case "send":
                return self.send(id_)
            case "lose":
                return self.bucket.quarantine.pop(id_, None)
            case "requeue":
                return lifecycle.requeue(id_, by=ADA)
            case _:
                return getattr(lifecycle, act)(id_)

    def send(self, id_: UUID) -> None:
        """The first bytes are of the kind that was begun, replays are good; S3 takes none after the policy's end."""
        if self.model.clock < self.model.lives[id_].until:
            self.bucket.send(id_, self.body(GOOD if self.bucket.quarantine[id_] else self.sent[id_]))

    # --- the same, to the model ------------------------------------------------------------------
    def modelled(self, act: str, id_: UUID, meanwhile: Act | None = None) -> None:
        """Anything but work; `meanwhile` is what somebody else did in the middle."""
        begun = not self.model.lives[id_].stuck
        if meanwhile and self.fuse.met:
            self.met(*meanwhile)
        match act:
            case "receive" | "expire" if not self.away({"storage"}):
                getattr(self.model, act)(id_, bool(self.bucket.quarantine[id_]), begun)
            case "give_up" | "requeue":
                getattr(self.model, act)(id_)

    def worked(self, work: str, id_: UUID, meanwhile: Act | None = None) -> None:
        """A step."""
        life = self.model.lives[id_]
        if not self.model.count(id_, work):
            return
        before = life.status, life.deaths - 1
        if work == "finalize" and self.model.waits(life):
            self.model.stand(id_, before)
            return
        if meanwhile and self.fuse.met:
            self.met(*meanwhile, claimed=id_, apart=life.deaths > APART)
        if self.away(NEEDS[work]):
            self.model.stand(id_, before)
        else:
            self.model.work(id_, work, kind(self.pinned[id_][1]), before=before, gone=self.gone(work, id_))

    def met(self, act: str, id_: UUID, claimed: UUID | None = None, apart: bool = False) -> None:
        """What somebody else did in the middle; who leaves a claimed version alone, and two deadly ones at once."""
        if id_ == claimed and act == "give_up":
            return
        if act not in WORK:
            self.modelled(act, id_)
        elif id_ == claimed or (apart and self.model.lives[id_].deaths >= APART):
            self.model.pay()
        else:
            self.worked(act, id_)

    def away(self, needs: set[str]) -> bool:
        """Whether something is away, for now or for this once."""
        return bool(needs & (self.fuse.down | {self.fuse.fired}))

    def gone(self, work: str, id_: UUID) -> bool:
        """Whether the pinned bytes are nowhere any more."""
        there = {at for at, _ in self.bucket.quarantine[id_]}
        return self.pinned[id_][0] not in there and not (work == "finalize" and id_ in self.bucket.vault)

    def swept(self) -> None:
        """A sweep. Which of the uploads were due to be looked at, the database tells."""
        forsaken = filter(self.model.forsaken, self.model.lives.values())
        for life in sorted(forsaken, key=lambda life: life.late_at):
            self.model.give_up(life.id)
        for owner in range(len(self.owners)):
            self.model.fill(owner)
        for version in DocumentVersion.objects.exclude(status=Status.PENDING).order_by("status_at"):
            life = self.model.lives[version.pk]
            if life.status != "pending":
                continue
            if version.received_at:
                self.model.receive(life.id, True)
            else:
                self.model.expire(life.id, False)
                self.model.fill(life.owner)

    # --- compared --------------------------------------------------------------------------------
    def compare(
        self,
        act: Callable[[], Any],
        modelled: Callable[[], None],
        mishap: Mishap | None = None,
        meanwhile: Act | None = None,
    ) -> None:
        """Act, under a mishap or with somebody else in the middle; then the database must be as the model says."""
        self.model.steps = []
        self.model.kept("before")
        died = False
        try:
            with self.fuse.around(mishap, meanwhile and (lambda: quietly(lambda: self.really(*meanwhile)))):
                quietly(act)
        except Crash:
            died = True
            self.forget()
        if self.fuse.fired == "sql":
            connection.close()
        self.pin()
        modelled()
        self.model = self.matching(died)
        if not self.fuse.down:
            breaker.process.forget()

    def pin(self) -> None:
        """Remember which bytes came first when they were pinned."""
        for id_, at in DocumentVersion.objects.exclude(s3_version_id="").values_list("pk", "s3_version_id"):
            if id_ not in self.pinned:
                self.pinned[id_] = self.bucket.quarantine[id_][0]
            assert self.pinned[id_][0] == at

    def matching(self, died: bool) -> Simple:
        """The model, or one of its states on the way, that is what the database says."""
        found, actual = self.possible(died), view()
        for one in found:
            if one.view() == actual:
                one.owed = [] if died else one.owed
                return one
        where = f"broken off at {self.fuse.fired}" if self.fuse.fired else "whole"
        raise AssertionError(f"{where}: it is\n{told(actual)}\nand should be\n{told(*map(Simple.view, found))}")

    def possible(self, died: bool) -> list[Simple]:
        """What the database may say now."""
        on_the_way = [kept for _, kept in self.model.steps]
        if died and self.fuse.fired != "sql":
            return [kept for name, kept in self.model.steps if name == "counted"] or on_the_way
        if died:
            return on_the_way
        owed = [owing(kept) if name == "counted" else kept for name, kept in self.model.steps]
        return [self.model, *owed] if self.fuse.fired == "sql" else [self.model]


def owing(counted: Simple) -> Simple:
    """The state in which an attempt was counted that could not be taken back yet."""
    there = counted.copy()
    assert there.at_work
    there.owed.append(there.at_work)
    return there


def quietly(act: Callable[[], Any]) -> None:
    """Named faults and refusals are no news."""
    try:
        act()
    except REFUSALS:
        pass
    except faults.FAULTS as error:
        if not faults.of(error):
            raise


def view() -> View:
    """What the database says."""
    fields = ("pk", "status", "arrival", "number", "entered_at", "stuck_reason", "attempts")
    return {
        id_: (status, arrival, number, entered is not None, stuck != "", attempts)
        for id_, status, arrival, number, entered, stuck, attempts in DocumentVersion.objects.values_list(*fields)
    }


def told(*views: View) -> str:
    """For people."""
    lines: Iterator[str] = (f"  {str(id_)[:4]} {said}" for seen in views for id_, said in [*seen.items(), ("", "")])
    return "\n".join(lines)


__all__ = ["Act", "Both", "Life", "told", "view"]
