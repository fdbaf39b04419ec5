"""What may be asked about in text or in tokens: one of them, or a list. Pure."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from .prompt_size import PromptSize, bytes_of

__all__ = ["Prompts", "Texts", "each", "size_of", "texts_in"]


def _prompts(value: Any) -> Any:
    """A text, a list of token numbers, or a list of either."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value:
        msg = "must be a text, a list of token numbers, or a non-empty list of either"
        raise ValueError(msg)
    kind = _kind(value[0])
    for position, item in enumerate(value):
        if kind is None or _kind(item) is not kind:
            msg = f"item {position} must be a text or a list of token numbers, as the others are"
            raise ValueError(msg)
    return value


def _kind(item: Any) -> type | None:
    """What an item is; a list of numbers is known by its first."""
    if isinstance(item, str):
        return str
    if type(item) is int:
        return int
    return list if isinstance(item, list) and item and type(item[0]) is int else None


def _texts(value: Any) -> Any:
    """A text, or a list of texts or of parts."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value:
        msg = "must be a text, or a non-empty list of texts or of parts"
        raise ValueError(msg)
    texts = isinstance(value[0], str)
    for position, item in enumerate(value):
        if not (isinstance(item, str) if texts else _is_part(item)):
            msg = f"item {position} must be a text or a part (a dict with its 'type'), as the others are"
            raise ValueError(msg)
    return value


def _is_part(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("type"), str)


Prompts = Annotated[Any, BeforeValidator(_prompts)]
Texts = Annotated[Any, BeforeValidator(_texts)]


def each(prompts: Any) -> list[Any]:
    """The single ones: a text and a list of numbers are one, the items of any other list are one each."""
    if isinstance(prompts, str) or type(prompts[0]) is int:
        return [prompts]
    items: list[Any] = prompts
    return items


def size_of(prompts: Any) -> PromptSize:
    """Bytes of the texts, and how many numbers there are."""
    size = fixed = 0
    for item in each(prompts):
        if isinstance(item, str):
            size += bytes_of(item)
        else:
            fixed += len(item)
    return PromptSize(size, fixed)


def texts_in(value: Any) -> list[str]:
    """Every text of a prompt, of a list of them, or of parts."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        return []
    parts = (item.get("text") if isinstance(item, dict) else item for item in value)
    return [part for part in parts if isinstance(part, str)]
