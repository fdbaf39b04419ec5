"""Counting tokens exactly, with the extra `tokens`, where an estimate does not settle whether a prompt fits.

A vocabulary takes a tenth of a second to load and a long text some milliseconds to count, so both happen in
a thread of the counter's own; a task waits for it and tells the group. Without an event loop (a fake
clock) it is done at once. A counter belongs to one router.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ...messages.prompt_size import message_texts, tools_text
from ...messages.texts import texts_in
from ..runtime.dispatcher import EventLoopDispatcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ...messages.requests import Request
    from ..runtime.dispatcher import Dispatcher

__all__ = ["MAX_COUNTING", "Counts", "TokenCounter", "Vocabularies", "available"]

MAX_COUNTING = 64
"""Prompts that wait to be counted; the next one goes by its estimate."""

Counts = tuple[tuple[str, int], ...]
"""Tokens of a prompt's text by vocabulary."""

log = logging.getLogger("turnout.supervisor")


def available() -> bool:
    """Whether the library is installed. It is not imported."""
    return find_spec("splintr") is not None


class Vocabularies:
    """The vocabularies that were asked for, each loaded once. Used by one thread at a time."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def count(self, request: Request, encodings: tuple[str, ...]) -> Counts:
        """Tokens of its text, without what a chat format adds. What looks like a special token is text."""
        texts = tuple(_texts(request))
        return tuple(
            (name, sum(len(self._vocabulary(name).encode_ordinary(text)) for text in texts))
            for name in encodings
        )

    def _vocabulary(self, name: str) -> Any:
        vocabulary = self._loaded.get(name)
        if vocabulary is None:
            from splintr import Tokenizer  # noqa: PLC0415  (optional, and slow to import)

            vocabulary = self._loaded[name] = Tokenizer.from_pretrained(name)
        return vocabulary


class TokenCounter:
    """Counts prompts one after the other and tells each count to whom it concerns."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._vocabularies = Vocabularies()
        self._thread: ThreadPoolExecutor | None = None
        self.waiting = 0

    def start(self, request: Request, encodings: tuple[str, ...], tell: Callable[[Counts], None]) -> bool:
        """Count, and tell it later; False when there is no time for that.

        Nothing at all is told (`()`) when it cannot be done: then the estimate has to do.
        """
        if self.waiting >= MAX_COUNTING:
            return False
        self.waiting += 1
        self._dispatcher.spawn(self._run(request, encodings, tell))
        return True

    async def _run(
        self, request: Request, encodings: tuple[str, ...], tell: Callable[[Counts], None]
    ) -> None:
        try:
            counts = await self._count(request, encodings)
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001  (a library that breaks, or panics, must keep nobody)
            log.warning("tokens cannot be counted (%s); the estimate has to do", type(error).__name__)
            counts = ()
        finally:
            self.waiting -= 1
        tell(counts)

    async def _count(self, request: Request, encodings: tuple[str, ...]) -> Counts:
        if not isinstance(self._dispatcher, EventLoopDispatcher):
            return self._vocabularies.count(request, encodings)
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="turnout-tokens")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._vocabularies.count, request, encodings)

    async def aclose(self) -> None:
        """Let go of the thread; what it is counting is counted to its end."""
        if self._thread is not None:
            thread, self._thread = self._thread, None
            await asyncio.to_thread(thread.shutdown, cancel_futures=True)


def _texts(request: Request) -> Iterator[str]:
    yield from message_texts(getattr(request, "messages", None) or ())
    yield from texts_in(getattr(request, "prompt", None))
    yield from texts_in(getattr(request, "input", None))
    extra = request.__pydantic_extra__ or {}
    tools = tools_text(extra.get("tools") or extra.get("functions"))
    if tools:
        yield tools
