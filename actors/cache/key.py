"""Which answers are the same answer: the key of a request. Pure.

It covers what reaches a provider and nothing else: routing fields (`timeout`, `num_retries`, the cache's
own controls) are not in it. What is asked is hashed, so a key tells nothing of a prompt.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec
from pydantic import BaseModel

if TYPE_CHECKING:
    from ...messages.caching import CacheControls
    from ...messages.requests import Request

__all__ = ["DIGEST_BYTES", "FORMAT", "key_of"]

FORMAT = 1
"""Of what is hashed and of what is kept under it; another one finds nothing of the old."""

DIGEST_BYTES = 20

_MOCKS = frozenset({"mock_response", "mock_tool_calls"})
"""Routing fields that are the answer all the same."""

_TESTS = frozenset(
    """
    mock_timeout mock_testing_fallbacks mock_testing_context_fallbacks
    mock_testing_content_policy_fallbacks mock_testing_rate_limit_error
    """.split()
)
"""Who sets one of these wants to see something fail."""


def key_of(
    request: Request, scope: tuple[Any, ...], controls: CacheControls, namespace: str, *, stream: bool
) -> str | None:
    """`namespace:digest`; None for a request that cannot be told from others, and so is not cached.

    Args:
        request: what is asked.
        scope: who may answer.
        controls: the request's own; a key and a namespace of its own go before the rest.
        namespace: the router's.
        stream: whether the answer comes in chunks.
    """
    given = request.model_fields_set
    if not _TESTS.isdisjoint(given):
        return None
    asked: Any = controls.key
    if asked is None:
        asked = request.wire_params()
        asked.pop("stream", None)
        if not _MOCKS.isdisjoint(given):
            for name in _MOCKS & given:
                asked[name] = getattr(request, name)
    try:
        text = _encode((FORMAT, request.KIND, stream, scope, asked))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None
    return f"{controls.namespace or namespace}:{blake2b(text, digest_size=DIGEST_BYTES).hexdigest()}"


def _plain(value: Any) -> Any:
    """What msgspec does not know: pydantic models, as users hand in tools and formats."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True, by_alias=True)
    raise TypeError


_encode = msgspec.json.Encoder(order="deterministic", enc_hook=_plain).encode
