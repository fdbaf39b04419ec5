"""Turnout as a contender."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from turnout import Router

from ..workload import GROUP, MESSAGES, http_list, mock_list

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator


@contextlib.asynccontextmanager
async def mock() -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    async with Router(model_list=mock_list()) as router:
        yield lambda: router.acompletion(model=GROUP, messages=MESSAGES)


@contextlib.contextmanager
def mock_sync() -> Iterator[Callable[[], Any]]:
    with Router(model_list=mock_list()) as router:
        yield lambda: router.completion(model=GROUP, messages=MESSAGES)


@contextlib.asynccontextmanager
async def over_http(url: str) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    async with Router(model_list=http_list(url)) as router:
        yield lambda: router.acompletion(model=GROUP, messages=MESSAGES)
