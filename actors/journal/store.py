"""The journal that actors write to, and how one is opened.

Recovery of a stream's owner: `snapshot = journal.snapshot(stream)`, restore its state (or start
empty), then apply every event of `journal.read(stream, after=snapshot.position)`; go on with the
version of the last one.

**Gaps.** A journal that cannot keep up, or whose disk fails for long, loses events rather than hold
up requests. The lost ones keep their positions and versions, so what is read back jumps over them:
positions only grow, and versions of a stream grow by one except over a gap. ``EventsLost`` in stream
``router`` tells how many and from where. A state replayed over a gap misses what happened in it,
which is why `on_gap` asks the owners for snapshots: recovery then starts behind the gap and is exact.
"""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import msgspec

from ...messages.errors import ConfigurationError
from ...messages.events import EventsLost, RequestCancelled, RequestFailed, RequestSucceeded
from ...messages.problems import given
from ..runtime.dispatcher import ManualDispatcher
from ..runtime.future import LoopFuture
from .audience import Audience
from .codec import Recorded
from .memory import MemoryStore
from .ports import ForgetfulStore, JournalError, JournalHealth, JournalStore, Snapshot, Trimmed
from .retention import AGE, SIZE, Retention
from .sqlite import SqliteStore
from .trimmer import Trimmer
from .writer import MAX_QUEUED, GroupWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ...messages.events import Event
    from ..runtime.dispatcher import Dispatcher
    from .losses import Gap

__all__ = [
    "CLOSE_SECONDS",
    "Journal",
    "JournalError",
    "JournalHealth",
    "JournalStore",
    "Snapshot",
    "open_journal",
]

TRIM_EVERY = 1_000
"""Events that a journal in memory takes between two looks at their age."""

CLOSE_SECONDS = 10.0
"""How long `close()` waits for the events that are still queued."""

ROUTER_STREAM = "router"

_SQLITE = "sqlite:///"
_ENDINGS = frozenset({RequestSucceeded, RequestFailed, RequestCancelled})
_FORGETTING = ("holdings", "last_before", "trim", "trimmed")
_HEALTHY = JournalHealth(ok=True, reason=None, queued=0, lost=0)


