"""What the group believes each deployment has used in the last 60 s. Pure.

The deployment alone knows. Its status carries the exact sum, but only when it has something to say;
tokens leave its window silently as time passes, and a call that was just sent has not reached it
yet. So the group keeps a mirror:

* a call sent counts at once, with the tokens reserved for it, and leaves 60 s later;
* a status is the truth as of then: the mirror becomes `status.tokens_used` plus what was sent and
  not seen by the deployment (`Candidate.open - status.open` calls, the last ones sent);
* the difference is what calls that ended gave back (or took in addition). It is booked on the call
  that ended last if calls end in the order they began. Where they do, within the 60 s, the mirror
  is exact at every moment; where they do not, the sum is still exact at every status, and in
  between what leaves may be off by how much two calls missed their reservations.

The sum is always that of the entries: it never goes below 0, and is 0 after 60 quiet seconds.
"""

from __future__ import annotations

import heapq
from collections import deque
from itertools import chain, count
from typing import TYPE_CHECKING

from attrs import define, field

from ...deployment.limits import GRAIN_SECONDS, WINDOW_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from ....messages.commands import DeploymentStatus
    from .base import Candidate

__all__ = ["EXACT_CALLS", "TokenMirror"]

EXACT_CALLS = 1000
"""Calls per deployment and window that are kept one by one. Beyond them, calls that start within
`GRAIN_SECONDS` share an entry, which bounds a deployment to 7,000 entries."""


@define(eq=False, weakref_slot=False)
class _Entry:
    """Tokens that leave together. `before` is what had been sent ahead of them, ever."""

    at: float
    tokens: int
    before: int
    record: _Record | None


@define(eq=False, weakref_slot=False)
class _Record:
    """One deployment's window, oldest entry first."""

    id: str
    eligible: bool = False
    status: DeploymentStatus | None = None
    used: int = 0
    sent: int = 0
    """Tokens of all calls ever sent: what `_Entry.before` counts in."""
    entries: list[_Entry] = field(factory=list)
    """In a list, for there are few in each of ten thousand records; an empty deque takes 0.7 KB."""

    def unseen(self, calls: int) -> int:
        """Tokens of the last `calls` sent."""
        entries = self.entries
        if calls <= 0 or not entries:
            return 0
        return self.sent - entries[-min(calls, len(entries))].before

    def give_back(self, tokens: int, since: int) -> None:
        """Take `tokens` off entry `since` and, where it has too few, off older and then newer ones."""
        entries = self.entries
        for index in chain(range(since, -1, -1), range(since + 1, len(entries))):
            entry = entries[index]
            taken = min(entry.tokens, tokens)
            entry.tokens -= taken
            tokens -= taken
            if not tokens:
                return


class TokenMirror:
    """Tokens in the last 60 s by deployment; `changed` hears of each new sum."""

    __slots__ = ("_calls", "_changed", "_order", "_records", "_seeds")

    def __init__(self, changed: Callable[[str, int], None]) -> None:
        self._changed = changed
        self._records: dict[str, _Record] = {}
        self._calls: deque[_Entry] = deque()
        """Every entry of every deployment, oldest first: what expires is at its left end."""
        self._seeds: list[tuple[float, int, _Entry]] = []
        """A heap of the entries that came with a status, since those are older than the newest."""
        self._order = count()

    def follow(self, candidate: Candidate, now: float) -> int:
        """The candidate is eligible from now on: what it has used."""
        record = self._record(candidate.id)
        record.eligible = True
        self.update(candidate, now)
        return record.used

    def release(self, deployment_id: str) -> None:
        """It is not eligible any more. Its window is kept until it is empty."""
        record = self._records.get(deployment_id)
        if record is not None:
            record.eligible = False
            self._forget_if_idle(record)

    def started(self, deployment_id: str, tokens: int, now: float) -> None:
        """A call was sent to it."""
        record = self._record(deployment_id)
        entries = record.entries
        if len(entries) >= EXACT_CALLS and now - entries[-1].at < GRAIN_SECONDS:
            entries[-1].tokens += tokens
        else:
            self._append(record, now, tokens)
        record.sent += tokens
        record.used += tokens
        self._changed(deployment_id, record.used)

    def update(self, candidate: Candidate, now: float) -> None:
        """Believe the candidate's status, if it is a new one."""
        status = candidate.status
        record = self._records.get(candidate.id)
        if record is None or record.status is status:
            return
        self.expire(now)
        record = self._record(candidate.id)
        first, record.status = record.status is None, status
        if status.window:
            self._seed(record, status.window, now)
        # The first word is from before this mirror: what was sent since is in the group's own count alone.
        unseen = record.unseen(candidate.open - status.open)
        truth = candidate.tokens_used if first else status.tokens_used + unseen
        self._correct(record, truth - record.used, candidate.open, now)

    def expire(self, now: float) -> None:
        """Let go of what is older than the window."""
        horizon = now - WINDOW_SECONDS
        calls = self._calls
        while calls and calls[0].at <= horizon:
            self._leave(calls.popleft())
        seeds = self._seeds
        while seeds and seeds[0][0] <= horizon:
            self._leave(heapq.heappop(seeds)[2])

    def used(self, deployment_id: str) -> int:
        record = self._records.get(deployment_id)
        return 0 if record is None else record.used

    def __len__(self) -> int:
        """Deployments that are followed, or still have something in their window."""
        return len(self._records)

    def _record(self, deployment_id: str) -> _Record:
        record = self._records.get(deployment_id)
        if record is None:
            record = self._records[deployment_id] = _Record(deployment_id)
        return record

    def _append(self, record: _Record, now: float, tokens: int) -> None:
        entry = _Entry(now, tokens, record.sent, record)
        record.entries.append(entry)
        self._calls.append(entry)

    def _leave(self, entry: _Entry) -> None:
        record = entry.record
        if record is None:
            return
        # With seeds about it may not be this very entry that is its oldest; both are due, though.
        tokens = record.entries.pop(0).tokens
        if tokens:
            record.used -= tokens
            self._changed(record.id, record.used)
        if not record.entries:
            self._forget_if_idle(record)

    def _forget_if_idle(self, record: _Record) -> None:
        if not record.eligible and not record.entries:
            del self._records[record.id]

    def _seed(self, record: _Record, window: tuple[tuple[float, int], ...], now: float) -> None:
        """The deployment was (re)started and says what is in its window: nothing else is."""
        for entry in record.entries:
            entry.record = None
        record.entries.clear()
        record.used = 0
        for at, tokens in window:
            if at > now - WINDOW_SECONDS:
                entry = _Entry(at, tokens, record.sent, record)
                record.entries.append(entry)
                record.used += tokens
                heapq.heappush(self._seeds, (at, next(self._order), entry))
        self._changed(record.id, record.used)

    def _correct(self, record: _Record, difference: int, still_open: int, now: float) -> None:
        if not difference:
            return
        entries = record.entries
        ended_last = max(0, len(entries) - 1 - still_open)
        if difference < 0:
            record.give_back(-difference, ended_last)
        elif entries:
            entries[ended_last].tokens += difference
        else:
            self._append(record, now, difference)
        record.used += difference
        self._changed(record.id, record.used)
