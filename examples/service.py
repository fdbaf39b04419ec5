"""A service that embeds a router: an HTTP server that answers questions, and one page on its health.

    python examples/service.py                     # with a made-up provider; ask it with curl
    curl "localhost:8080/ask?q=Why+is+the+sky+blue"
    curl localhost:8080/health

The router lives on the server's event loop, so there is no second thread. A client that hangs up
cancels its handler, which aborts the call upstream; Ctrl-C or SIGTERM ends everything in order.
"""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING

from aiohttp import web

from turnout import RequestError, Router

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROUTER = web.AppKey("router", Router)
JOURNAL = web.AppKey("journal", str)

MODEL_LIST = [
    {
        "model_name": "assistant",
        "litellm_params": {"model": "openai/gpt-4o", "mock_response": "Because of Rayleigh scattering."},
        "model_info": {"id": "primary"},
        "max_parallel_requests": 50,
    },
    {
        "model_name": "backup",
        "litellm_params": {"model": "openai/gpt-4o-mini", "mock_response": "Light is scattered."},
        "model_info": {"id": "backup"},
    },
]


async def ask(request: web.Request) -> web.StreamResponse:
    """Stream the answer to `?q=`. What fails before the first word is an HTTP error with its status."""
    question = request.query.get("q", "")
    if not question:
        raise web.HTTPBadRequest(text="ask with ?q=...\n")
    messages = [{"role": "user", "content": question}]
    try:
        stream = await request.app[ROUTER].acompletion("assistant", messages, stream=True)
    except RequestError as error:
        headers = {} if error.retry_after is None else {"Retry-After": f"{error.retry_after:.0f}"}
        return web.Response(status=error.status_code, text=f"{error}\n", headers=headers)
    response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
    async with stream:
        await response.prepare(request)
        async for chunk in stream:
            await response.write((chunk.choices[0].delta.content or "").encode())
    await response.write(b"\n")
    return response


async def health(request: web.Request) -> web.Response:
    """200 while the router is well; the line of each deployment either way."""
    state = request.app[ROUTER].health()
    lines = [deployment["line"] for deployment in state["deployments"].values()]
    body = {"ok": state["ok"], "open_requests": state["open_requests"], "deployments": lines}
    return web.json_response(body, status=200 if state["ok"] else 503)


async def the_router(app: web.Application) -> AsyncIterator[None]:
    """One router, from the server's start to its end."""
    async with Router(
        model_list=MODEL_LIST,
        num_retries=2,
        fallbacks=[{"assistant": ["backup"]}],
        timeout=60,
        on_exhausted="wait",
        journal=app[JOURNAL],
    ) as router:
        app[ROUTER] = router
        yield


def make_app(journal: str = "memory") -> web.Application:
    """The whole service."""
    app = web.Application()
    app[JOURNAL] = journal
    app.cleanup_ctx.append(the_router)
    app.add_routes([web.get("/ask", ask), web.get("/health", health)])
    return app


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description="A service with a router inside.")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--journal", default="memory", help='such as "sqlite:///service.db"')
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    web.run_app(make_app(arguments.journal), host="127.0.0.1", port=arguments.port)


if __name__ == "__main__":
    main()
