"""Goes through what a router records: its numbers, its bytes, and what must not be in them. I9, I10, I11."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import TYPE_CHECKING

from ....actors.journal.codec import encode_event
from ....messages.events import EventsLost
from ..options import KEY, PROMPT
from ..upstream import ANSWER
from .violation import Violation

if TYPE_CHECKING:
    from ....actors.journal.codec import Recorded
    from ....supervisor.face.router import Router
    from ..disk import SimulatedDisk

__all__ = ["SECRETS", "JournalBook", "losses_are_told"]

SECRETS = (PROMPT.encode(), KEY.encode(), ANSWER.encode())
"""What callers ask, what providers answer, and what opens their doors."""

RECENT = 4_000
"""Events that are kept to tell what led to a violation."""

_FINAL = frozenset({"request_succeeded", "request_failed", "request_cancelled"})
_DIGEST_BYTES = 16


class JournalBook:
    """How far each stream has come, and a digest of all that was recorded.

    Attributes:
        events: how many were looked at.
        recent: the latest of them.
    """

    def __init__(self) -> None:
        self.events = 0
        self.recent: deque[Recorded] = deque(maxlen=RECENT)
        self._digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        self._position = 0
        self._versions: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<JournalBook {self.events} events up to {self._position}>"

    @property
    def position(self) -> int:
        """Of the last event."""
        return self._position

    @property
    def digest(self) -> str:
        """Of every byte recorded so far (I9)."""
        return self._digest.hexdigest()

    def begin(self, disk: SimulatedDisk) -> None:
        """Begin where the journal on `disk` ends (I10)."""
        self._position = disk.last_position()
        self._versions = disk.versions()

    def note(self, item: Recorded) -> None:
        """One more was recorded."""
        self.events += 1
        self.recent.append(item)
        self._numbered(item)
        self._written(item)

    def _numbered(self, item: Recorded) -> None:
        """I10."""
        if item.position != self._position + 1:
            raise Violation("I10", f"position {item.position} follows {self._position}", item.at)
        self._position = item.position
        last = self._versions.get(item.stream, 0)
        if item.version != last + 1:
            raise Violation("I10", f"{item.stream}: version {item.version} follows {last}", item.at)
        if item.event.TYPE in _FINAL:
            self._versions.pop(item.stream, None)
        else:
            self._versions[item.stream] = item.version

    def _written(self, item: Recorded) -> None:
        """I9, I11."""
        data = encode_event(item.event)
        self._digest.update(b"%d %s %d %r " % (item.position, item.stream.encode(), item.version, item.at))
        self._digest.update(data)
        for secret in SECRETS:
            if secret in data:
                raise Violation("I11", f"{item.event.TYPE} holds {secret.decode()!r}", item.at)


def losses_are_told(router: Router, disk: SimulatedDisk, now: float) -> None:
    """Whoever reads the journal knows how much of it is missing."""
    lost = router._journal.health().lost
    events = [item.event for item in disk.read("router")]
    told = sum(event.count for event in events if isinstance(event, EventsLost))
    if lost != told:
        raise Violation("books", f"{lost} events were lost, and {told} told of", now)
