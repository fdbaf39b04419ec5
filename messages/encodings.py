"""Which vocabulary a model reads with, where that is certain. Pure.

Only vocabularies that are byte-level BPE stand here. In each of them a text of n bytes is at most n tokens,
since a token is at least one byte, and at least n / `MAX_TOKEN_BYTES`, since none is longer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .deployment import Deployment

__all__ = ["ENCODINGS", "MAX_TOKEN_BYTES", "encoding_of"]

MAX_TOKEN_BYTES = 128
"""The longest token of these vocabularies (a run of spaces)."""

_MODELS = (
    (r"gpt-4o|gpt-4\.1|gpt-4\.5|gpt-5|gpt-oss|chatgpt-4o|o1|o3|o4", "o200k_base"),
    (r"gpt-4|gpt-3\.5|gpt-35|text-embedding-3|text-embedding-ada-002", "cl100k_base"),
    (r"(meta-)?llama-?3", "llama3"),
    (r"deepseek-(chat|reasoner|v3|r1)", "deepseek_v3"),
    (r"qwen-?(2|3)", "qwen3"),
)
"""The beginnings of names; the first that fits counts."""

_PATTERNS = tuple((re.compile(rf"({names})(?![a-z0-9])|({names})(?=[-.:])"), name) for names, name in _MODELS)

ENCODINGS = tuple(dict.fromkeys(name for _, name in _MODELS))


def encoding_of(deployment: Deployment) -> str | None:
    """The vocabulary of its `base_model`, else of its `model`; None when it is not certain."""
    name = (deployment.base_model or deployment.model).rpartition("/")[2].lower()
    return next((encoding for pattern, encoding in _PATTERNS if pattern.match(name)), None)
