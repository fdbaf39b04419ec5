"""What a provider complains of, read from its words. Pure.

Every provider has its own way to say "the prompt is too long" and often says it with a plain 400.
Codes are believed first, then phrases that providers are known to use.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from attrs import frozen

from ...messages.errors import (
    AuthenticationError,
    BadRequestError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RequestError,
    ServiceUnavailableError,
    Timeout,
    error_class_for_status,
)

__all__ = ["Complaint", "class_for", "class_for_text", "read_complaint"]

MAX_DEPTH = 4
"""Of error objects inside error objects (`innererror`, `metadata`)."""

MAX_MESSAGE = 2000
"""Characters of a message that are looked at."""


@frozen
class Complaint:
    """A provider's error object. `codes` are its machine-readable parts, outermost first."""

    message: str = ""
    codes: tuple[str, ...] = ()


_CONTEXT = re.compile(
    r"context[_ ]length|context[_ ]window|string_above_max_length|prompt (?:is )?too long"
    r"|maximum context|too many (?:input )?tokens|input is too long|input length and `max_tokens` exceed"
    r"|reduce the length of the (?:messages|prompt|input)|model_max_prompt_tokens_exceeded"
    r"|exceeds? (?:the )?(?:model'?s? )?(?:maximum|max)(?: number of| allowed)?(?: input)? tokens"
    r"|(?:input )?token count .{0,40}exceeds|exceeds? the available context size",
    re.IGNORECASE,
)
_CONTENT = re.compile(
    r"content[_ ]filter|content[_ ]policy|content management policy|responsible_?ai_?policy"
    r"|moderation_blocked|safety system|violat\w+ .{0,60}polic|input was flagged|prohibited_content"
    r"|blocked (?:by|due to|for) .{0,40}(?:safety|content|policy)",
    re.IGNORECASE,
)
_RATE = re.compile(
    r"rate[_ -]?limit|too[_ ]many[_ ]requests|insufficient_quota|exceeded your current quota|quota exceeded"
    r"|resource[_ ]?exhausted|throttl|tokens per min|requests per min",
    re.IGNORECASE,
)
_KEY = re.compile(
    r"invalid[_ ]api[_ ]key|incorrect api key|authentication[_ ]error|unauthori[sz]ed|invalid x-api-key",
    re.IGNORECASE,
)
_PERMISSION = re.compile(r"permission[_ ]?(?:denied|error)|access denied", re.IGNORECASE)
_MISSING = re.compile(
    r"model[_ ]not[_ ]found|deploymentnotfound|not_found_error|model .{0,100}does not exist", re.IGNORECASE
)
_BUSY = re.compile(r"overloaded|service unavailable|temporarily unavailable|at capacity", re.IGNORECASE)
_TIMEOUT = re.compile(r"timed[ _-]?out|\btimeout\b", re.IGNORECASE)
_BAD_REQUEST = re.compile(r"invalid_request_error|bad request", re.IGNORECASE)

_OF_THE_PROMPT = ((_CONTENT, ContentPolicyViolationError), (_CONTEXT, ContextWindowExceededError))
_OF_THE_REST: tuple[tuple[re.Pattern[str], type[RequestError]], ...] = (
    (_RATE, RateLimitError),
    (_KEY, AuthenticationError),
    (_PERMISSION, PermissionDeniedError),
    (_MISSING, NotFoundError),
    (_BUSY, ServiceUnavailableError),
    (_TIMEOUT, Timeout),
    (_BAD_REQUEST, BadRequestError),
)
_CODES_BEAT = frozenset({400, 403, 413, 422, 424, 500})
"""Statuses under which providers report what is really about the prompt."""


def class_for(status: int, complaint: Complaint) -> type[RequestError]:
    """The error class of an answer with this status; 200 is an error object in a good answer."""
    if status < 300:
        return class_for_text(complaint) or _class_for_numeric_code(complaint)
    if status in _CODES_BEAT:
        found = _first(complaint, _OF_THE_PROMPT)
        if found is not None:
            return found
    if status in (400, 403) and _RATE.search(" ".join(complaint.codes)):
        return RateLimitError
    return error_class_for_status(status)


def class_for_text(complaint: Complaint) -> type[RequestError] | None:
    """The error class that the words alone speak of; None when they say nothing we know."""
    return _first(complaint, _OF_THE_PROMPT) or _first(complaint, _OF_THE_REST)


def _class_for_numeric_code(complaint: Complaint) -> type[RequestError]:
    statuses = [int(code) for code in complaint.codes if code.isascii() and code.isdigit()]
    return error_class_for_status(next((status for status in statuses if 400 <= status < 600), 500))


def _first(
    complaint: Complaint, rules: tuple[tuple[re.Pattern[str], type[RequestError]], ...]
) -> type[RequestError] | None:
    for text in (" ".join(complaint.codes), complaint.message[:MAX_MESSAGE]):
        for pattern, kind in rules:
            if text and pattern.search(text):
                return kind
    return None


# -- reading the body ----------------------------------------------------------------------------


def read_complaint(body: bytes) -> Complaint | None:
    """The error object of an answer, in any of the shapes providers use; None when there is none."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return complaint_of(value)


def complaint_of(value: Any) -> Complaint | None:
    """The same, from a decoded body: `{"error": {...}}`, `{"error": "..."}`, `{"detail": ...}`, `[{...}]`."""
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return None
    inner = value.get("error")
    if isinstance(inner, dict):
        return Complaint(_text(inner), tuple(_codes(inner)))
    if isinstance(inner, str) and inner:
        return Complaint(_text(value) or inner, (*_codes(value), inner) if " " not in inner else ())
    text = _text(value)
    return Complaint(text, tuple(_codes(value))) if text else None


def _text(error: dict[str, Any]) -> str:
    for name in ("message", "detail", "msg"):
        value = error.get(name)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, list):
            return "; ".join(_validation_line(item) for item in value[:3] if isinstance(item, dict))
    return ""


def _validation_line(item: dict[str, Any]) -> str:
    """Where and what, of a validation report; never its `input`, which is the prompt."""
    where = item.get("loc")
    path = ".".join(str(part) for part in where) if isinstance(where, list) else ""
    return f"{path}: {item.get('msg', '')}"


def _codes(error: dict[str, Any], depth: int = 0) -> list[str]:
    codes = [str(error[name]) for name in ("code", "type", "status") if _is_code(error.get(name))]
    if depth < MAX_DEPTH:
        for name in ("innererror", "metadata", "error"):
            inner = error.get(name)
            if isinstance(inner, dict):
                codes += _codes(inner, depth + 1)
    return codes


def _is_code(value: Any) -> bool:
    return (isinstance(value, str) and 0 < len(value) <= 100) or type(value) is int
