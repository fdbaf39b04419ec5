"""What a program does that has one provider and no router: the yardstick of the figures over HTTP."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .workload import MESSAGES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

__all__ = ["chat", "chat_stream"]

HEADERS = {"Authorization": "Bearer none"}
BODY = {"model": "gpt-4o-mini", "messages": MESSAGES}


async def chat(session: aiohttp.ClientSession, url: str) -> Any:
    """POST, read, decode."""
    async with session.post(f"{url}/chat/completions", json=BODY, headers=HEADERS) as response:
        return json.loads(await response.read())


async def chat_stream(session: aiohttp.ClientSession, url: str) -> AsyncIterator[bytes]:
    """POST with `stream`, and the body as it arrives."""
    body = {**BODY, "stream": True}
    async with session.post(f"{url}/chat/completions", json=body, headers=HEADERS) as response:
        async for data in response.content.iter_any():
            yield data
