"""Text completions: what is asked, and what comes back, whole and in chunks."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from .outcomes import Demand
from .prompt_size import estimate
from .requests import Request, Switch
from .responses import Record, ResponseUsage, Routed
from .texts import Prompts, each, size_of

__all__ = ["TextChoice", "TextCompletionRequest", "TextCompletionResponse"]


class TextCompletionRequest(Request):
    """The continuation of a prompt, or of each prompt of a list; lists of token numbers do as well.

    `stream=True` makes the answer an iterator of chunks in the shape of the answer. Any other keyword
    (`temperature`, `stop`, `suffix`, ...) reaches the provider as given.
    """

    KIND: ClassVar[str] = "text_completion"

    prompt: Prompts
    stream: Switch = False
    stream_options: dict[str, Any] | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    n: int | None = Field(default=None, ge=1)
    best_of: int | None = Field(default=None, ge=1)

    def demand(self) -> Demand:
        """The prompts' tokens, and the most it may answer: `best_of` or `n` answers to each of them."""
        most = self.max_tokens
        if most is not None:
            most *= max(self.best_of or 1, self.n or 1) * len(each(self.prompt))
        size = size_of(self.prompt)
        return Demand(estimate(size), most, size.text_bytes, size.fixed_tokens)


class TextChoice(Record):
    index: int = 0
    text: str
    logprobs: Any = None
    finish_reason: str | None = None


class TextCompletionResponse(Routed):
    """A text completion in OpenAI's shape, with `.route`; or one chunk of a streamed one, without."""

    id: str | None = None
    object: str = "text_completion"
    created: int | None = 0
    model: str | None = None
    choices: list[TextChoice]
    usage: ResponseUsage | None = None

    def characters(self) -> int:
        return sum(len(choice.text) for choice in self.choices)
