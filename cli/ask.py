"""`python -m turnout ask MODEL "text"`: one real request, its answer to the terminal as it comes."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from ..messages.errors import AuthenticationError, MidStreamError, TurnoutError
from ..messages.requests import CompletionRequest
from ..supervisor.face.router import Router
from .failure import Failure

if TYPE_CHECKING:
    import argparse

    from ..messages.responses import ModelResponse
    from ..supervisor.stream import ModelStream

__all__ = ["add_to"]

HELP = "send one request to a provider"
EPILOG = """\
The key comes from the environment: OPENAI_API_KEY for openai/..., AZURE_API_KEY for azure/..., and
so on. With --api-base it is only sent when --key-env names its variable.

examples:
  python -m turnout ask gpt-4o-mini "Why is the sky blue?"
  git diff | python -m turnout ask openai/gpt-4o - --system "Review this change."
  python -m turnout ask azure/my-deployment "Hello" --api-version 2024-10-21
  python -m turnout ask llama3 "Hello" --api-base http://localhost:11434/v1
"""


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "ask",
        help=HELP,
        description="Sends one request and prints the answer as it comes.",
        epilog=EPILOG,
    )
    parser.add_argument("model", metavar="MODEL", help="provider/model, such as openai/gpt-4o-mini")
    parser.add_argument("text", metavar="TEXT", help="what to ask; - reads it from stdin")
    parser.add_argument("--system", metavar="TEXT", help="a system message")
    parser.add_argument("--api-base", metavar="URL", help="any OpenAI-compatible server")
    parser.add_argument("--api-version", metavar="DATE", help="for Azure")
    parser.add_argument("--key-env", metavar="NAME", help="the environment variable that holds the key")
    parser.add_argument("--no-stream", action="store_true", help="print the answer when it is complete")
    parser.add_argument("--timeout", type=float, default=120.0, metavar="SECONDS", help="(%(default)g)")
    parser.add_argument("--retries", type=int, default=2, metavar="N", help="after a failure (%(default)s)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Ask, and print what comes."""
    try:
        asyncio.run(_ask(arguments))
    except MidStreamError as error:
        print()
        msg = f"the answer broke off: {error}"
        raise Failure(msg) from None
    except AuthenticationError as error:
        provider = (error.llm_provider or "openai").upper()
        msg = f"{error} (is the right key in {arguments.key_env or f'{provider}_API_KEY'}?)"
        raise Failure(msg) from None
    except TurnoutError as error:
        msg = f"{type(error).__name__}: {error}"
        raise Failure(msg) from None
    return 0


async def _ask(arguments: argparse.Namespace) -> None:
    request = _request(arguments)
    async with Router([_deployment(arguments)], num_retries=arguments.retries) as router:
        answer = await router.ask(request, block=False)
        if request.stream:
            await _print_stream(answer)
        else:
            _print_answer(answer)


def _deployment(arguments: argparse.Namespace) -> dict[str, Any]:
    params = {"model": arguments.model, "api_base": arguments.api_base, "api_version": arguments.api_version}
    if arguments.key_env:
        params["api_key"] = f"os.environ/{arguments.key_env}"
    given = {name: value for name, value in params.items() if value is not None}
    return {"model_name": arguments.model, "litellm_params": given, "model_info": {"id": arguments.model}}


def _request(arguments: argparse.Namespace) -> CompletionRequest:
    text = sys.stdin.read() if arguments.text == "-" else arguments.text
    messages = [{"role": "user", "content": text}]
    if arguments.system:
        messages.insert(0, {"role": "system", "content": arguments.system})
    return CompletionRequest(
        model=arguments.model,
        messages=messages,
        stream=not arguments.no_stream,
        timeout=arguments.timeout,
    )


async def _print_stream(stream: ModelStream) -> None:
    async for chunk in stream:
        for choice in chunk.choices:
            if choice.delta.content:
                print(choice.delta.content, end="", flush=True)
    print()


def _print_answer(answer: ModelResponse) -> None:
    message = answer.choices[0].message
    print(message.content if message.content is not None else answer.json(indent=2))
