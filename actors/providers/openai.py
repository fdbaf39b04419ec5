"""OpenAI's wire formats, as OpenAI, Azure and everyone compatible speak them: what all kinds share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
import msgspec
from pydantic import BaseModel, ValidationError

from ..runtime.channel import Sealed
from .endpoints import OPENAI_FORMAT
from .failures import prompt_texts, refusal, unusable
from .glance import MAX_MISSES
from .parameters import as_json, deployment_defaults, refuse_deployment_params, split_params, without_dropped
from .sse import SseReader
from .usage import usage_of
from .wire import MAX_BODY_BYTES, NO_STREAMS, Decoded, Post, head_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...messages.commands import Call
    from ...messages.deployment import Deployment
    from ...messages.errors import RequestError
    from ...messages.outcomes import Usage
    from .address import Address
    from .glance import Glance
    from .sse import SseEvent
    from .wire import StreamDecoder

__all__ = ["DocumentCodec", "EventStream", "OpenAICodec", "json_or_none"]

DONE = b"[DONE]"
_NO_HEADERS = httpx.Headers({"content-type": "application/json"})

Headers = list[tuple[bytes, bytes]]


class OpenAICodec(ABC):
    """One kind of request of one deployment; see :class:`~.wire.Codec`.

    A kind says its `PATH`, what it does to the parameters, and how it reads the answer.
    """

    PATH: ClassVar[str]

    max_body = MAX_BODY_BYTES
    no_streams: tuple[str, ...] = NO_STREAMS

    def __init__(self, deployment: Deployment, address: Address) -> None:
        self.deployment = deployment
        self._address = address
        endpoint = OPENAI_FORMAT.get(deployment.provider)
        self.asks_usage = endpoint is None or endpoint.asks_usage
        self._defaults, extra = deployment_defaults(deployment)
        self._url = address.url(self.PATH, deployment.model)
        self._headers = self._base_headers(extra)
        self._wild = "*" in deployment.model
        self._text = str(self._url)
        self._head = head_of("POST", self._url, self._headers)

    def _base_headers(self, extra: Headers) -> Headers:
        headers = [
            (b"host", self._url.netloc),
            (b"content-type", b"application/json"),
            (b"accept-encoding", b"identity"),
            (b"user-agent", b"turnout"),
        ]
        key = self._address.authorization()
        if key is not None:
            headers.append(key)
        return overridden(headers, extra)

    # -- asking

    def encode(self, call: Call) -> httpx.Request:
        url, headers, params = self._prepared(call)
        body = as_json(params)
        headers = [*headers, (b"content-length", b"%d" % len(body))]
        return httpx.Request("POST", url, headers=headers, stream=httpx.ByteStream(body))

    def post(self, call: Call) -> Post:
        url, headers, params = self._prepared(call)
        body = as_json(params)
        if url is self._url and headers is self._headers:
            text, head = self._text, self._head
        else:
            text, head = str(url), head_of("POST", url, headers)
        return Post(text, b"%scontent-length: %d\r\n\r\n" % (head, len(body)), body)

    def _prepared(self, call: Call) -> tuple[httpx.URL, Headers, dict[str, Any]]:
        """Where to, the headers but for the length, and the parameters."""
        request = call.request
        given = request.wire_params()
        refuse_deployment_params(given)
        merged = without_dropped({**self._defaults, **given}, self.deployment, request)
        params, extra = split_params(merged)
        model = self.deployment.model
        url = self._url
        if self._wild:
            model = model.replace("*", call.wildcard or "", 1)
            url = self._address.url(self.PATH, model)
        params["model"] = model
        self.adapt(params, call)
        return url, overridden(self._headers, extra) if extra else self._headers, params

    def adapt(self, params: dict[str, Any], call: Call) -> None:  # noqa: B027  (most kinds say it as it is)
        """Change the parameters to what this kind says."""

    # -- reading

    @abstractmethod
    def decode(self, body: bytes, call: Call, kind: str = "") -> Decoded:
        """The answer in a body; see :class:`~.wire.Codec`."""

    def stream(self, call: Call) -> StreamDecoder:
        """No stream is asked of a kind that has none: its request refuses it."""
        raise unusable(self.deployment, f"a stream, which no {call.request.KIND} has")

    def shows_usage(self, call: Call) -> bool:
        """Whether the caller of a stream wants to see the chunk that tells its usage."""
        options = call.request.wire_params().get("stream_options", self._defaults.get("stream_options"))
        return isinstance(options, dict) and bool(options.get("include_usage"))

    def default(self, name: str) -> Any:
        """What the deployment says of a parameter that a call does not name."""
        return self._defaults.get(name)

    def complained(self, body: bytes, call: Call) -> RequestError | None:
        """The error for an error object in a 200."""
        value = json_or_none(body)
        if not isinstance(value, dict) or not value.get("error"):
            return None
        return refused(self.deployment, body, call)


class DocumentCodec(OpenAICodec):
    """A kind whose answer is one JSON document with a member that it must have."""

    MEMBER: ClassVar[str]
    ANSWER: ClassVar[type[BaseModel]]

    def decode(self, body: bytes, call: Call, kind: str = "") -> Decoded:
        try:
            response: Any = self.ANSWER.model_validate_json(body)
        except ValidationError:
            response = None  # gone before anything is raised: its text quotes the answer
        if response is None:
            what = what_is_wrong(body, json_or_none(body), self.MEMBER)
            raise self.complained(body, call) or unusable(self.deployment, what)
        self.check(response, call)
        return Decoded(response, self.usage(response, call))

    def check(self, response: Any, call: Call) -> None:
        """Whether it answers what was asked.

        Raises:
            RequestError: it does not.
        """

    def usage(self, response: Any, call: Call) -> Usage | None:
        """What it says was used."""
        return None


class EventStream(ABC):
    """One answer that is streamed as events; see :class:`~.wire.StreamDecoder`.

    A kind says what a chunk is, and whether there is content in it.
    """

    __slots__ = (
        "_call",
        "_deployment",
        "_finished",
        "_glance",
        "_misses",
        "_parse",
        "_seen",
        "_show_usage",
        "done",
        "feed",
        "usage",
    )

    CHUNK: ClassVar[type[BaseModel]]
    GLANCE: ClassVar[Glance]

    def __init__(self, deployment: Deployment, call: Call, *, show_usage: bool) -> None:
        self._deployment = deployment
        self._call = call
        self._show_usage = show_usage
        self._seen: set[int] = set()
        self._finished: set[int] = set()
        # not `model_validate_json`, which is one more call into Python for each chunk
        self._parse: Callable[[bytes], Any] = self.CHUNK.__pydantic_validator__.validate_json
        self._glance: Callable[[bytes], Any] = self.GLANCE.decode
        self._misses = 0
        self.feed: Callable[[bytes], list[Any]] = SseReader().feed
        self.usage: Usage | None = None
        self.done = False

    def decode(self, event: SseEvent) -> Any:
        data = event.data
        try:
            chunk = self._parse(data)
        except ValidationError:
            if data == DONE:
                self.done = True
                return None
            raise self._wrong(event) from None
        if event.name == b"error":
            raise self._wrong(event)
        if chunk.usage is not None:
            self.usage = usage_of(chunk.usage)
            if not chunk.choices and not self._show_usage:
                return None
        for choice in chunk.choices:
            self._seen.add(choice.index)
            if choice.finish_reason is not None:
                self._finished.add(choice.index)
        if not chunk.choices and chunk.__pydantic_extra__ and chunk.__pydantic_extra__.get("error"):
            raise self._wrong(event)
        return chunk

    def pass_on(self, event: SseEvent) -> Any:
        data = event.data
        if event.name or self._misses >= MAX_MISSES or data == DONE:
            return self.decode(event)
        try:
            choices = self._glance(data).choices
        except ValueError:
            choices = None
        if not choices:
            self._misses += 1
            return self.decode(event)
        for choice in choices:
            self._seen.add(choice.index)
        return Sealed(data, self._parse)

    @abstractmethod
    def has_content(self, chunk: Any) -> bool:
        """Whether the stream has begun with this chunk; see :class:`~.wire.StreamDecoder`."""

    def finish(self) -> None:
        if not self._finished:
            raise unusable(self._deployment, "a stream that ended without a finish_reason")
        if self._finished < self._seen:
            raise unusable(self._deployment, "a stream that ended before all its choices had finished")

    def _wrong(self, event: SseEvent) -> RequestError:
        value = json_or_none(event.data)
        if isinstance(value, dict) and (value.get("error") or event.name == b"error"):
            return refused(self._deployment, event.data, self._call)
        if value is None:
            return unusable(self._deployment, "a stream with a chunk that is not JSON")
        return unusable(self._deployment, "a stream with a chunk that has no usable choices")


def refused(deployment: Deployment, body: bytes, call: Call) -> RequestError:
    """The error for an error object that came with status 200."""
    return refusal(deployment, 200, _NO_HEADERS, body, 0.0, prompt=prompt_texts(call.request))


def set_stream(params: dict[str, Any], *, stream: bool, asks_usage: bool) -> None:
    """Ask for a stream, and for its usage, or for none."""
    if not stream:
        params.pop("stream", None)
        params.pop("stream_options", None)
        return
    params["stream"] = True
    if asks_usage:
        # whoever says include_usage=False knows a server that cannot
        params["stream_options"] = {"include_usage": True, **(params.get("stream_options") or {})}


def overridden(headers: Headers, extra: Headers) -> Headers:
    """`headers` with `extra` in the place of those of the same name."""
    names = {name.lower() for name, _ in extra} - {b"host", b"content-length"}
    kept = [header for header in headers if header[0].lower() not in names]
    return kept + [header for header in extra if header[0].lower() in names]


def json_or_none(body: bytes) -> Any:
    """What is in a body, None when it is no JSON."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def what_is_wrong(body: bytes, value: Any, member: str) -> str:
    """In words of ours, which quote nothing of it."""
    if value is None:
        start = body[:200].lstrip().lower()
        if not start:
            return "200 with an empty body"
        what = "HTML" if start.startswith(b"<") else "what is not, or only half, JSON"
        return f"200 with {what} ({len(body)} bytes)"
    if not isinstance(value, dict) or member not in value:
        return f"200 without {member}"
    return f"200 with {member} that are not in OpenAI's shape"
