"""Embeddings: what is asked, and what comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from .outcomes import Demand
from .prompt_size import estimate
from .requests import WholeRequest
from .responses import Record, ResponseUsage, Routed
from .texts import Prompts, each, size_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Embedding", "EmbeddingRequest", "EmbeddingResponse", "joined"]


class EmbeddingRequest(WholeRequest):
    """The embedding of a text, or of each text of a list; lists of token numbers do as well.

    A list that is longer than the deployment's `max_batch_size` is divided among several calls of one
    deployment, and the answer is put together again in order.
    """

    KIND: ClassVar[str] = "embedding"

    input: Prompts

    def demand(self) -> Demand:
        """Its tokens; an embedding has no output."""
        size = size_of(self.input)
        return Demand(estimate(size), 0, size.text_bytes, size.fixed_tokens, inputs=len(each(self.input)))

    def parts(self, batch: int) -> list[EmbeddingRequest]:
        """Requests of `batch` inputs each, and one for the rest; everything else is shared."""
        items = each(self.input)
        starts = range(0, len(items), batch)
        return [self.model_copy(update={"input": items[start : start + batch]}) for start in starts]


class Embedding(Record):
    """One of them; a text when `encoding_format="base64"` was asked for."""

    object: str = "embedding"
    index: int = 0
    embedding: list[float] | str


class PromptUsage(ResponseUsage):
    """The usage of what has no output."""

    completion_tokens: int | None = 0


class EmbeddingResponse(Routed):
    """Embeddings in OpenAI's shape, in the order of the inputs, with `.route`."""

    object: str = "list"
    data: list[Embedding]
    model: str | None = None
    usage: PromptUsage | None = None


def joined(answers: Sequence[EmbeddingResponse]) -> EmbeddingResponse:
    """The answers to the parts of a request, in their order, as the answer to the whole."""
    whole = answers[0]
    whole.data = [item for answer in answers for item in answer.data]
    for index, item in enumerate(whole.data):
        item.index = index
    told = [answer.usage for answer in answers]
    whole.usage = None if None in told else _sum([usage for usage in told if usage is not None])
    return whole


def _sum(usages: list[PromptUsage]) -> PromptUsage:
    first, *others = usages
    for name in ("prompt_tokens", "total_tokens"):
        counts = [getattr(usage, name) for usage in (first, *others)]
        setattr(first, name, None if None in counts else sum(counts))
    return first
