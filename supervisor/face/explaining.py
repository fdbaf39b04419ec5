"""`router.explain()`: how the answer to a request, or its error, came about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ...messages.errors import NotFoundError
from ...messages.events import RouterStarted
from ..stories.explanation import calls_of, explained, is_over

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...actors.journal.codec import Recorded
    from ...actors.journal.ports import Trimmed
    from ...actors.journal.store import Journal
    from ..stories.explanation import Explanation

__all__ = ["MAX_CALL_EVENTS", "MAX_DISTANCE", "Explaining", "Readable", "explanation_from"]

MAX_DISTANCE = 1_000
"""Positions between what a deployment records of a call and what the request does, at most."""

MAX_CALL_EVENTS = 2_000
"""Events of a deployment that are searched for the beginning of a call, and for its end: it may have had
every position in that distance before and behind."""


class Readable(Protocol):
    """A journal, or a file that holds one."""

    def read(self, stream: str | None = None, after: int = 0, limit: int | None = None) -> Iterator[Recorded]:
        """The events of a stream, in order."""
        ...

    def trimmed(self) -> Trimmed:
        """What retention removed."""
        ...


def explanation_from(journal: Readable, request_id: str) -> Explanation:
    """What the journal knows of a request, however long it is.

    Raises:
        NotFoundError: nothing.
    """
    own = list(journal.read(f"request/{request_id}"))
    if not own:
        trimmed = journal.trimmed()
        msg = f"the journal knows no request {request_id!r}{f'; {trimmed}' if trimmed.events else ''}"
        raise NotFoundError(msg)
    return explained(own, _calls(journal, own), None if is_over(own) else _restart(journal, own))


def _calls(journal: Readable, own: list[Recorded]) -> list[Recorded]:
    """What the deployments recorded where the request's own events say that calls began and ended.

    A deployment may have had a million other events meanwhile, which are not looked at.
    """
    found: dict[int, Recorded] = {}
    for call in calls_of(own):
        places = (call.begin,) if call.end is None else (call.begin, call.end)
        for place in places:
            after = max(own[0].position, place - MAX_DISTANCE)
            for item in journal.read(f"deployment/{call.deployment_id}", after, MAX_CALL_EVENTS):
                if call.end is not None and item.position > call.end + MAX_DISTANCE:
                    break
                found[item.position] = item
    return [found[position] for position in sorted(found)]


def _restart(journal: Readable, own: list[Recorded]) -> Recorded | None:
    """The router that started after the request's last event: it knows nothing of its request."""
    later = journal.read("router", own[-1].position)
    return next((item for item in later if isinstance(item.event, RouterStarted)), None)


class Explaining:
    """The method of :class:`.router.Router` that tells a request's story."""

    if TYPE_CHECKING:
        _journal: Journal
        _last_request_id: str | None

        def _settle_down(self) -> None: ...

    def explain(self, request_id: str | None = None) -> Explanation:
        """The story of a request: who was considered and who was not, each attempt, wait and fallback.

        Args:
            request_id: from `response.route`, `stream.request_id` or `error.request_id`; None is the
                request that was sent last.

        Raises:
            NotFoundError: no such request in the journal, or none was sent yet.
        """
        self._settle_down()
        wanted = self._last_request_id if request_id is None else request_id
        if wanted is None:
            msg = "there is nothing to explain: no request was sent yet"
            raise NotFoundError(msg)
        return explanation_from(self._journal, wanted)
