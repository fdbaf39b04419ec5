"""What a call costs, compiled once per deployment to plain arithmetic. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...messages.outcomes import Usage
    from ...messages.settings import Deployment

__all__ = ["price_of"]


def _unknown(_usage: Usage) -> None:
    return None


def price_of(deployment: Deployment) -> Callable[[Usage], float | None]:
    """A function from usage to US dollars; it gives None when a price is missing, never 0."""
    per_input, per_output = deployment.input_cost_per_token, deployment.output_cost_per_token
    if per_input is None or per_output is None:
        return _unknown

    def price(usage: Usage) -> float:
        return usage.prompt_tokens * per_input + usage.completion_tokens * per_output

    return price
