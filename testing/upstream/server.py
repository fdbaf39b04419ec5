"""The upstream's server: aiohttp, one behaviour per model, one source of chance."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import signal
from collections import Counter, deque
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import BodyPartReader, web

from ...actors.runtime.chance import make_rng
from ...actors.runtime.clock import LoopClock
from ..upstream import kinds, wire
from .behaviour import Behaviour, Rate

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["create_app", "serve"]

MAX_BODY_BYTES = 64 * 2**20
FILE_CHUNK_BYTES = 64 * 1024
GRACE_SECONDS = 0.5
"""So long open answers may go on when the server is told to stop."""
DEFAULT = "*"
"""Under this name the models that were not named are counted."""


class RateLimiter:
    """At most `rate.count` in any `rate.seconds`."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._taken: deque[float] = deque(maxlen=rate.count)

    def take(self, now: float) -> float | None:
        """None when this one may pass, else the seconds until one may."""
        self._forget(now)
        if len(self._taken) < self.rate.count:
            self._taken.append(now)
            return None
        return self._taken[0] + self.rate.seconds - now

    def headers(self, now: float) -> dict[str, str]:
        """What a provider says of its limit."""
        self._forget(now)
        reset = self._taken[0] + self.rate.seconds - now if self._taken else 0.0
        return {
            "x-ratelimit-limit-requests": str(self.rate.count),
            "x-ratelimit-remaining-requests": str(self.rate.count - len(self._taken)),
            "x-ratelimit-reset-requests": f"{max(reset, 0.0):.3f}s",
        }

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0] + self.rate.seconds <= now:
            self._taken.popleft()


class Model:
    """One behaviour and what it has seen."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.limiter = RateLimiter(behaviour.rate_limit) if behaviour.rate_limit else None
        self.seen: Counter[str] = Counter()

    def limit_headers(self, now: float) -> dict[str, str]:
        return self.limiter.headers(now) if self.limiter else {}


class Server:
    """Answers requests; `seed` fixes every draw, in the order in which requests come."""

    def __init__(self, behaviour: Behaviour, models: Mapping[str, Behaviour], seed: int | None) -> None:
        self._rng = make_rng(seed)
        self._clock = LoopClock()
        self._other = Model(behaviour)
        self._models = {name: Model(own) for name, own in models.items()}
        self._ids = itertools.count(1)

    def routes(self) -> list[web.RouteDef]:
        posted = [("/chat/completions", self.chat)]
        posted += [(path, partial(self.other, kind)) for kind, path in kinds.PATHS.items()]
        bases = ("/v1", "", "/openai/v1", "/openai", "/openai/deployments/{deployment}")
        return [
            *(web.post(base + path, handler) for path, handler in posted for base in bases),
            web.get("/v1/models", self.list_models),
            web.get("/stats", self.stats),
        ]

    async def list_models(self, _: web.Request) -> web.Response:
        return web.json_response(wire.models(list(self._models) or ["gpt-4o-mini"], int(self._clock.now())))

    async def stats(self, _: web.Request) -> web.Response:
        """How many requests each model got, and what became of them."""
        everyone = {**self._models, DEFAULT: self._other}
        return web.json_response({name: dict(model.seen) for name, model in everyone.items()})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await _body(request)
            name = _model_name(request, body)
            model = self._models.get(name, self._other)
            said = wire.answer(body, name, model.behaviour.words)
        except wire.BadRequest as error:
            return web.json_response(wire.error(400, str(error)), status=400)
        return await self._answer(request, model, _chat_reply(said, body))

    async def other(self, kind: str, request: web.Request) -> web.StreamResponse:
        """Any kind of request but chat."""
        try:
            body = await (_form(request) if request.content_type.startswith("multipart/") else _body(request))
            name = _model_name(request, body)
            model = self._models.get(name, self._other)
            reply = kinds.KINDS[kind](body, name, model.behaviour.words)
        except wire.BadRequest as error:
            return web.json_response(wire.error(400, str(error)), status=400)
        return await self._answer(request, model, reply)

    async def _answer(self, request: web.Request, model: Model, reply: kinds.Reply) -> web.StreamResponse:
        try:
            return await self._answered(request, model, reply)
        except (asyncio.CancelledError, ConnectionError):
            model.seen["left"] += 1
            raise

    async def _answered(self, request: web.Request, model: Model, reply: kinds.Reply) -> web.StreamResponse:
        model.seen["requests"] += 1
        refusal = self._refusal(model)
        if refusal is not None:
            return refusal
        behaviour, rng = model.behaviour, self._rng
        await asyncio.sleep(behaviour.latency.draw(rng))
        if _happens(behaviour.stall, rng):
            model.seen["stalled"] += 1
            await _forever()
        if _happens(behaviour.error_rate, rng):
            model.seen["failed"] += 1
            status = behaviour.error_status
            return web.json_response(wire.error(status, f"told to answer {status}"), status=status)
        now = self._clock.now()
        name = str(next(self._ids))
        if reply.parts is not None:
            return await self._stream(request, model, reply.parts(name, int(now)), reply.kind)
        model.seen["answered"] += 1
        content = reply.content(name, int(now))
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        headers = {**model.limit_headers(now), "Content-Type": reply.kind}
        return web.Response(body=body, headers=headers)

    def _refusal(self, model: Model) -> web.Response | None:
        """429 when the model's rate limit is reached."""
        wait = model.limiter.take(self._clock.now()) if model.limiter else None
        if wait is None:
            return None
        model.seen["rate_limited"] += 1
        told = model.behaviour.retry_after
        seconds = wait if told is None else told
        headers = {
            **model.limit_headers(self._clock.now()),
            "retry-after": str(math.ceil(seconds)),
            "retry-after-ms": str(math.ceil(seconds * 1000)),
        }
        text = f"rate limit of {model.behaviour.rate_limit} reached"
        return web.json_response(wire.error(429, text, "rate_limit_exceeded"), status=429, headers=headers)

    async def _stream(
        self, request: web.Request, model: Model, parts: list[bytes], kind: str
    ) -> web.StreamResponse:
        behaviour, rng = model.behaviour, self._rng
        cut, stall = _happens(behaviour.cut_streams, rng), _happens(behaviour.stall_streams, rng)
        end = rng.randrange(2, len(parts) - 1) if cut or stall else len(parts)  # not before the first word
        response = web.StreamResponse(headers=model.limit_headers(self._clock.now()))
        response.content_type = "text/event-stream" if kind == "application/json" else kind
        response.headers["Cache-Control"] = "no-cache"
        await response.prepare(request)
        await _write(response, parts[:end], behaviour.chunk_delay)
        if stall:
            model.seen["stalled"] += 1
            await _forever()
        if cut:
            _hang_up(request)
        model.seen["cut" if cut else "answered"] += 1
        return response


