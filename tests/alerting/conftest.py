"""A webhook on this machine, over real HTTP, that behaves as it is told."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from turnout.actors.alerting import actor, ledger

PATIENCE = 30.0


class Hook:
    """Remembers what was posted; answers with the statuses of `script`, then with 200.

    `"hang"` in the script is no answer until the end, `"cut"` a connection that is closed without one.
    """

    def __init__(self, script: list[Any] = ()) -> None:  # type: ignore[assignment]
        self.script = list(script)
        self.headers: dict[str, str] = {}
        self.requests: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self._came = threading.Condition()
        self._over = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                hook._post(self)

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/services/T000/B000/the-secret-of-the-hook"

    @property
    def texts(self) -> list[str]:
        return [request["text"] for request in self.requests]

    def _post(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["content-length"])))
        with self._came:
            self.requests.append(body)
            self.paths.append(handler.path)
            step = self.script.pop(0) if self.script else 200
            self._came.notify_all()
        if step == "hang":
            self._over.wait(PATIENCE)
            return
        if step == "cut":
            handler.connection.close()
            return
        handler.send_response(step)
        for name, value in self.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(b"ok")

    def wait_for(self, count: int) -> None:
        """Wait until so many tries have come."""
        with self._came:
            assert self._came.wait_for(lambda: len(self.requests) >= count, PATIENCE), self.requests

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def make_hook():
    hooks: list[Hook] = []

    def make(*script: Any) -> Hook:
        hooks.append(Hook(list(script)))
        return hooks[-1]

    yield make
    for hook in hooks:
        hook.close()


@pytest.fixture
def hasty(monkeypatch):
    """Real time, in a hurry: what takes seconds in life takes milliseconds here."""
    monkeypatch.setattr(ledger, "GATHER_SECONDS", 0.01)
    for name, value in {"SPACING": 0.01, "BACKOFF": 0.01, "SETTLE": 0.01}.items():
        monkeypatch.setattr(actor, f"{name}_SECONDS", value)
