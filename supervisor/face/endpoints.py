"""A router's methods that ask for something: one pair, blocking and awaited, for each kind of request.

Each makes the request's class from its arguments and asks it; the way from there on is the same for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...messages.audio import SpeechRequest, TranscriptionRequest
from ...messages.embeddings import EmbeddingRequest
from ...messages.errors import BadRequestError
from ...messages.images import ImageGenerationRequest
from ...messages.moderations import ModerationRequest
from ...messages.problems import listed
from ...messages.requests import CompletionRequest
from ...messages.text_completions import TextCompletionRequest
from .chat import Chat

if TYPE_CHECKING:
    from ...messages.audio import SpeechResponse, TranscriptionResponse
    from ...messages.embeddings import EmbeddingResponse
    from ...messages.images import ImageResponse
    from ...messages.moderations import ModerationResponse
    from ...messages.requests import Request
    from ...messages.responses import ModelResponse
    from ...messages.text_completions import TextCompletionResponse
    from ..stream import ModelStream, SpeechStream, TextCompletionStream
    from .request_future import RequestFuture
    from .wiring import Wiring

__all__ = ["Endpoints"]


class Endpoints:
    """The half of :class:`.router.Router` that is spelled like the API it stands in for."""

    if TYPE_CHECKING:

        def ask(self, request: Request) -> Any: ...

        _wiring: Wiring

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

    def image_generation(self, prompt: str, model: str | None = None, **params: Any) -> ImageResponse:
        """Images: `ask(ImageGenerationRequest(model=..., prompt=..., ...))`.

        Without a `model` it is the only group whose deployments have the mode "image_generation".
        """
        name = self._model_for("image_generation", model)
        answer: ImageResponse = self.ask(ImageGenerationRequest(model=name, prompt=prompt, **params))
        return answer

    async def aimage_generation(self, prompt: str, model: str | None = None, **params: Any) -> ImageResponse:
        """The same, awaited."""
        name = self._model_for("image_generation", model)
        answer: ImageResponse = await self._send(ImageGenerationRequest(model=name, prompt=prompt, **params))
        return answer

    def transcription(self, model: str, file: Any, **params: Any) -> TranscriptionResponse:
        """The text of a recording: `ask(TranscriptionRequest(model=..., file=..., ...))`."""
        answer: TranscriptionResponse = self.ask(TranscriptionRequest(model=model, file=file, **params))
        return answer

    async def atranscription(self, model: str, file: Any, **params: Any) -> TranscriptionResponse:
        """The same, awaited."""
        answer: TranscriptionResponse = await self._send(
            TranscriptionRequest(model=model, file=file, **params)
        )
        return answer

    def speech(self, model: str, input: str, voice: str, **params: Any) -> SpeechResponse | SpeechStream:  # noqa: A002
        """A text as sound: `ask(SpeechRequest(model=..., input=..., voice=..., ...))`.

        The answer is bytes; with `stream=True` an iterator of bytes, which can write itself to a file.
        """
        answer: SpeechResponse | SpeechStream = self.ask(
            SpeechRequest(model=model, input=input, voice=voice, **params)
        )
        return answer

    async def aspeech(
        self,
        model: str,
        input: str,  # noqa: A002
        voice: str,
        **params: Any,
    ) -> SpeechResponse | SpeechStream:
        """The same, awaited."""
        answer: SpeechResponse | SpeechStream = await self._send(
            SpeechRequest(model=model, input=input, voice=voice, **params)
        )
        return answer

    def moderation(self, input: Any, model: str | None = None, **params: Any) -> ModerationResponse:  # noqa: A002
        """Verdicts on texts: `ask(ModerationRequest(model=..., input=..., ...))`.

        Without a `model` it is the only group whose deployments have the mode "moderation".
        """
        name = self._model_for("moderation", model)
        answer: ModerationResponse = self.ask(ModerationRequest(model=name, input=input, **params))
        return answer

    async def amoderation(self, input: Any, model: str | None = None, **params: Any) -> ModerationResponse:  # noqa: A002
        """The same, awaited."""
        name = self._model_for("moderation", model)
        answer: ModerationResponse = await self._send(ModerationRequest(model=name, input=input, **params))
        return answer

    def _model_for(self, mode: str, model: str | None) -> str:
        """The group that is meant when none is named; only then are the deployments looked through."""
        if model is not None:
            return model
        deployments = tuple(self._wiring.deployments.values())
        groups = sorted({one.model_name for one in deployments if one.mode == mode})
        if len(groups) == 1:
            return groups[0]
        if groups:
            known = f"several groups have it: {listed(groups)}"
        else:
            known = f"none of these has it: {listed(sorted({one.model_name for one in deployments}))}"
        msg = f'model: name one, or give the deployments of one group the mode "{mode}" ({known})'
        raise BadRequestError(msg)
