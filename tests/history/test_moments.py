"""Moments are written in many ways, and mean one thing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout import ConfigurationError
from turnout.history.moments import Position, parse_moment
from turnout.messages.moments import written

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("10m", NOW - 600),
        ("1h30m", NOW - 5400),
        ("2.5s ago", NOW - 2.5),
        ("2023-11-14T22:13:20Z", NOW),
        ("2023-11-14 22:13:20", NOW),
        ("2023-11-14T23:13:20+01:00", NOW),
        ("2023-11-14", NOW - 22 * 3600 - 13 * 60 - 20),
        ("@1700000000", NOW),
        ("#12", Position(12)),
    ],
)
def test_a_moment_is_a_time_a_while_ago_or_a_position(text, moment):
    assert parse_moment(text, NOW) == moment


@pytest.mark.parametrize(
    "text", ["", "yesterday", "10", "#", "#x", "@nan", "@", "10 min", "-5m", "2023-13-01"]
)
def test_anything_else_is_refused_and_says_what_may_be_written(text):
    with pytest.raises(ConfigurationError, match=r"10m or 1h30m"):
        parse_moment(text, NOW)


@given(st.integers(0, 4_000_000_000_000))
def test_what_is_shown_can_be_written(milliseconds):
    at = milliseconds / 1000
    assert parse_moment(written(at), NOW) == pytest.approx(at, abs=0.001)
