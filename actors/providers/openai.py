"""OpenAI's chat completions, as OpenAI and everyone compatible with it speaks them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import msgspec
from pydantic import ValidationError

from ...messages.errors import ConfigurationError
from ...messages.responses import ModelResponse, ModelResponseStream
from .endpoints import OPENAI_FORMAT
from .failures import prompt_texts, refusal, unusable
from .parameters import as_json, deployment_defaults, refuse_deployment_params, split_params, without_dropped
from .usage import usage_of
from .wire import Decoded, Post, head_of

if TYPE_CHECKING:
    from ...messages.commands import Call
    from ...messages.deployment import Deployment
    from ...messages.errors import RequestError
    from ...messages.outcomes import Usage
    from .sse import SseEvent

__all__ = ["OpenAICodec", "OpenAIStream", "base_url"]

CHAT = "/chat/completions"
DONE = b"[DONE]"

_parse_response = ModelResponse.model_validate_json
_parse_chunk = ModelResponseStream.model_validate_json
_NO_HEADERS = httpx.Headers({"content-type": "application/json"})


def base_url(deployment: Deployment) -> httpx.URL:
    """Where a deployment's provider lives: its `api_base`, else the provider's own address.

    Raises:
        ConfigurationError: there is none, or it is no HTTP address.
    """
    endpoint = OPENAI_FORMAT.get(deployment.provider)
    base = deployment.api_base or (endpoint.base if endpoint is not None else None)
    where = f"deployment {deployment.id}"
    if base is None:
        msg = f"{where}: provider {deployment.provider} needs an api_base"
        raise ConfigurationError(msg)
    try:
        url = httpx.URL(base.strip())
    except httpx.InvalidURL:
        msg = f"{where}: api_base is not a URL"
        raise ConfigurationError(msg) from None
    if url.scheme not in ("http", "https") or not url.host:
        msg = f"{where}: api_base must begin with http:// or https:// and name a host"
        raise ConfigurationError(msg)
    if url.userinfo:
        msg = f"{where}: api_base may hold no user or password; use api_key or extra_headers"
        raise ConfigurationError(msg)
    return url.copy_with(fragment=None)


def with_path(url: httpx.URL, path: str) -> httpx.URL:
    """The URL with this (already quoted) path, its query kept."""
    query = f"?{url.query.decode()}" if url.query else ""
    return url.copy_with(raw_path=f"{path}{query}".encode())


def raw_path(url: httpx.URL) -> str:
    """The path as it is written, without a slash at its end and without the query."""
    return url.raw_path.partition(b"?")[0].decode().rstrip("/")


class OpenAICodec:
    """Chat completions of one deployment; see :class:`~.wire.Codec`."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        endpoint = OPENAI_FORMAT.get(deployment.provider)
        self._asks_usage = endpoint is None or endpoint.asks_usage
        self._defaults, extra = deployment_defaults(deployment)
        self._url = self.url_for(deployment.model)
        self._headers = self._base_headers(extra)
        self._wild = "*" in deployment.model
        self._text = str(self._url)
        self._head = head_of("POST", self._url, self._headers)

    def url_for(self, model: str) -> httpx.URL:
        """Where chat completions of this model are asked for."""
        url = base_url(self._deployment)
        path = raw_path(url)
        return with_path(url, path if path.endswith(CHAT) else path + CHAT)

    def authorization(self) -> tuple[bytes, bytes] | None:
        """The header that holds the key; None without a key, as local servers have it."""
        key = self._deployment.api_key
        if key is None or not key.get_secret_value():
            return None
        return b"authorization", b"Bearer " + key_bytes(self._deployment, key.get_secret_value())

    def _base_headers(self, extra: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        headers = [
            (b"host", self._url.netloc),
            (b"content-type", b"application/json"),
            (b"accept-encoding", b"identity"),
            (b"user-agent", b"turnout"),
        ]
        key = self.authorization()
        if key is not None:
            headers.append(key)
        return _overridden(headers, extra)

    def encode(self, call: Call) -> httpx.Request:
        url, headers, body = self._encoded(call)
        headers = [*headers, (b"content-length", b"%d" % len(body))]
        return httpx.Request("POST", url, headers=headers, stream=httpx.ByteStream(body))

    def post(self, call: Call) -> Post:
        url, headers, body = self._encoded(call)
        if url is self._url and headers is self._headers:
            text, head = self._text, self._head
        else:
            text, head = str(url), head_of("POST", url, headers)
        return Post(text, b"%scontent-length: %d\r\n\r\n" % (head, len(body)), body)

    def _encoded(self, call: Call) -> tuple[httpx.URL, list[tuple[bytes, bytes]], bytes]:
        """Where to, the headers but for the length, and the body."""
        request = call.request
        given = request.wire_params()
        refuse_deployment_params(given)
        merged = without_dropped({**self._defaults, **given}, self._deployment, request)
        params, extra = split_params(merged)
        model = self._deployment.model
        url = self._url
        if self._wild:
            model = model.replace("*", call.wildcard or "", 1)
            url = self.url_for(model)
        params["model"] = model
        self._set_stream(params, call)
        return url, _overridden(self._headers, extra) if extra else self._headers, as_json(params)

    def _set_stream(self, params: dict[str, Any], call: Call) -> None:
        if not call.stream:
            params.pop("stream", None)
            params.pop("stream_options", None)
            return
        params["stream"] = True
        if self._asks_usage:
            # whoever says include_usage=False knows a server that cannot
            params["stream_options"] = {"include_usage": True, **(params.get("stream_options") or {})}

    def decode(self, body: bytes, call: Call) -> Decoded:
        try:
            response: ModelResponse | None = _parse_response(body)
        except ValidationError:
            response = None  # gone before anything is raised: its text quotes the answer
        if response is None:
            response = self._salvaged(body, call)
        if not response.choices:
            raise self._complained(body, call) or unusable(self._deployment, "200 without choices")
        return Decoded(response, None if response.usage is None else usage_of(response.usage))

    def _salvaged(self, body: bytes, call: Call) -> ModelResponse:
        """An answer that lacks no more than its id; anything else is an error."""
        value = _json_or_none(body)
        if isinstance(value, dict) and isinstance(value.get("choices"), list) and value.get("id") is None:
            try:
                return ModelResponse.model_validate({**value, "id": call.call_id})
            except ValidationError:
                pass  # what is wrong with it is said below
        raise self._complained(body, call) or unusable(self._deployment, _what_is_wrong(body, value))

    def _complained(self, body: bytes, call: Call) -> RequestError | None:
        """The error for an error object in a 200."""
        value = _json_or_none(body)
        if not isinstance(value, dict) or not value.get("error"):
            return None
        prompt = prompt_texts(call.request)
        return refusal(self._deployment, 200, _NO_HEADERS, body, 0.0, prompt=prompt)

    def stream(self, call: Call) -> OpenAIStream:
        options = call.request.wire_params().get("stream_options", self._defaults.get("stream_options"))
        asked = isinstance(options, dict) and bool(options.get("include_usage"))
        return OpenAIStream(self._deployment, call, show_usage=asked)


class OpenAIStream:
    """One streamed answer; see :class:`~.wire.StreamDecoder`."""

    __slots__ = ("_call", "_deployment", "_finished", "_seen", "_show_usage", "done", "usage")

    def __init__(self, deployment: Deployment, call: Call, *, show_usage: bool) -> None:
        self._deployment = deployment
        self._call = call
        self._show_usage = show_usage
        self._seen: set[int] = set()
        self._finished: set[int] = set()
        self.usage: Usage | None = None
        self.done = False

    def decode(self, event: SseEvent) -> ModelResponseStream | None:
        data = event.data
        try:
            chunk = _parse_chunk(data)
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

    def finish(self) -> None:
        if not self._finished:
            raise unusable(self._deployment, "a stream that ended without a finish_reason")
        if self._finished < self._seen:
            raise unusable(self._deployment, "a stream that ended before all its choices had finished")

    def _wrong(self, event: SseEvent) -> RequestError:
        value = _json_or_none(event.data)
        if isinstance(value, dict) and (value.get("error") or event.name == b"error"):
            prompt = prompt_texts(self._call.request)
            return refusal(self._deployment, 200, _NO_HEADERS, event.data, 0.0, prompt=prompt)
        if value is None:
            return unusable(self._deployment, "a stream with a chunk that is not JSON")
        return unusable(self._deployment, "a stream with a chunk that has no usable choices")


def key_bytes(deployment: Deployment, key: str) -> bytes:
    """A key as it stands in a header.

    Raises:
        ConfigurationError: it would break out of its line. The text does not show it.
    """
    if not (key.isascii() and key.isprintable()):
        msg = f"deployment {deployment.id}: the api_key must be printable ASCII"
        raise ConfigurationError(msg)
    return key.encode()


def _overridden(
    headers: list[tuple[bytes, bytes]], extra: list[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    """`headers` with `extra` in the place of those of the same name."""
    names = {name.lower() for name, _ in extra} - {b"host", b"content-length"}
    kept = [header for header in headers if header[0].lower() not in names]
    return kept + [header for header in extra if header[0].lower() in names]


def _json_or_none(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _what_is_wrong(body: bytes, value: Any) -> str:
    if value is None:
        start = body[:200].lstrip().lower()
        if not start:
            return "200 with an empty body"
        what = "HTML" if start.startswith(b"<") else "what is not, or only half, JSON"
        return f"200 with {what} ({len(body)} bytes)"
    if not isinstance(value, dict) or "choices" not in value:
        return "200 without choices"
    return "200 with choices that are not in OpenAI's shape"
