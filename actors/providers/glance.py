"""A glance at a chunk: enough to know that it is one, without making it.

Most chunks of a stream carry a few characters for the reader and nothing for the router. Such a chunk
stays bytes until its reader takes it. Made, it is a dozen containers, and those of all the chunks that
wait in channels are what Python's garbage collector would look at again and again.

A glance is narrower than the model: what it passes, the model takes. It knows the members that providers
send in every chunk; whatever is new to it, tells usage or an end, is an error or is of the wrong type
makes it miss, and the chunk is made at once.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

__all__ = ["CHAT", "MAX_MISSES", "TEXT", "Glance"]

MAX_MISSES = 8
"""Chunks of one stream that a glance may miss; what comes after is not glanced at any more."""

Glance = msgspec.json.Decoder[Any]
"""Its `decode` gives what has `choices`, each with an `index`, or raises what is a `ValueError`."""


class _Chat(Struct, gc=False, forbid_unknown_fields=True):
    choices: list[_ChatChoice]
    id: str | None = None
    object: str = ""
    created: int | None = None
    model: str | None = None
    usage: None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None
    obfuscation: str | None = None
    provider: str | None = None


class _ChatChoice(Struct, gc=False, forbid_unknown_fields=True):
    delta: _Delta
    index: int = 0
    finish_reason: None = None
    native_finish_reason: None = None
    logprobs: None = None
    content_filter_results: dict[str, dict[str, bool | str | None]] | None = None


class _Delta(Struct, gc=False, forbid_unknown_fields=True):
    content: str | None = None
    role: str | None = None
    tool_calls: None = None
    function_call: None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None


class _Text(Struct, gc=False, forbid_unknown_fields=True):
    choices: list[_TextChoice]
    id: str | None = None
    object: str = ""
    created: int | None = None
    model: str | None = None
    usage: None = None
    system_fingerprint: str | None = None


class _TextChoice(Struct, gc=False, forbid_unknown_fields=True):
    text: str
    index: int = 0
    finish_reason: None = None
    logprobs: None = None
    stop_reason: None = None
    content_filter_results: dict[str, dict[str, bool | str | None]] | None = None


CHAT: Glance = msgspec.json.Decoder(_Chat)
TEXT: Glance = msgspec.json.Decoder(_Text)
