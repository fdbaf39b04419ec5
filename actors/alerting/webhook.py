"""One message to the webhook, in Slack's shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from ...messages.values import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import SecretStr

__all__ = ["MAX_RETRY_AFTER", "Posted", "Webhook"]

MAX_RETRY_AFTER = 60.0
"""Seconds of a webhook's Retry-After that are believed."""


class Posted(Message, frozen=True):
    """A try is over. `problem` is None when the message arrived; it never holds the webhook's address.

    `hopeless`: the webhook has refused it and would do so again.
    """

    number: int
    problem: str | None = None
    hopeless: bool = False
    retry_after: float = 0.0


class Webhook:
    """Posts over a transport of its own, or the user's.

    Its address is its password, so it stands in no repr, log line or error.

    Args:
        url: the address.
        transport: None for one that `make` opens with the first message, and that is closed here.
    """

    def __init__(
        self,
        url: SecretStr,
        transport: httpx.AsyncBaseTransport | None,
        make: Callable[[], httpx.AsyncBaseTransport],
    ) -> None:
        self._url = url
        self._transport = transport
        self._make = make
        self._ours: httpx.AsyncBaseTransport | None = None

    def __repr__(self) -> str:
        return "<Webhook>"

    async def post(self, number: int, text: str, deliver: Callable[[Posted], object]) -> None:
        """Try once, and tell how it went. Its time is watched from outside."""
        transport = self._transport
        if transport is None:
            transport = self._transport = self._ours = self._make()
        try:
            request = httpx.Request("POST", self._url.get_secret_value(), json={"text": text})
            response = await transport.handle_async_request(request)
            await response.aclose()  # what it says is of no interest
        except Exception as error:  # noqa: BLE001  (a user's transport may raise anything; the text has the address)
            deliver(Posted(number, type(error).__name__))
            return
        deliver(_verdict(number, response))

    async def aclose(self) -> None:
        """Close what was opened here."""
        if self._ours is not None:
            await self._ours.aclose()


def _verdict(number: int, response: httpx.Response) -> Posted:
    status = response.status_code
    if status < 300:
        return Posted(number)
    again = status in (408, 429) or status >= 500
    return Posted(number, f"HTTP {status}", not again, _retry_after(response.headers.get("retry-after")))


def _retry_after(value: str | None) -> float:
    """The seconds it names; 0 for nonsense."""
    try:
        seconds = float(value or 0)
    except ValueError:
        return 0.0
    return min(seconds, MAX_RETRY_AFTER) if seconds > 0 else 0.0