class Journal:
    """Numbers events and hands them to a store.

    Appending is for one thread, the dispatcher's (before it starts: the one that wires the router);
    the rest is for any thread. A memory store is written directly, any other one in groups.

    Attributes:
        on_gap: called with the names of the streams that lost events, in the appending thread and
            maybe from within `append`: it may tell actors to save a snapshot, and append nothing.
    """

    def __init__(
        self,
        store: JournalStore,
        dispatcher: Dispatcher | None = None,
        *,
        max_queued: int = MAX_QUEUED,
        retention: Retention | None = None,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._position = store.last_position()
        self._versions = store.versions()
        self.on_gap: Callable[[frozenset[str]], object] | None = None
        self._audience: Audience | None = None
        self._trimmer = _trimmer(store, retention, dispatcher)
        self._writer: GroupWriter | None = None
        self._take: Callable[[Recorded], object]
        if isinstance(store, MemoryStore):
            self._take = store.take if self._trimmer is None else self._take_and_trim
        else:
            # a manual dispatcher's router starts no thread
            threaded = not isinstance(dispatcher, ManualDispatcher)
            self._writer = GroupWriter(
                store, self._record_gap, threaded=threaded, max_queued=max_queued, trimmer=self._trimmer
            )
            self._take = self._writer.put

    def __repr__(self) -> str:
        return f"<Journal at {self._position} · {self._writer or self._store!r}>"

    @property
    def position(self) -> int:
        """The position of the last event appended."""
        return self._position

    def append(self, stream: str, version: int, at: float, event: Event) -> int:
        """Record an event and give its position. Tentative: `confirm()` tells when it is durable.

        Raises:
            AssertionError: `version` does not follow the stream's last one: its writer is not who
                it thinks it is.
        """
        versions = self._versions
        if versions.get(stream, 0) + 1 != version:
            self._must_follow(stream, version)
        if type(event) in _ENDINGS:
            versions.pop(stream, None)
        else:
            versions[stream] = version
        self._position = position = self._position + 1
        recorded = Recorded(position, stream, version, at, event)
        audience = self._audience
        if audience is not None:  # first: what the writer has to add, of losses, comes after it
            audience.hear(recorded)
        self._take(recorded)
        return position

    def subscribe(self, listener: Callable[[Sequence[Recorded]], object]) -> None:
        """Hand to `listener` all that is recorded from now on: in batches, in order, a little later.

        It is called in the dispatcher's thread; what it raises is logged. See :mod:`.audience`.
        """
        assert self._dispatcher is not None, "a journal without a dispatcher has nobody to tell in its name"
        if self._audience is None:
            self._audience = Audience(self._dispatcher)
        self._audience.join(listener)

    def unsubscribe(self, listener: Callable[[Sequence[Recorded]], object]) -> None:
        """Undo `subscribe`."""
        if self._audience is not None:
            self._audience.leave(listener)

    def tell_listeners(self) -> None:
        """Tell them now what they have not heard yet. In the dispatcher's thread."""
        if self._audience is not None:
            self._audience.tell()

    def _take_and_trim(self, recorded: Recorded) -> None:
        """Into a store in memory, which nobody else would trim."""
        assert isinstance(self._store, MemoryStore)
        self._store.take(recorded)
        if recorded.position % TRIM_EVERY == 0 and self._trimmer is not None:
            while self._trimmer.turn():
                pass

    def on_trim(self, save: Callable[[frozenset[str]], object]) -> None:
        """When events stay only for want of a snapshot, have `save` called in the dispatcher's thread.

        It is given the streams, and may have their owners and the account save snapshots.
        """
        dispatcher = self._dispatcher
        if self._trimmer is not None and dispatcher is not None:
            self._trimmer.on_trim = lambda streams: dispatcher.call_soon(partial(save, streams))

    def trimmed(self) -> Trimmed:
        """What retention has removed so far."""
        trimmed = getattr(self._store, "trimmed", None)
        return Trimmed() if trimmed is None else trimmed()

    def _must_follow(self, stream: str, version: int) -> None:
        last = self.version(stream)
        if version != last + 1:
            msg = f"stream {stream!r} is at version {last}; version {version} does not follow"
            raise AssertionError(msg)

    def version(self, stream: str) -> int:
        """The last version of a stream, 0 for a new one."""
        last = self._versions.get(stream)
        return self._stored_version(stream) if last is None else last

    def _stored_version(self, stream: str) -> int:
        pending = [recorded.version for recorded in self._pending() if recorded.stream == stream]
        return pending[-1] if pending else self._store.last_version(stream)

    def confirm(self) -> LoopFuture[None]:
        """A future that is settled when everything appended so far is durable (it is in memory: at once).

        It fails with a :class:`JournalError` when it cannot be, or not soon: the disk fails, events
        are being lost. The events may still be written later.
        """
        future: LoopFuture[None] = LoopFuture(self._dispatcher)
        if self._writer is None:
            future.set(None)
        else:
            self._writer.confirm(self._position, future)
        return future

    def read(self, stream: str | None = None, after: int = 0, limit: int | None = None) -> Iterator[Recorded]:
        """The events after position `after`, oldest first, also those that are not durable yet.

        Raises:
            ConfigurationError: a negative `after` or `limit`.
            UnreadableEventError, JournalError: while iterating.
        """
        _must_count("after", after)
        if limit is not None:
            _must_count("limit", limit)
        return islice(self._read(stream, after), limit)

    def _read(self, stream: str | None, after: int) -> Iterator[Recorded]:
        # what waits is looked at first: an event that is committed meanwhile is read only there
        pending = self._pending()
        first = pending[0].position if pending else None
        for recorded in self._store.read(stream, after):
            if first is not None and recorded.position >= first:
                break
            yield recorded
        for recorded in pending:
            if recorded.position > after and (stream is None or recorded.stream == stream):
                yield recorded

    def _pending(self) -> list[Recorded]:
        return [] if self._writer is None else self._writer.pending()

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep this in place of the stream's snapshot before.

        Raises:
            TypeError: the state is not JSON-able.
        """
        if self._writer is None:
            self._store.save_snapshot(snapshot)
            return
        # by way of JSON: nothing stays shared, and what waits gives back what a file would
        state = msgspec.json.decode(msgspec.json.encode(snapshot.state))
        self._writer.save(msgspec.structs.replace(snapshot, state=state))

    def snapshot(self, stream: str) -> Snapshot | None:
        """The stream's latest snapshot."""
        waiting = None if self._writer is None else self._writer.pending_snapshot(stream)
        return waiting or self._store.snapshot(stream)

    def health(self) -> JournalHealth:
        """Whether events are being kept."""
        writer = self._writer
        if writer is None:
            return _HEALTHY
        reason = writer.trouble
        if reason is None and writer.losses:
            reason = "events are being lost: the writer does not keep up"
        return JournalHealth(reason is None, reason, writer.queued, writer.losses.total)

    def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """Write what is queued, in `timeout` seconds at most, and let go of the store. Idempotent."""
        writer = self._writer
        if writer is not None:
            if not writer.closed:
                writer.tell_losses()
            if not writer.close(timeout):
                return  # a disk that hangs: closing under the writer would hang with it
        self._store.close()

    def _record_gap(self, gap: Gap, at: float) -> None:
        self.append(ROUTER_STREAM, self.version(ROUTER_STREAM) + 1, at, EventsLost(gap.count, gap.first))
        if self.on_gap is not None and gap.streams:
            self.on_gap(gap.streams)


def _trimmer(
    store: JournalStore, retention: Retention | None, dispatcher: Dispatcher | None
) -> Trimmer | None:
    if not retention:
        return None
    lacking = [name for name in _FORGETTING if not callable(getattr(store, name, None))]
    if lacking:
        setting = AGE if retention.max_age is not None else SIZE
        msg = f"{setting}: {type(store).__name__} cannot forget events; it lacks {', '.join(lacking)}()"
        raise ConfigurationError(msg)
    assert dispatcher is not None, "retention needs a clock"
    return Trimmer(cast("ForgetfulStore", store), retention, dispatcher.clock.now)


def open_journal(
    spec: Any = None, dispatcher: Dispatcher | None = None, retention: Retention | None = None
) -> Journal:
    """The journal that a router's `journal=` asks for.

    Args:
        spec: None or "memory"; "sqlite:///relative.db" or "sqlite:////absolute/path.db"; a
            :class:`JournalStore`, which the journal closes in the end.
        dispatcher: settles confirmations for; a manual one gets a journal without a thread.
        retention: how much of the past is kept; None is all.

    Raises:
        ConfigurationError: anything else, a file that is not a journal or is in use, or a store that
            cannot forget and should.
    """
    if spec is None or spec == "memory":
        return Journal(MemoryStore(), dispatcher, retention=retention)
    if isinstance(spec, str) and spec.startswith(_SQLITE) and len(spec) > len(_SQLITE):
        return Journal(SqliteStore(spec.removeprefix(_SQLITE)), dispatcher, retention=retention)
    if not isinstance(spec, (str, type)) and _is_store(spec):
        return Journal(spec, dispatcher, retention=retention)
    msg = (
        f'journal = {given(spec)}: must be "memory", "sqlite:///turnout.db" (a relative path), '
        '"sqlite:////var/lib/turnout.db" (an absolute one) or a journal store'
    )
    raise ConfigurationError(msg)


def _must_count(name: str, number: Any) -> None:
    if not isinstance(number, int) or number < 0:
        msg = f"{name} = {given(number)}: must be a whole number, 0 or more"
        raise ConfigurationError(msg)


def _is_store(thing: Any) -> bool:
    needed = (name for name in vars(JournalStore) if not name.startswith("_"))
    return all(callable(getattr(thing, name, None)) for name in needed)
