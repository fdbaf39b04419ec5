"""The settings as the plan wants them. Pure."""

from __future__ import annotations

from attrs import field, frozen

from ...messages.wishes import Reading
from .fallbacks import FallbackRules
from .hedging import HedgeRules
from .plan import RetryRules

__all__ = ["MAX_CALL_SECONDS", "SupervisorRules"]

MAX_CALL_SECONDS = 6000.0
"""The deadline of a request when neither it nor the router set a timeout."""


@frozen
class SupervisorRules:
    """What the Supervisor goes by."""

    retries: RetryRules = field(factory=RetryRules)
    group_retries: dict[str, RetryRules] = field(factory=dict)
    fallbacks: FallbackRules = field(factory=FallbackRules)
    timeout: float | None = None
    wait_when_exhausted: bool = False
    default_priority: int | None = None
    reading: Reading = field(factory=Reading)
    max_open_requests: int = 100_000
    hedges: HedgeRules = field(factory=HedgeRules)
    caching_groups: dict[str, str] = field(factory=dict)

    def retries_in(self, group: str) -> RetryRules:
        """How requests are retried in this group."""
        return self.group_retries.get(group, self.retries)
