"""Others who use the same keys: what a provider's headers said of them is said again."""

import pytest

from turnout.backtest.backtest import compare
from turnout.backtest.play import play, requests_of
from turnout.backtest.ports import Reply
from turnout.backtest.record import read_record
from turnout.backtest.setups import Setup, as_recorded, with_settings
from turnout.backtest.sharers import Sharers
from turnout.messages.deployment import Deployment
from turnout.messages.outcomes import ProviderLimits

START = 1_767_225_600.0
SINCE, UNTIL = START + 100.0, START + 220.0


class Shared:
    """A provider of which somebody else uses 50 requests a minute for a while; its headers say so."""

    def __init__(self):
        self.sent = []

    def reply(self, asked):
        ends = asked.at + 0.5
        self.sent.append(asked.at)
        own = sum(at > ends - 60.0 for at in self.sent)
        limits = ProviderLimits(max(0, 60 - own - 50), None, 30.0) if SINCE <= ends < UNTIL else None
        return Reply(0.5, None, 100, 10, limits=limits)


@pytest.fixture
def record(arrival):
    entry = {
        "model_name": "gpt-4",
        "litellm_params": {"model": "openai/gpt-4o", "rpm": 60},
        "model_info": {"id": "eu", "input_cost_per_token": 0.0, "output_cost_per_token": 0.0},
    }
    arrivals = [arrival(START + 20.0 * (n // 10) + 0.1 * (n % 10)) for n in range(200)]  # ten at once
    events = []
    setup = Setup("recorded", {"timeout": 60.0}, {"eu": entry})
    play(requests_of(arrivals, lambda _: 60.0), setup, Shared(), 1, listen=events.extend)
    return read_record(events)


def test_who_got_nothing_since_others_used_the_key_gets_nothing_again(record):
    assert len(record.limits["eu"]) > 1
    usual = as_recorded(record)
    found = compare(record, [usual], 8)
    refused = found.recorded.get("errors")
    assert refused > 0.1
    assert found.usual.estimate("errors").mean == pytest.approx(refused, rel=0.3)
    record.limits = {}
    assert compare(record, [usual], 3).usual.estimate("errors").mean == 0.0


def test_under_settings_that_send_less_there_is_more_left(record):
    usual = as_recorded(record)
    record.arrivals = record.arrivals[::5]
    record.rows = record.rows[::5]
    found = compare(record, [usual, with_settings(usual, "x", {"num_retries": 0})], 2)
    assert all(column.estimate("errors").mean == 0.0 for column in found.columns)


def eu(rpm=None, tpm=None):
    return Deployment("eu", "gpt-4", "openai/gpt-4o", "openai", rpm=rpm, tpm=tpm)


@pytest.fixture
def said():
    """What headers say half a minute into a correction of 7 requests and 900 tokens, that ends at 60."""

    def at(moment, rpm=60, tpm=1_000, own=0):
        sharers = Sharers({"eu": [(10.0, 7, 900, 60.0), (70.0, 1, 0, 130.0)]})
        for _ in range(own):
            sharers.start("eu", moment - 1.0, 40.0)
        return sharers.limits(eu(rpm, tpm), moment)

    return at


def test_it_is_said_from_when_it_was_told_until_the_same_end(said):
    assert said(9.9) is None
    assert said(10.0) == ProviderLimits(53, 100, 50.0, 50.0)
    assert said(59.0) == ProviderLimits(53, 100, 1.0, 1.0)
    assert said(60.0) is None
    assert said(75.0) == ProviderLimits(59, None, 55.0, 55.0)


def test_what_the_play_used_itself_is_gone_too_and_nothing_is_less_than_nothing(said):
    assert said(30.0, own=2) == ProviderLimits(51, 20, 30.0, 30.0)
    assert said(30.0, own=4).remaining_tokens == 0
    assert said(30.0, rpm=None) == ProviderLimits(None, 100, 30.0, 30.0)
    assert Sharers({}).limits(eu(), 1.0) is None
