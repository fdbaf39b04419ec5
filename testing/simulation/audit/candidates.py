"""Who of its group could have served a request, as far as its own books know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .tolerances import STALE

if TYPE_CHECKING:
    from .deployment_book import DeploymentBook
    from .request_book import RequestBook

__all__ = ["idle_others", "is_nearer", "may_be_asked", "members", "sent_by_another"]


def members(request: RequestBook) -> list[str]:
    """The group's own and those who stand in for them, those included that may have left it."""
    return [name for name in request.books if request.rules.may_serve(request.group, name)]


def is_nearer(request: RequestBook, fields: dict[str, Any], name: str, rank: int | None, at: float) -> bool:
    """Whether this one is there for sure, and its tags suit better."""
    other = request.rules.suits(fields, name)
    if other is None or request.books[name].doubtful(at):
        return False
    return rank is None or other < rank


def may_be_asked(request: RequestBook, fields: dict[str, Any], name: str) -> bool:
    """Whether a deployment is for such a request, whoever else of its group is there."""
    ranks = [rank for other in members(request) if (rank := request.rules.suits(fields, other)) is not None]
    return request.rules.suits(fields, name) == min(ranks, default=0)


def idle_others(request: RequestBook, at: float) -> list[str]:
    """Those of the group that have not failed, are free, and have been so long enough to be known."""
    if request.fields is None or "max_parallel_requests" in request.fields:
        return []
    return [
        name
        for name, book in request.books.items()
        if book.rules.group == request.group
        and name not in request.failed
        and book.changed_at < at - STALE
        and not sent_by_another(request, book, at)
        and not book.doubtful(at)
        and book.idle_at(at - STALE, request.tokens)
        and book.idle_at(at, request.tokens)
        and may_be_asked(request, request.fields, name)
        and request.money.has_room(request, name, at)
    ]


def sent_by_another(request: RequestBook, book: DeploymentBook, at: float) -> bool:
    """Whether a call of somebody else's is on its way there, or was a moment ago.

    To its group it counts; refused, as for the length of its prompt, it leaves no other trace.
    """
    sent_at, request_id = book.sent
    return sent_at >= at - STALE and request_id != request.request_id
