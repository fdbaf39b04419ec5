"""Bare aiohttp as a contender: no router at all."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import aiohttp

from ..bare import chat

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


@contextlib.asynccontextmanager
async def over_http(url: str) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    async with aiohttp.ClientSession() as session:
        yield lambda: chat(session, url)
