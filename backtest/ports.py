"""What a play asks of its providers: the port between the router's calls and a model of who answers them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from ..messages.outcomes import ProviderLimits
    from .record import Arrival

__all__ = ["Asked", "Fault", "Providers", "Reply"]


class Asked(NamedTuple):
    """One call as its provider sees it.

    Attributes:
        number: the request's place among the arrivals; -1 for a health check.
        nth: how often this request was sent to this deployment before.
        open: other calls of the deployment that are under way.
    """

    deployment_id: str
    at: float
    number: int
    arrival: Arrival
    nth: int
    stream: bool
    open: int


class Fault(NamedTuple):
    """With what a call fails: the class of error by name, and what came with it."""

    kind: str
    status: int
    retry_after: float | None = None
    sent: str | None = None


class Reply(NamedTuple):
    """What a call will come to: `seconds` until it ends (inf: never), `ttft` until its first content."""

    seconds: float
    ttft: float | None = None
    prompt_tokens: int = 0
    output_tokens: int = 0
    fault: Fault | None = None
    limits: ProviderLimits | None = None


class Providers(Protocol):
    """Everybody who can be called, in one play. Asked once for each call, when it starts."""

    def reply(self, asked: Asked) -> Reply:
        """What this call will come to."""
        ...
