"""`python -m turnout upstream`: a real HTTP upstream that misbehaves as it is told to."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from attrs import evolve

from ..testing.upstream.behaviour import OPTIONS, Behaviour, parse_behaviour, parse_option
from ..testing.upstream.server import create_app, serve
from .failure import Failure

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["add_to"]

HELP = "a small upstream in OpenAI's wire format, for demos and tests"
EPILOG = """\
When it listens it prints one line of JSON: {"url": ..., "api_base": ..., "pid": ...}.
Ctrl-C or SIGTERM ends it.

examples:
  python -m turnout upstream --port 8080
  python -m turnout upstream --latency 0.05±0.02 --error-rate 0.1 --error-status 503 --seed 7
  python -m turnout upstream --rate-limit 20/s --retry-after 1 --cut-streams 0.1
  python -m turnout upstream --model slow:latency=0.5 --model broken:error_rate=1,error_status=500

  curl -s localhost:8080/v1/chat/completions \\
       -d '{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'
"""
_HELP_BY_OPTION = {
    "latency": "before the answer",
    "chunk_delay": "between the chunks of a stream",
    "words": "in an answer",
    "error_rate": "fails",
    "error_status": "with which it fails",
    "rate_limit": "beyond it: 429",
    "retry_after": "told with a 429 (default: when it really lets one through)",
    "cut_streams": "breaks off a stream",
    "stall": "gives no answer at all",
    "stall_streams": "falls silent within a stream",
}


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "upstream",
        help=HELP,
        description=f"Runs {HELP}. Chat completions (streams, tools, usage), models, and Azure's paths.",
        epilog=EPILOG,
    )
    parser.add_argument("--host", default="127.0.0.1", help="to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="to listen on (0: any free one)")
    parser.add_argument("--seed", type=int, help="makes every draw the same again")
    behaviour = parser.add_argument_group("behaviour of every model that has none of its own")
    for name, (_, allowed) in OPTIONS.items():
        text = f"{_HELP_BY_OPTION[name]}: {allowed}"
        behaviour.add_argument(f"--{name.replace('_', '-')}", type=_option(name), metavar="X", help=text)
    behaviour.add_argument(
        "--default", type=_whole, default=Behaviour(), metavar="NAME=X,...", help="several of these in one"
    )
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        type=_model,
        metavar="MODEL:NAME=X,...",
        help="the behaviour of one model, on top of the above; may be given more than once",
    )
    parser.add_argument("--ready-fd", type=int, default=1, help="where the line is written (1: stdout)")
    parser.add_argument("--until-eof", action="store_true", help="end when stdin does")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to stop."""
    changes = {name: value for name in OPTIONS if (value := getattr(arguments, name)) is not None}
    default = evolve(arguments.default, **changes)
    models = {name: parse_behaviour(text, default) for name, text in arguments.model}
    app = create_app(default, models, seed=arguments.seed)
    try:
        asyncio.run(_serve(app, arguments))
    except (OSError, OverflowError) as error:
        msg = f"cannot listen on {arguments.host}:{arguments.port}: {error}"
        raise Failure(msg) from None
    return 0


async def _serve(app: Any, arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    if arguments.until_eof:
        _stop_at_eof(stop)
    await serve(app, arguments.host, arguments.port, _announce(arguments.ready_fd), stop)


def _announce(fd: int) -> Callable[[str], None]:
    def announce(url: str) -> None:
        line = {"url": url, "api_base": f"{url}/v1", "pid": os.getpid()}
        os.write(fd, f"{json.dumps(line)}\n".encode())

    return announce


def _stop_at_eof(stop: asyncio.Event) -> None:
    """Whoever started us holds the other end; when they die in whatever way, so do we."""
    loop = asyncio.get_running_loop()

    def watch() -> None:
        while os.read(0, 1024):
            """What is said there is not for us."""
        with suppress(RuntimeError):  # the loop has ended by itself
            loop.call_soon_threadsafe(stop.set)

    # a thread, since an event loop cannot watch every kind of stdin
    threading.Thread(target=watch, name="until-eof", daemon=True).start()


def _option(name: str) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return parse_option(name, text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def _whole(text: str) -> Behaviour:
    try:
        return parse_behaviour(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _model(text: str) -> tuple[str, str]:
    """The name and what follows it, known to be right."""
    name, _, options = text.partition(":")
    if not name:
        msg = f"{text!r}: must be MODEL:NAME=X,..."
        raise argparse.ArgumentTypeError(msg)
    _whole(options)
    return name, options
