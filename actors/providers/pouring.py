"""Sending a body piece by piece while the answer is awaited, which may come before the body's end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import aiohttp
from aiohttp.http import StreamWriter

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from aiohttp.client_proto import ResponseHandler

    from .wire import Pieces

__all__ = ["pour"]

M = TypeVar("M")
C = TypeVar("C")

_LOST = (aiohttp.ClientError, OSError)


async def pour(
    protocol: ResponseHandler, body: Pieces, answer: Coroutine[None, None, tuple[M, C]]
) -> tuple[M, C, bool]:
    """Send all of the body and wait for the head of the answer.

    A server may answer before it has read everything (it does not like the size, or the key): then the
    rest is not sent. The last value says whether the whole body was.

    Raises:
        BadRequestError: the body could not be made.
    """
    reading = asyncio.ensure_future(answer)
    sending = asyncio.ensure_future(_send(protocol, body))
    try:
        await asyncio.wait((reading, sending), return_when=asyncio.FIRST_COMPLETED)
        if sending.done() and not reading.done():
            _unless_lost(sending)
        message, content = await reading
        return message, content, sending.done() and sending.exception() is None
    finally:
        reading.cancel()
        sending.cancel()
        await asyncio.gather(reading, sending, return_exceptions=True)


def _unless_lost(sending: asyncio.Future[None]) -> None:
    """A connection that broke says why to whoever reads from it; what is wrong with the body is said here."""
    error = sending.exception()
    if error is not None and not isinstance(error, _LOST):
        raise error


async def _send(protocol: ResponseHandler, body: Pieces) -> None:
    loop = asyncio.get_running_loop()
    writer = StreamWriter(protocol, loop)
    pieces = iter(body)
    try:
        while True:
            if body.off_loop:
                piece = await loop.run_in_executor(None, next, pieces, None)
            else:
                piece = next(pieces, None)
                await asyncio.sleep(0)  # a fast connection must not keep the loop from everybody else
            if piece is None:
                return
            await writer.write(piece)
    finally:
        body.close()
