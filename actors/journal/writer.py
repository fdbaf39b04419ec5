"""Group commit: one thread takes what has gathered and writes it at once, while requests go on.

The appending thread pays for a deque's append and a look at two flags. Everything slow, the encoding
included, is the writer's. What cannot be written is tried again, with growing pauses; what no longer
fits the queue meanwhile is lost, and counted.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, cast

from .losses import Losses
from .memory import copied
from .ports import JournalError, UnwritableEventError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..runtime.future import LoopFuture
    from .codec import Recorded
    from .losses import Gap
    from .ports import JournalStore, Snapshot, SnapshotBatches
    from .trimmer import Trimmer

__all__ = ["MAX_GROUP", "MAX_QUEUED", "GroupWriter"]

log = logging.getLogger("turnout.journal")

MAX_QUEUED = 50_000
"""Events that may wait for the writer; further ones are lost until half of them are written."""

MAX_GROUP = 16_384
"""Events in one commit. A disk that needs 0.2 s to sync still keeps up with 80,000 events a second."""

BUSY = 2_048
"""With so many events queued the writer waits for no more."""

LINGER_SECONDS = 0.05
"""How long the writer lets a small group grow when nobody waits for it: at most 20 commits a second."""

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 5.0
"""Between tries of a group that fails; the pause doubles."""

TURNS_BY_HAND = 200
"""Turns of a trim that a writer without a thread does after writing, at most."""

EVENTS_PER_TURN = 1_000
"""Events written, beside which a trim has a turn: it removes as many rows, and so keeps pace."""

MAX_SNAPSHOTS = 500
"""Snapshots in one commit, of a store that takes several at once."""

CONFIRM_TRIES = 5
"""Failed tries after which those who wait for a confirmation are told that it failed (after 0.75 s)."""


class GroupWriter:
    """Writes to a store in groups, from its own thread, or without one when `threaded` is False.

    Without a thread a group is written by the thread that appends its last event, or that waits.

    Args:
        store: where to write; only the writer writes there.
        on_gap: called in the appending thread when events were lost and there is room again.
        trimmer: has its turns between groups, and when there is nothing to write.
    """

    def __init__(
        self,
        store: JournalStore,
        on_gap: Callable[[Gap, float], None],
        *,
        threaded: bool = True,
        max_queued: int = MAX_QUEUED,
        trimmer: Trimmer | None = None,
    ) -> None:
        self._store = store
        batches = cast("SnapshotBatches", store)
        self._save_snapshots = batches.save_snapshots if hasattr(store, "save_snapshots") else None
        self._on_gap = on_gap
        self._trimmer = trimmer
        self._max_queued = max_queued
        self._queue: deque[Recorded] = deque()
        self._group: list[Recorded] = []
        self._snapshots: dict[str, Snapshot] = {}
        self._waiting: deque[tuple[int, LoopFuture[None]]] = deque()
        self._taking = threading.Lock()
        self._wake = threading.Event()
        self._idle = False
        self._careful = False
        self._overflowing = False
        self._closing = False
        self._failures = 0
        self._committed = self._taken = store.last_position()
        self.trouble: str | None = None
        self.losses = Losses()
        self._thread: threading.Thread | None = None
        if threaded:
            self._thread = threading.Thread(target=self._main, name="turnout-journal", daemon=True)
            self._thread.start()

    def __repr__(self) -> str:
        return f"<GroupWriter {self.queued} queued · {self.losses.total} lost · {self.trouble or 'ok'}>"

    @property
    def queued(self) -> int:
        """Events handed over and not yet durable."""
        return len(self._queue) + len(self._group)

    # -- the appending thread's side

    def put(self, recorded: Recorded) -> None:
        """Take an event; never waits, never raises."""
        queue = self._queue
        if self._careful or len(queue) >= self._max_queued:
            self._put_if_room(recorded)
            return
        queue.append(recorded)
        if self._idle:
            self._idle = False
            self._wake.set()
        elif self._thread is None and len(queue) % MAX_GROUP == 0:
            self._write_all()

    def _put_if_room(self, recorded: Recorded) -> None:
        """Near the bound, and after a loss: a loss ends when half of the queue is free again."""
        room = self._max_queued // 2 if self._overflowing else self._max_queued
        if self._closing or len(self._queue) >= room:
            self._lose(recorded)
            return
        self._careful = self._overflowing = False
        self._queue.append(recorded)
        self.tell_losses()

    def _lose(self, recorded: Recorded) -> None:
        if not self.losses:
            log.error("the journal loses events: %s", self.trouble or "its writer does not keep up")
        self.losses.add(recorded)
        self._careful = self._overflowing = True

    def tell_losses(self) -> None:
        """Have what was lost recorded, if anything was."""
        if self.losses:
            gap, at = self.losses.settle(), self.losses.last_at
            log.error("the journal lost %d events, the first at position %d", gap.count, gap.first)
            self._on_gap(gap, at)

    def save(self, snapshot: Snapshot) -> None:
        """Take a snapshot, to be written after the events before it. The latest of a stream counts."""
        with self._taking:
            self._snapshots[snapshot.stream] = snapshot
        self._hurry()

    def confirm(self, position: int, future: LoopFuture[None]) -> None:
        """Settle `future` when everything up to `position` is durable; fail it when that cannot be."""
        if self.losses:
            future.fail(JournalError("not recorded: the journal is losing events"))
            return
        if position <= self._committed:
            future.set(None)
            return
        self._waiting.append((position, future))
        self._hurry()

    def _hurry(self) -> None:
        if self._thread is None:
            self._write_all()
        self._wake.set()

    # -- any thread's side

    @property
    def closed(self) -> bool:
        """Whether nothing more is taken."""
        return self._closing

    def pending(self) -> list[Recorded]:
        """The events not yet known to be in the store, oldest first."""
        with self._taking:
            return [*self._group, *copied(self._queue)]

    def pending_snapshot(self, stream: str) -> Snapshot | None:
        """The stream's snapshot, if one is waiting to be written."""
        with self._taking:
            return self._snapshots.get(stream)

    def close(self, timeout: float) -> bool:
        """Write what is there and stop, in `timeout` seconds; False when the store still holds the thread."""
        again = self._closing
        self._closing = self._careful = True
        self._hurry()
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
        left = self.pending()
        if left and not again:
            log.error("the journal was closed with %d events unwritten: %s", len(left), self.trouble)
            for recorded in left:
                self.losses.add(recorded)
        self._fail_waiting("the journal was closed before this was durable")
        return thread is None or not thread.is_alive()

    # -- the writer's side

    def _main(self) -> None:
        while self._gather():
            written = self._write_group()
            if not self._failures:
                self._keep_pace(written)
            elif not self._pause():
                return

    def _trim(self) -> bool:
        """Let the trimmer have a turn; whether it wants another."""
        return self._trimmer is not None and self._trimmer.turn()

    def _keep_pace(self, written: int) -> None:
        """Trim about as much as was written, but for those who wait for a commit."""
        for _ in range(1 + written // EVENTS_PER_TURN):
            if self._closing or not self._trim() or self._waiting:
                return

    def _trim_by_hand(self) -> None:
        for _ in range(TURNS_BY_HAND):
            if not self._trim():
                return

    def _gather(self) -> bool:
        """Wait until there is something to write; False when there is not and never will be."""
        wake = self._wake
        wake.clear()
        self._idle = True
        while not self._has_work():
            if self._closing:
                return False
            if not self._trim():
                wake.wait(None if self._trimmer is None else self._trimmer.seconds())
            wake.clear()
            self._idle = True
        self._idle = False
        if not (self._waiting or self._closing or self._group or len(self._queue) >= BUSY):
            wake.wait(LINGER_SECONDS)
        return True

    def _has_work(self) -> bool:
        return bool(self._queue or self._group or self._waiting or self._snapshots)

    def _pause(self) -> bool:
        """Wait before the next try; False when it is time to give up."""
        if self._closing and self._failures >= CONFIRM_TRIES:
            return False
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures - 1, 16), LONGEST_PAUSE_SECONDS)
        self._wake.clear()
        if not self._closing or self._failures > 1:
            self._wake.wait(pause)
        return True

    def _write_all(self) -> None:
        """Write group after group in this thread, until a group fails."""
        while self._has_work():
            self._write_group()
            if self._failures and (self._failures >= CONFIRM_TRIES or not self._closing):
                self._fail_waiting(f"not durable: {self.trouble}")
                return
        if not self._closing:
            self._trim_by_hand()

    def _write_group(self) -> int:
        """Write the next group, or the one that failed; then the snapshots; then tell who waits.

        Gives how many events it had.
        """
        self._take_group()
        size = len(self._group)
        try:
            if self._group:
                self._store.append(self._group)
                with self._taking:
                    self._group = []
            self._committed = self._taken
            self._write_snapshots()
        except UnwritableEventError as error:
            self._give_up(error)
        except Exception as error:  # noqa: BLE001  (a store of the user's may raise anything)
            self._failed(error)
        else:
            self._succeeded()
        return size

    def _take_group(self) -> None:
        if self._group:
            return
        queue = self._queue
        with self._taking:
            self._group = [queue.popleft() for _ in range(min(len(queue), MAX_GROUP))]
        if self._group:
            self._taken = self._group[-1].position

    def _write_snapshots(self) -> None:
        """Those whose events are all written; the others wait for the next group."""
        waiting = tuple(self._snapshots.values())
        ready = [s for s in waiting if s.position <= self._committed or not self._queue]
        at_once = 1 if self._save_snapshots is None else MAX_SNAPSHOTS
        for start in range(0, len(ready), at_once):
            saved = ready[start : start + at_once]
            if self._save_snapshots is None:
                self._store.save_snapshot(saved[0])
            else:
                self._save_snapshots(saved)
            with self._taking:
                for snapshot in saved:
                    if self._snapshots.get(snapshot.stream) is snapshot:
                        del self._snapshots[snapshot.stream]

    def _succeeded(self) -> None:
        if self._failures:
            log.warning("the journal is written again, after %d failed tries", self._failures)
            self._failures = 0
            self.trouble = None
        waiting = self._waiting
        while waiting and waiting[0][0] <= self._committed:
            _settle(waiting.popleft()[1], None)

    def _failed(self, error: Exception) -> None:
        self.trouble = str(error) or type(error).__name__
        self._failures += 1
        if self._failures == 1:
            log.error("the journal is not durable now: %s", self.trouble)
        if self._failures == CONFIRM_TRIES:
            self._fail_waiting(f"not durable: {self.trouble}")

    def _give_up(self, error: UnwritableEventError) -> None:
        """Leave out the one event that keeps the others from being written."""
        log.error("an event is left out of the journal: %s", error)
        with self._taking:
            for recorded in self._group:
                if recorded.position == error.position:
                    self.losses.add(recorded)
            self._group = [r for r in self._group if r.position != error.position]
        self._careful = True
        self._fail_waiting("not recorded: an event before this could not be written")

    def _fail_waiting(self, why: str) -> None:
        waiting = self._waiting
        while waiting:
            _settle(waiting.popleft()[1], JournalError(why))


def _settle(future: LoopFuture[None], error: JournalError | None) -> None:
    """Settle it, and outlive whoever waits: an event loop may be closed meanwhile."""
    try:
        if error is None:
            future.set(None)
        else:
            future.fail(error)
    except Exception:
        log.exception("a confirmation could not be delivered")
