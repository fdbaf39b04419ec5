"""What a strategy is: an index over the eligible candidates of one group.

The roster keeps every strategy's index current: a candidate is added when it becomes eligible,
removed when it no longer is, and updated when its numbers change. So a pick walks a tree or an
index and never scans the group. What depends on the single request (deployments that failed in it,
its tokens against a tpm) is asked of `query.admits`, candidate by candidate, best first.

Pure: no clock, no I/O, no actor. Time comes in with the query.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import define, field
from msgspec import Struct

from ...deployment.pricing import stated_facts

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from ....messages.commands import DeploymentStatus
    from ....messages.outcomes import Demand
    from ....messages.prices import ModelFacts
    from ....messages.requests import Request
    from ....messages.settings import Deployment

__all__ = ["Candidate", "Pick", "Query", "Strategy"]


@define(eq=False)
class Candidate:
    """The group's mirror of one deployment. Written by the roster only.

    Attributes:
        deployment: its configuration.
        status: its last word on itself.
        open: calls under way, those included that the deployment has not heard of yet.
        capacity: further calls it is believed to take.
        tokens_used: tokens in the last 60 s as far as the group knows.
    """

    deployment: Deployment
    status: DeploymentStatus
    open: int = 0
    capacity: int = 0
    tokens_used: int = 0
    id: str = field(init=False)
    mirror: Any = field(default=None, repr=False)
    """Room for what the roster notes of it."""
    facts: ModelFacts = field(repr=False)
    """Prices and context window of its model."""

    def __attrs_post_init__(self) -> None:
        self.id = self.deployment.id

    @facts.default
    def _stated(self) -> ModelFacts:
        return stated_facts(self.deployment)


class Query(Struct, frozen=True):
    """One pick: for whom, when, and who is admitted.

    `admits` is asked at most once for each candidate.
    """

    request: Request
    demand: Demand
    now: float
    admits: Callable[[Candidate], bool]


class Pick(Struct, frozen=True):
    """The answer, with what is needed to explain it (see `messages.outcomes.Decision`)."""

    candidate: Candidate
    score: float | None = None
    draw: float | None = None
    considered: tuple[tuple[str, float], ...] = ()
    by: str | None = None
    """What chose, where it was not the strategy."""


class Strategy(Protocol):
    """Chooses among the eligible candidates of one group."""

    name: str

    def add(self, candidate: Candidate, now: float) -> None:
        """The candidate became eligible."""

    def remove(self, candidate: Candidate) -> None:
        """The candidate is no longer eligible. Unknown candidates are no error."""

    def update(self, candidate: Candidate, now: float) -> None:
        """The numbers of an eligible candidate changed (a status came, a pick was counted)."""

    def started(self, candidate: Candidate, tokens: int, now: float) -> None:
        """A call of `tokens` (reserved) was sent to the candidate; eligible or not afterwards."""

    def pick(self, query: Query, rng: random.Random) -> Pick | None:
        """The best candidate that `query.admits`; None when there is none."""
