"""LiteLLM's Router as a contender, with its default settings; nothing is switched on."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from ..workload import GROUP, MESSAGES, http_list, mock_list

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it fetches prices when it is imported

import litellm  # type: ignore[import-not-found]  # it lives in the other environment

litellm.telemetry = False
litellm.suppress_debug_info = True


@contextlib.asynccontextmanager
async def mock() -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    router = litellm.Router(model_list=mock_list())
    yield lambda: router.acompletion(model=GROUP, messages=MESSAGES)


@contextlib.contextmanager
def mock_sync() -> Iterator[Callable[[], Any]]:
    router = litellm.Router(model_list=mock_list())
    yield lambda: router.completion(model=GROUP, messages=MESSAGES)


@contextlib.asynccontextmanager
async def over_http(url: str) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    router = litellm.Router(model_list=http_list(url))
    yield lambda: router.acompletion(model=GROUP, messages=MESSAGES)
