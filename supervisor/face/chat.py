"""`router.chat.completions.create(...)`: the way in which users of OpenAI's client ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...messages.responses import ModelResponse
    from ..stream import ModelStream
    from .endpoints import Endpoints

__all__ = ["Chat", "ChatCompletions"]


class ChatCompletions:
    """What is asked here, the router is asked."""

    def __init__(self, router: Endpoints) -> None:
        self._router = router

    def __repr__(self) -> str:
        return f"{self._router!r}.chat.completions"

    def create(
        self, *, model: str, messages: list[dict[str, Any]], **params: Any
    ) -> ModelResponse | ModelStream:
        """`router.completion(model, messages, ...)`; `stream=True` gives a stream."""
        return self._router.completion(model, messages, **params)

    async def acreate(
        self, *, model: str, messages: list[dict[str, Any]], **params: Any
    ) -> ModelResponse | ModelStream:
        """The same, awaited."""
        return await self._router.acompletion(model, messages, **params)


class Chat:
    """Holds `completions`, as OpenAI's client has it."""

    def __init__(self, router: Endpoints) -> None:
        self.completions = ChatCompletions(router)

    def __repr__(self) -> str:
        return repr(self.completions).removesuffix(".completions")
