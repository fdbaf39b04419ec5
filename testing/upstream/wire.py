"""OpenAI's wire format, written: completions, chunks, errors. Pure: no time, no chance, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "Answer",
    "BadRequest",
    "answer",
    "chunks",
    "completion",
    "error",
    "models",
    "number",
    "words_about",
]

FILLER = ("and", "so", "the", "points", "are", "set", "for", "another", "track", "as", "told,")
QUOTE_CHARS = 200
"""So much of the question is repeated in the answer."""
CHARS_PER_TOKEN = 4
MAX_CHOICES = 128
Json = dict[str, Any]


class BadRequest(Exception):  # noqa: N818  (it becomes a 400, it is not raised to anybody)
    """The request cannot be answered; the text says why."""


@frozen
class Answer:
    """What a model says to a request; the same for the same request."""

    model: str
    words: tuple[str, ...]
    tool_calls: tuple[Json, ...]
    finish_reason: str
    prompt_tokens: int
    choices: int

    @property
    def completion_tokens(self) -> int:
        return self.choices * (len(self.words) + 8 * len(self.tool_calls))

    def usage(self) -> Json:
        total = self.prompt_tokens + self.completion_tokens
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": total,
        }


def answer(body: Mapping[str, Any], model: str, length: int) -> Answer:
    """What to say to `body`: it repeats the question, in `length` words, or calls the tool it was given.

    Raises:
        BadRequest: when there is nothing to answer.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
        msg = "'messages' must be a non-empty list of objects"
        raise BadRequest(msg)
    choices = number(body, "n", 1, MAX_CHOICES)
    prompt_tokens = sum(4 + len(_text(message)) // CHARS_PER_TOKEN for message in messages)
    tool = _tool(body, messages)
    if tool is not None:
        call = {"id": "call_1", "type": "function", "function": {"name": tool, "arguments": "{}"}}
        return Answer(model, (), (call,), "tool_calls", prompt_tokens, choices)
    words = words_about(model, _text(messages[-1]), length)
    most = number(body, "max_completion_tokens", number(body, "max_tokens", length))
    reason = "stop" if len(words) <= most else "length"
    return Answer(model, words[:most], (), reason, prompt_tokens, choices)


def number(body: Mapping[str, Any], name: str, default: int, most: int | None = None) -> int:
    """A positive number of the request's.

    Raises:
        BadRequest: it is none.
    """
    value = body.get(name)
    if value is None:
        return default
    if type(value) is not int or value < 1 or (most is not None and value > most):
        allowed = "a positive number" if most is None else f"a number from 1 to {most}"
        msg = f"'{name}' must be {allowed}"
        raise BadRequest(msg)
    return value


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def words_about(model: str, question: str, length: int) -> tuple[str, ...]:
    """What a model says to a question, in so many words."""
    said = f'This is {model}. You said: "{question[:QUOTE_CHARS]}",'.split()
    while len(said) < length:
        said.extend(FILLER)
    return tuple(said[:length])


def _tool(body: Mapping[str, Any], messages: list[Json]) -> str | None:
    """The tool to call: the one that is asked for, else the first; none when its result is there."""
    tools, choice = body.get("tools"), body.get("tool_choice")
    if not tools or choice == "none" or messages[-1].get("role") == "tool":
        return None
    try:
        named = choice if isinstance(choice, dict) else tools[0]
        return str(named["function"]["name"])
    except (KeyError, IndexError, TypeError):
        msg = "each of 'tools' must be {'type': 'function', 'function': {'name': ...}}"
        raise BadRequest(msg) from None


def completion(said: Answer, request_id: str, created: int) -> Json:
    """The whole answer of a call that is not streamed."""
    message: Json = {"role": "assistant", "content": " ".join(said.words) or None}
    if said.tool_calls:
        message["tool_calls"] = list(said.tool_calls)
    choice = {"message": message, "finish_reason": said.finish_reason, "logprobs": None}
    return {
        "id": request_id,
        "object": "chat.completion",
        "created": created,
        "model": said.model,
        "choices": [{"index": index, **choice} for index in range(said.choices)],
        "usage": said.usage(),
    }


def chunks(said: Answer, request_id: str, created: int, *, usage: bool) -> Iterator[Json]:
    """The chunks of a stream, the last one with the usage when that is asked for."""
    head = {"id": request_id, "object": "chat.completion.chunk", "created": created, "model": said.model}
    for delta in _deltas(said):
        for index in range(said.choices):
            yield {**head, "choices": [{"index": index, "delta": delta, "finish_reason": None}]}
    for index in range(said.choices):
        yield {**head, "choices": [{"index": index, "delta": {}, "finish_reason": said.finish_reason}]}
    if usage:
        yield {**head, "choices": [], "usage": said.usage()}


def _deltas(said: Answer) -> Iterator[Json]:
    yield {"role": "assistant", "content": "" if said.words else None}
    for position, word in enumerate(said.words):
        yield {"content": word if position == 0 else f" {word}"}
    for position, call in enumerate(said.tool_calls):
        yield {"tool_calls": [{"index": position, **call}]}


_KINDS = {400: "invalid_request_error", 404: "not_found_error", 429: "rate_limit_error"}


def error(status: int, message: str, code: str | None = None) -> Json:
    """An error body as OpenAI sends it."""
    kind = _KINDS.get(status, "server_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def models(names: list[str], created: int) -> Json:
    """The answer of `/v1/models`."""
    rows = [{"id": name, "object": "model", "created": created, "owned_by": "turnout"} for name in names]
    return {"object": "list", "data": rows}
