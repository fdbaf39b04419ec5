"""A router whose deployments are a real upstream, and a server that keeps what it was sent."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import openai
import pytest

from turnout import Router
from turnout.testing import FakeClock, SimulatedProviders
from turnout.testing.upstream import run_upstream

KEY = "sk-" + "live0123456789abcdef"


def entry(deployment_id: str, group: str, model: str = "openai/gpt-4o", **params: Any) -> dict[str, Any]:
    info = {"id": deployment_id, **params.pop("info", {})}
    return {
        "model_name": group,
        "litellm_params": {"model": model, "api_key": KEY, **params},
        "model_info": info,
    }


@pytest.fixture(scope="session")
def upstream():
    with run_upstream(seed=1) as running:
        yield running


@pytest.fixture
def routed(upstream):
    """`routed("m", **params)`: a router with one group `m` at the upstream; closed afterwards."""
    routers = []

    def make(group: str, model: str = "", settings: Any = None, **params: Any) -> Router:
        where = {"api_base": upstream.api_base, **params}
        router = Router([entry("one", group, model or f"openai/{group}", **where)], **(settings or {}))
        routers.append(router)
        return router

    yield make
    for router in routers:
        router.close()


@pytest.fixture
def sdk(upstream):
    """OpenAI's own client, on the same upstream."""
    with openai.OpenAI(base_url=upstream.api_base, api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def on_a_fake_clock():
    """`on_a_fake_clock(entries, providers)`: a deterministic router with simulated providers."""
    routers = []

    def make(entries: list[Any], providers: Any = None, **settings: Any) -> Router:
        caller = providers if hasattr(providers, "connect") else SimulatedProviders(providers or {})
        router = Router(entries, clock=FakeClock(), caller=caller, seed=1, **settings)
        routers.append(router)
        return router

    yield make
    for router in routers:
        router.close()


@pytest.fixture
def mocked():
    """`mocked(**params)`: a router with one group "m" that answers with a mock."""
    routers = []

    def make(**params: Any) -> Router:
        router = Router([entry("one", "m", **params)], clock=FakeClock(), seed=1)
        routers.append(router)
        return router

    yield make
    for router in routers:
        router.close()


class Recorder:
    """Answers every request the same, and keeps its line, its headers and its body."""

    def __init__(self, answer: bytes, kind: str, status: int) -> None:
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        seen = self.seen

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                seen.append((self.command, self.path, headers, body))
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    def sdk(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.base, api_key=KEY, max_retries=0)

    def router(self, group: str, model: str, **params: Any) -> Router:
        return Router([entry("one", group, model, **{"api_base": self.base, **params})])


@contextmanager
def recording(answer: bytes, kind: str = "application/json", status: int = 200):
    recorder = Recorder(answer, kind, status)
    thread = threading.Thread(target=recorder.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield recorder
    finally:
        recorder.server.shutdown()
        recorder.server.server_close()
        thread.join()


class Kit:
    KEY = KEY
    entry = staticmethod(entry)
    recording = staticmethod(recording)


@pytest.fixture(name="kit")
def kit_() -> type[Kit]:
    return Kit
