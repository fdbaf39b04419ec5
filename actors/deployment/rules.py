"""The rules that a deployment admits by. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from ...messages.deployment import MAX_BATCH
from .cooldown import CooldownPolicy

if TYPE_CHECKING:
    from ...messages.budgets import BudgetRule
    from ...messages.outcomes import LeftOut

__all__ = ["Limits"]


@frozen
class Limits:
    """The rules a deployment admits by; None is no limit. Not state: they are configured.

    `barred`: why it takes no call whatever, such as one that was removed. `batch`: how many inputs one
    call of the provider may have. `encoding`: the vocabulary that its tokens are counted by, where known.
    """

    rpm: int | None = None
    tpm: int | None = None
    max_parallel: int | None = None
    cooldown: CooldownPolicy = field(factory=CooldownPolicy)
    barred: LeftOut | None = None
    budget: BudgetRule | None = None
    batch: int = MAX_BATCH
    encoding: str | None = None
