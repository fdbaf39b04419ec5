"""One question for several models, or several at once: `abatch_completion` and the fastest of many."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ...messages.errors import BadRequestError, TurnoutError
from ...messages.requests import CompletionRequest
from ..stream import ModelStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...messages.requests import Request
    from ...messages.responses import ModelResponse
    from .request_future import RequestFuture

__all__ = ["MAX_AT_ONCE", "Batches"]

MAX_AT_ONCE = 256
"""Requests of one batch that are open at one time; the others are sent as these end."""

Messages = list[dict[str, Any]]


class Batches:
    """The methods of :class:`.router.Router` that ask more than once."""

    if TYPE_CHECKING:

        def _send(self, request: Request) -> RequestFuture[Any]: ...

    async def abatch_completion(
        self, models: Sequence[str], messages: Messages | list[Messages], **params: Any
    ) -> list[Any]:
        """Ask every one of `models`, all at the same time.

        Gives one answer per model, in their order; for a list of conversations, one such list per
        conversation. Where a request failed its error stands in the place of the answer.

        Raises:
            BadRequestError: no model, or no messages.
        """
        models = _names(models)
        _must_be_messages(messages)
        several = all(isinstance(item, list) for item in messages)
        conversations: list[Any] = messages if several else [messages]
        requests = [
            CompletionRequest(model=model, messages=conversation, **params)
            for conversation in conversations
            for model in models
        ]
        answers = await self._all(requests)
        rows = [answers[start : start + len(models)] for start in range(0, len(answers), len(models))]
        return rows if several else rows[0]

    async def abatch_completion_one_model_multiple_requests(
        self, model: str, messages: list[Messages], **params: Any
    ) -> list[Any]:
        """Ask one model every one of these conversations; answers or errors in their order."""
        return [row[0] for row in await self.abatch_completion([model], messages, **params)]

    async def abatch_completion_fastest_response(
        self, model: str | Sequence[str], messages: Messages, **params: Any
    ) -> ModelResponse | ModelStream:
        """Ask several models (a list, or names with commas between) and give the first good answer.

        The others are aborted upstream, and charged for what they have used. Of streams the first
        that begins is the fastest.

        Raises:
            RequestError: all failed: the error of the first model, the others' in its `__notes__`.
        """
        models = _names(model.split(",") if isinstance(model, str) else model)
        requests = [CompletionRequest(model=name, messages=messages, **params) for name in models]
        tasks = [asyncio.ensure_future(self._one(request)) for request in requests]
        fastest = None
        try:
            fastest = await _first_good(tasks, models)
            answer: ModelResponse | ModelStream = fastest.result()
            return answer
        finally:
            await _give_up([task for task in tasks if task is not fastest])

    async def _one(self, request: CompletionRequest) -> Any:
        return await self._send(request)

    async def _all(self, requests: list[CompletionRequest]) -> list[Any]:
        """Answers or errors in the order of the requests, `MAX_AT_ONCE` of them open."""
        gate = asyncio.Semaphore(MAX_AT_ONCE)

        async def one(request: CompletionRequest) -> Any:
            async with gate:
                try:
                    return await self._send(request)
                except TurnoutError as error:
                    return error

        return await asyncio.gather(*map(one, requests))


async def _first_good(tasks: list[asyncio.Task[Any]], names: list[str]) -> asyncio.Task[Any]:
    waiting = set(tasks)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task in done and task.exception() is None:
                return task
    errors = [task.exception() for task in tasks]
    first = errors[0]
    assert first is not None, "no answer and no error"
    for name, error in zip(names[1:], errors[1:], strict=True):
        first.add_note(f"{name}: {type(error).__name__}")
    raise first


async def _give_up(tasks: list[asyncio.Task[Any]]) -> None:
    """Abort what is still under way; a stream that has opened is closed."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, TurnoutError):
            answer = await task
            if isinstance(answer, ModelStream):
                answer.close()


def _must_be_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        msg = "messages must be a list of messages, or a list of conversations"
        raise BadRequestError(msg)


def _names(models: Any) -> list[str]:
    names = (
        [name.strip() for name in models if isinstance(name, str)]
        if isinstance(models, (list, tuple))
        else []
    )
    if not names or len(names) != len(models) or not all(names):
        msg = "models must be a list of one or more names"
        raise BadRequestError(msg)
    return names
