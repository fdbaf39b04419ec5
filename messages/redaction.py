"""What may be shown: configuration with its keys masked and its texts left out.

Two questions are asked of a name. Is what it holds a *secret* (a key, a token, a password)? Is it
*content* (a prompt, a made-up answer)? Neither ever reaches an event, a log line, a repr or an
error text; only secrets are left out of a deployment's identity, so that a key may be rotated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .errors import mask_secrets

__all__ = [
    "HIDDEN",
    "hide_url_secrets",
    "is_content_name",
    "is_secret_name",
    "public",
    "without_secrets",
]

HIDDEN = "***"
"""Stands where a secret was."""

MAX_DEPTH = 16
"""Deeper configuration than this is not shown (and cannot loop)."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")
_SECRET_WORDS = frozenset(
    """
    apikey auth authorization authtoken bearer cookie credential credentials key keys passphrase passwd
    password pwd secret secrets sig signature token webhook
    """.split()
)
_NOT_SECRET = re.compile(r"per_token|token_cost|token_(?:count|limit|type)|supports_", re.IGNORECASE)
_CONTENT_NAMES = frozenset(
    {"content", "input", "instructions", "messages", "mock_response", "mock_tool_calls", "prompt", "system"}
)
_USERINFO = re.compile(r"(?<=://)[^/@\s]*@")
_QUERY = re.compile(r"([?&#;][^=&\s]*=)[^&#;\s]*")


def is_secret_name(name: str) -> bool:
    """Whether something of this name must not be shown: `api_key`, `x-auth-token`, `clientSecret`.

    Plural `tokens` counts tokens and is no secret; neither is a price per token.
    """
    words = {word.lower() for word in _WORD.findall(name)}
    return not words.isdisjoint(_SECRET_WORDS) and _NOT_SECRET.search(name) is None


def is_content_name(name: str) -> bool:
    """Whether something of this name is a prompt, an answer or a part of one."""
    return name in _CONTENT_NAMES


def hide_url_secrets(text: str) -> str:
    """A URL without its user, password and query values; any other text as it is."""
    if "://" not in text:
        return text
    return _QUERY.sub(rf"\1{HIDDEN}", _USERINFO.sub(f"{HIDDEN}@", text))


def public(value: Any, name: str = "", depth: int = 0) -> Any:
    """`value` (held under `name`) as JSON-able plain data without secrets and without content."""
    if value is None or isinstance(value, (bool, int, float)):
        return value if value is None or not is_secret_name(name) else HIDDEN
    if is_secret_name(name):
        return HIDDEN
    if name == "extra_headers" and isinstance(value, Mapping):
        return dict.fromkeys(map(str, value), HIDDEN)  # any header may be a key, whatever its name
    if name in _CONTENT_NAMES:
        return _kind(value)
    if isinstance(value, str):
        return mask_secrets(hide_url_secrets(value))
    return _public_inside(value, depth) if depth < MAX_DEPTH else _kind(value)


def _public_inside(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        return {str(key): public(item, str(key), depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [public(item, "", depth + 1) for item in value]
    return _kind(value)


def without_secrets(value: Any) -> Any:
    """`value` without the entries that are secrets by name, at every depth; the rest is shared."""
    if isinstance(value, dict):
        return {
            key: without_secrets(item)
            for key, item in value.items()
            if not (isinstance(key, str) and is_secret_name(key))
        }
    if isinstance(value, (list, tuple)):
        return [without_secrets(item) for item in value]
    return hide_url_secrets(value) if isinstance(value, str) else value


def _kind(value: Any) -> str:
    kind = value if isinstance(value, type) else type(value)
    return f"<{kind.__name__}>"
