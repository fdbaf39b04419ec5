"""`router.explain()`: how the answer to a request, or its error, came about."""

from __future__ import annotations

from itertools import chain, takewhile
from typing import TYPE_CHECKING, Protocol

from ...messages.errors import NotFoundError
from ..stories.explanation import deployments_of, explained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...actors.journal.codec import Recorded
    from ...actors.journal.store import Journal
    from ..stories.explanation import Explanation

__all__ = ["MAX_CALL_EVENTS", "Explaining", "Readable", "explanation_from"]

MAX_CALL_EVENTS = 20_000
"""Events of one deployment that are searched for what belongs to a request; it had more under way."""


class Readable(Protocol):
    """A journal, or a file that holds one."""

    def read(self, stream: str | None = None, after: int = 0, limit: int | None = None) -> Iterator[Recorded]:
        """The events of a stream, in order."""
        ...


def explanation_from(journal: Readable, request_id: str) -> Explanation:
    """What the journal knows of a request.

    Raises:
        NotFoundError: nothing.
    """
    own = list(journal.read(f"request/{request_id}"))
    if not own:
        msg = f"the journal knows no request {request_id!r}"
        raise NotFoundError(msg)
    first, last = own[0].position, own[-1].position
    calls = chain.from_iterable(
        takewhile(
            lambda item: item.position < last,
            journal.read(f"deployment/{name}", first, MAX_CALL_EVENTS),
        )
        for name in deployments_of(own)
    )
    return explained(own, calls)


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
