"""What a request said of itself that decides where it goes, as it is recorded. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...messages.events import Particulars

if TYPE_CHECKING:
    from ...messages.outcomes import Demand
    from ...messages.requests import Request
    from ...messages.wishes import Wishes

__all__ = ["particulars_of"]

_NOTHING = (None, None, None, None)


def particulars_of(request: Request, demand: Demand, wishes: Wishes | None) -> Particulars | None:
    """None when it said nothing, which is how most requests are."""
    strategy = request.routing_strategy
    own = (demand.output_tokens, request.num_retries, request.stream_timeout, strategy)
    if wishes is not None:
        return Particulars(*own, wishes.tags, wishes.session, wishes.region)
    return None if own == _NOTHING else Particulars(*own)
