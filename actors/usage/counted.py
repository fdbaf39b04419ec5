"""The account that a journal was left with; apart from the actor, for those who only look."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..journal.ports import ACCOUNT
from .state import UsageState

if TYPE_CHECKING:
    from ..journal.ports import Snapshot

__all__ = ["NAME", "counted_before"]

log = logging.getLogger("turnout.usage")

NAME = ACCOUNT
"""Of the service, and of the stream its snapshots stand under; no event is ever recorded there."""


def counted_before(snapshot: Snapshot | None) -> UsageState:
    """The account that a snapshot holds; an empty one when there is none, or one of another version."""
    if snapshot is None:
        return UsageState()
    try:
        return UsageState.restore(snapshot.state, snapshot.position)
    except (ValueError, KeyError, TypeError, IndexError):
        log.info("the snapshot of what was used is of another version; everything is counted again")
        return UsageState()
