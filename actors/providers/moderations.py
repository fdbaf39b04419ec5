"""Moderations."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ...messages.moderations import ModerationResponse
from .failures import unusable
from .openai import DocumentCodec

if TYPE_CHECKING:
    from ...messages.commands import Call

__all__ = ["ModerationCodec"]


class ModerationCodec(DocumentCodec):
    """Moderations of one deployment."""

    PATH: ClassVar[str] = "/moderations"
    MEMBER: ClassVar[str] = "results"
    ANSWER = ModerationResponse

    def check(self, response: ModerationResponse, call: Call) -> None:
        if not response.results:  # nothing found is a verdict, no verdict is not
            raise unusable(self.deployment, "200 without results")
