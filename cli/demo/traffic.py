"""The callers: they send what is planned and note what they got."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from attrs import define, field

from ...messages.errors import RequestError
from ...messages.requests import CompletionRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...supervisor.face.router import Router
    from .scene import Planned

__all__ = ["Received", "send_all"]


@define
class Received:
    """What the callers got. `unclear` must stay empty: an exception that is not one of ours."""

    answers: int = 0
    streams: int = 0
    errors: Counter[str] = field(factory=Counter)
    unclear: list[str] = field(factory=list)


async def send_all(router: Router, planned: Iterable[Planned], received: Received) -> None:
    """Send each request at its time, without waiting for the answers of those before."""
    async with asyncio.TaskGroup() as callers:
        for request in planned:
            await asyncio.sleep(request.pause)
            callers.create_task(_call(router, request, received))


async def _call(router: Router, planned: Planned, received: Received) -> None:
    try:
        await _ask(router, planned)
    except RequestError as error:
        received.errors[type(error).__name__] += 1
    except Exception as error:  # noqa: BLE001  (counted and shown: the demo fails on it)
        received.unclear.append(f"{type(error).__name__}: {error}")
    else:
        received.answers += 1
        received.streams += planned.stream


async def _ask(router: Router, planned: Planned) -> None:
    messages = [{"role": "user", "content": planned.prompt}]
    request = CompletionRequest(model=planned.group, messages=messages, stream=planned.stream)
    answer = await router.ask(request, block=False)
    if planned.stream:
        async for _ in answer:
            pass
