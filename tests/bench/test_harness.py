"""The harness of the figures: what it says must be what was measured."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

pytest.importorskip("bench", reason="the figures are part of the checkout, not of the package")

from bench.bare import chat, chat_stream
from bench.children import module, upstream
from bench.load import in_flight, one_by_one, wake_up
from bench.report import Figure, as_json, read, table
from bench.upstream import STREAM_CHUNKS, request_size, wants_stream


def test_a_lower_is_better_figure_is_reached_at_its_goal_and_not_above() -> None:
    assert Figure("x", 12.0, goal=12.0).reached
    assert not Figure("x", 12.1, goal=12.0).reached


def test_a_higher_is_better_figure_is_reached_at_its_goal_and_not_below() -> None:
    assert Figure("x", 0.75, goal=0.75, better="higher").reached
    assert not Figure("x", 0.74, goal=0.75, better="higher").reached


def test_a_figure_without_a_goal_is_neither_reached_nor_missed() -> None:
    assert Figure("x", 1.0).reached is None


def test_figures_survive_their_json() -> None:
    figures = [Figure("a", 1.5, "us", 8.0, detail="3 us"), Figure("b", 2.0, better="higher")]
    assert read(as_json(figures)) == figures


def test_a_missed_goal_stands_out_in_the_table() -> None:
    assert "| NO " in table([Figure("slow", 13.0, goal=12.0)])


def test_a_request_is_complete_when_its_whole_body_is_there() -> None:
    request = b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nabcd"
    assert request_size(request[:-1]) is None
    assert request_size(request + b"POST") == len(request)


@pytest.mark.parametrize("body", ['{"stream":true}', json.dumps({"stream": True})])
def test_a_stream_is_recognised_in_either_spacing(body: str) -> None:
    assert wants_stream(body.encode())


def test_as_many_calls_are_made_as_were_ordered() -> None:
    made = 0

    async def call() -> None:
        nonlocal made
        made += 1
        await wake_up()

    async def both() -> int:
        await in_flight(call, 100, width=7)
        return len(await one_by_one(call, 20))

    assert asyncio.run(both()) == 20
    assert made == 120


def test_the_upstream_answers_and_streams_on_one_connection() -> None:
    async def ask(url: str) -> tuple[str, int]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
            answer = await chat(session, url)
            stream = b"".join([data async for data in chat_stream(session, url)])
        return answer["object"], stream.count(b"delta")

    with upstream() as url:
        kind, chunks = asyncio.run(ask(f"{url}/v1"))
    assert kind == "chat.completion"
    assert chunks >= STREAM_CHUNKS


def test_a_figure_that_fails_is_an_error_that_names_it() -> None:
    with pytest.raises(RuntimeError, match=r"bench\.figures no_such_figure"):
        module("bench.figures", "no_such_figure", seconds=60.0)
