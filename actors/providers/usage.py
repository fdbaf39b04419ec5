"""What a provider says a call used, in whichever of the usual ways it says so. Pure.

OpenAI counts cached, audio, image and reasoning tokens in `..._tokens_details`, Anthropic what was
written to a cache beside the prompt's, DeepSeek what it found there; images and transcriptions speak
of `input_tokens`, or of `seconds`. A count that makes no sense is one that was not given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...messages.outcomes import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...messages.responses import ResponseUsage

__all__ = ["usage_from", "usage_of"]

_NOTHING: dict[str, Any] = {}


def usage_of(usage: ResponseUsage) -> Usage:
    """The usage block of a chat completion or of anything that shares its shape."""
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    extra = usage.__pydantic_extra__
    if not extra:
        estimated = prompt is None or completion is None
        return Usage(max(0, prompt or 0), max(0, completion or 0), estimated=estimated)
    if prompt is None:
        prompt = _count(extra.get("input_tokens"))
    if completion is None:
        completion = _count(extra.get("output_tokens"))
    return _counted(prompt, completion, extra)


def usage_from(raw: Mapping[str, Any]) -> Usage:
    """The same of a usage block as it came; `{"type": "duration", "seconds": 9}` is no tokens, and told."""
    prompt = _count(_first(raw, "prompt_tokens", "input_tokens"))
    completion = _count(_first(raw, "completion_tokens", "output_tokens"))
    if prompt is None and completion is None and _seconds(raw.get("seconds")) is not None:
        prompt = completion = 0
    return _counted(prompt, completion, raw)


def _counted(prompt: int | None, completion: int | None, raw: Mapping[str, Any]) -> Usage:
    most_in, most_out = max(0, prompt or 0), max(0, completion or 0)
    given = _details(raw, "prompt_tokens_details", "input_tokens_details", "input_token_details")
    made = _details(raw, "completion_tokens_details", "output_tokens_details", "output_token_details")
    of_cached = _details(given, "cached_tokens_details")
    read = given.get("cached_tokens")
    if read is None:
        read = _first(raw, "cache_read_input_tokens", "prompt_cache_hit_tokens")
    written = _first(raw, "cache_creation_input_tokens")
    if written is None:
        written = _first(given, "cache_creation_tokens", "cache_write_tokens")
    return Usage(
        most_in,
        most_out,
        _part(read, most_in),
        prompt is None or completion is None,
        _part(written, most_in),
        _part(_details(raw, "cache_creation").get("ephemeral_1h_input_tokens"), most_in),
        _part(given.get("audio_tokens"), most_in),
        _part(of_cached.get("audio_tokens"), most_in),
        _part(given.get("image_tokens"), most_in),
        _part(of_cached.get("image_tokens"), most_in),
        _part(made.get("audio_tokens"), most_out),
        _part(made.get("image_tokens"), most_out),
        _part(made.get("reasoning_tokens"), most_out),
        _seconds(raw.get("seconds")),
    )


def _first(raw: Mapping[str, Any], *names: str) -> Any:
    return next((value for name in names if (value := raw.get(name)) is not None), None)


def _details(raw: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    details = _first(raw, *names)
    return details if isinstance(details, dict) else _NOTHING


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _part(value: Any, whole: int) -> int | None:
    """A part is never more than its whole."""
    count = _count(value)
    return None if count is None else min(count, whole)


def _seconds(value: Any) -> float | None:
    good = type(value) in (int, float) and 0 <= value < float("inf")
    return float(value) if good else None
