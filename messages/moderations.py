"""Moderations: what is asked, and what comes back."""

from __future__ import annotations

from typing import Any, ClassVar

from .outcomes import Demand
from .prompt_size import PromptSize, bytes_of, estimate
from .requests import WholeRequest
from .responses import Record, Routed
from .texts import Texts, texts_in

__all__ = ["Moderation", "ModerationRequest", "ModerationResponse"]


class ModerationRequest(WholeRequest):
    """Whether a text, each text of a list, or a list of texts and images together is harmful."""

    KIND: ClassVar[str] = "moderation"

    input: Texts

    def demand(self) -> Demand:
        """Its tokens; a verdict has none."""
        size = PromptSize(sum(map(bytes_of, texts_in(self.input))))
        return Demand(estimate(size), 0, size.text_bytes, size.fixed_tokens)


class Verdict(Record):
    """What was found in each category; `hate/threatening` is `hate_threatening` as an attribute."""

    def __getattr__(self, name: str) -> Any:
        extra: dict[str, Any] = self.__dict__.get("__pydantic_extra__") or self.__pydantic_extra__ or {}
        for given, value in extra.items():
            if given == name or given.replace("/", "_").replace("-", "_") == name:
                return value
        raise AttributeError(name)


class Moderation(Record):
    """The verdict on one input."""

    flagged: bool
    categories: Verdict
    category_scores: Verdict
    category_applied_input_types: Verdict | None = None


class ModerationResponse(Routed):
    """Verdicts in OpenAI's shape, in the order of the inputs, with `.route`."""

    id: str | None = None
    model: str | None = None
    results: list[Moderation]
