"""A router's methods that ask for something: one pair, blocking and awaited, for each kind of request.

Each makes the request's class from its arguments and asks it; the way from there on is the same for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..messages.embeddings import EmbeddingRequest
from ..messages.requests import CompletionRequest
from ..messages.text_completions import TextCompletionRequest
from .chat import Chat

if TYPE_CHECKING:
    from ..messages.embeddings import EmbeddingResponse
    from ..messages.requests import Request
    from ..messages.responses import ModelResponse
    from ..messages.text_completions import TextCompletionResponse
    from .request_future import RequestFuture
    from .stream import ModelStream, TextCompletionStream

__all__ = ["Endpoints"]


class Endpoints:
    """The half of :class:`.router.Router` that is spelled like the API it stands in for."""

    if TYPE_CHECKING:

        def ask(self, request: Request) -> Any: ...

        def _send(self, request: Request) -> RequestFuture[Any]: ...

    def completion(
        self, model: str, messages: list[dict[str, Any]], **params: Any
    ) -> ModelResponse | ModelStream:
        """A chat completion: `ask(CompletionRequest(model=..., messages=..., ...))`."""
        answer: ModelResponse | ModelStream = self.ask(
            CompletionRequest(model=model, messages=messages, **params)
        )
        return answer

    async def acompletion(
        self, model: str, messages: list[dict[str, Any]], **params: Any
    ) -> ModelResponse | ModelStream:
        """The same, awaited."""
        answer: ModelResponse | ModelStream = await self._send(
            CompletionRequest(model=model, messages=messages, **params)
        )
        return answer

    @property
    def chat(self) -> Chat:
        """`router.chat.completions.create(model=..., messages=...)`, as OpenAI's client has it."""
        return Chat(self)

    def text_completion(
        self, model: str, prompt: Any, **params: Any
    ) -> TextCompletionResponse | TextCompletionStream:
        """A text completion: `ask(TextCompletionRequest(model=..., prompt=..., ...))`."""
        answer: TextCompletionResponse | TextCompletionStream = self.ask(
            TextCompletionRequest(model=model, prompt=prompt, **params)
        )
        return answer

    async def atext_completion(
        self, model: str, prompt: Any, **params: Any
    ) -> TextCompletionResponse | TextCompletionStream:
        """The same, awaited."""
        answer: TextCompletionResponse | TextCompletionStream = await self._send(
            TextCompletionRequest(model=model, prompt=prompt, **params)
        )
        return answer

    def embedding(self, model: str, input: Any, **params: Any) -> EmbeddingResponse:  # noqa: A002  (OpenAI's name)
        """Embeddings: `ask(EmbeddingRequest(model=..., input=..., ...))`; also named `embeddings`."""
        answer: EmbeddingResponse = self.ask(EmbeddingRequest(model=model, input=input, **params))
        return answer

    async def aembedding(self, model: str, input: Any, **params: Any) -> EmbeddingResponse:  # noqa: A002
        """The same, awaited; also named `aembeddings`."""
        answer: EmbeddingResponse = await self._send(EmbeddingRequest(model=model, input=input, **params))
        return answer

    embeddings = embedding
    aembeddings = aembedding