async def _write(response: web.StreamResponse, parts: list[bytes], delay: float) -> None:
    for position, part in enumerate(parts):
        if position and delay:
            await asyncio.sleep(delay)
        await response.write(part)


def _chat_reply(said: wire.Answer, body: Mapping[str, Any]) -> kinds.Reply:
    def parts(name: str, created: int) -> list[bytes]:
        documents = wire.chunks(said, f"chatcmpl-{name}", created, usage=_wants_usage(body))
        return [*_framed(documents), b"data: [DONE]\n\n"]

    def whole(name: str, created: int) -> dict[str, Any]:
        return wire.completion(said, f"chatcmpl-{name}", created)

    return kinds.Reply(whole, parts=parts if body.get("stream") else None)


async def _form(request: web.Request) -> dict[str, Any]:
    """The fields of a form; of a file the name and the size, since nobody wants to hear it."""
    body: dict[str, Any] = {}
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        if part.filename is None:
            body[part.name or ""] = await part.text()
            continue
        size = 0
        while chunk := await part.read_chunk(FILE_CHUNK_BYTES):
            size += len(chunk)
        body |= {"file_name": part.filename, "file_bytes": size}
    return body


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        msg = "the body must be a JSON object"
        raise wire.BadRequest(msg)
    return body


def _model_name(request: web.Request, body: Mapping[str, Any]) -> str:
    name = request.match_info.get("deployment") or body.get("model")
    if not name or not isinstance(name, str):
        msg = "'model' must name a model"
        raise wire.BadRequest(msg)
    return name


def _wants_usage(body: Mapping[str, Any]) -> bool:
    options = body.get("stream_options")
    return isinstance(options, dict) and bool(options.get("include_usage"))


def _framed(documents: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    return (b"data: %s\n\n" % json.dumps(document).encode() for document in documents)


def _hang_up(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _happens(share: float, rng: random.Random) -> bool:
    """No draw where nothing can happen, so one model's options do not move another's luck."""
    return share > 0 and rng.random() < share


async def _forever() -> None:
    await asyncio.Event().wait()


def create_app(
    behaviour: Behaviour | None = None,
    models: Mapping[str, Behaviour] | None = None,
    *,
    seed: int | None = None,
) -> web.Application:
    """The upstream as an aiohttp application.

    Args:
        behaviour: of every model that `models` does not name.
        models: the behaviour of each of these models (for Azure's paths: deployments).
        seed: fixes what is left to chance.
    """
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.add_routes(Server(behaviour or Behaviour(), models or {}, seed).routes())
    return app


async def serve(
    app: web.Application, host: str, port: int, ready: Callable[[str], None], stop: asyncio.Event
) -> None:
    """Serve until `stop` is set, or SIGINT or SIGTERM comes; `ready` hears the URL.

    Raises:
        OSError: when the address cannot be had.
    """
    loop = asyncio.get_running_loop()
    # cancelled when the client leaves, so that a client that does can be seen to
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=GRACE_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        ready(_url(runner))
        await stop.wait()
    finally:
        await runner.cleanup()


def _url(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
