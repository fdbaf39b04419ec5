import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.testing.upstream.behaviour import Behaviour, Rate, Span, parse_behaviour, parse_option


def test_a_behaviour_is_read_from_text():
    assert parse_behaviour("latency=0.2±0.05, error_rate=1,rate-limit=20/s") == Behaviour(
        latency=Span(0.2, 0.05), error_rate=1.0, rate_limit=Rate(20)
    )


def test_what_is_not_said_comes_from_the_base():
    base = Behaviour(latency=Span(1.0), words=3)
    assert parse_behaviour("words=5", base) == Behaviour(latency=Span(1.0), words=5)


@pytest.mark.parametrize(
    ("text", "rate"), [("20/s", Rate(20)), ("100/60s", Rate(100, 60.0)), ("5/m", Rate(5, 60.0))]
)
def test_a_rate_is_read_with_its_unit(text, rate):
    assert parse_option("rate_limit", text) == rate


@pytest.mark.parametrize(
    "text",
    [
        "latency",
        "speed=1",
        "latency=fast",
        "latency=-1",
        "latency=1.2.3",
        "error_rate=1.1",
        "error_rate=nan",
        "error_status=200",
        "rate_limit=0/s",
        "rate_limit=20",
        "rate_limit=1/0s",
        "words=0",
        "retry_after=inf",
    ],
)
def test_a_wrong_option_is_named_with_what_is_allowed(text):
    with pytest.raises(ValueError, match=text.partition("=")[0]) as caught:
        parse_behaviour(text)
    assert "must be" in str(caught.value)


shares = st.floats(0, 1)
seconds = st.floats(0, 3600)
behaviours = st.builds(
    Behaviour,
    latency=st.builds(Span, seconds, seconds),
    chunk_delay=seconds,
    words=st.integers(1, 1000),
    error_rate=shares,
    error_status=st.integers(400, 599),
    rate_limit=st.none() | st.builds(Rate, st.integers(1, 1000), st.floats(0.001, 3600)),
    retry_after=st.none() | seconds,
    cut_streams=shares,
    stall=shares,
    stall_streams=shares,
)


@given(behaviours)
def test_a_behaviour_written_as_text_reads_back_the_same(behaviour):
    assert parse_behaviour(str(behaviour)) == behaviour


@given(st.floats(0, 10), st.floats(0, 20))
def test_drawn_delays_stay_within_their_jitter_and_are_never_negative(mean, jitter):
    rng = random.Random(1)
    drawn = [Span(mean, jitter).draw(rng) for _ in range(20)]
    assert max(0.0, mean - jitter) <= min(drawn) <= max(drawn) <= mean + jitter
