"""What a deployment's state is made of, besides what has a module of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define
from msgspec import Struct

from ..budget.ledger import GONE

if TYPE_CHECKING:
    from ..budget.ledger import Entry
    from .limits import Bucket

__all__ = ["Correction", "OpenCall", "OpenCheck", "Sickness", "Totals"]


class OpenCall(Struct, eq=False):
    """A call under way, with the receipt for its reservation."""

    request_id: str
    started_at: float
    reserved: int
    bucket: Bucket | None
    stream: bool = False
    probe: bool = False
    ttft: float | None = None
    set_aside: int = 0
    entry: Entry | None = None
    """The receipt for `set_aside`, of the deployment's own budget."""
    prompt_bytes: int = 0
    fixed_tokens: int = 0

    @property
    def counted(self) -> int | None:
        """What of `set_aside` is in the budget's period; None when no budget, or none any more, counts it."""
        return None if self.entry is None or self.entry.leaves == GONE else self.set_aside


@define
class Totals:
    """Since the journal began."""

    started: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    abandoned: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0


@define
class Correction:
    """What the provider counts beyond our own count, until its window has passed."""

    requests: int = 0
    tokens: int = 0
    until: float = 0.0


@define(eq=False)
class OpenCheck:
    """A health check under way, with the receipt for its reservation. It takes no slot of a call's."""

    check_id: str
    started_at: float
    reserved: int
    bucket: Bucket | None


@define
class Sickness:
    """It failed a health check at router time `since`, with an error of this class."""

    since: float
    error: str
