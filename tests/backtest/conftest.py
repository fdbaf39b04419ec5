"""Records of calls as a provider's log would show them, and journals of routers that lived."""

import pytest

from turnout.backtest.record import Arrival, Call

START = 1_767_225_600.0


def an_arrival(at=START, stream=False, tokens=100, **more):
    return Arrival(at, "gpt-4", "gpt-4", stream, 60.0, tokens, **more)


def a_call(at=START, seconds=1.0, *, busy=0, prompt=100, output=50, **more):
    arrival = more.pop("arrival", None) or an_arrival(at, stream=more.get("ttft") is not None)
    return Call(at, arrival, busy, seconds, prompt_tokens=prompt, output_tokens=output, **more)


@pytest.fixture
def call():
    """Makes a call of a deployment."""
    return a_call


@pytest.fixture
def arrival():
    """Makes a request as it came."""
    return an_arrival
