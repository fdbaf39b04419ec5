"""What programs pass for what they did not set, or read from the environment: None, and texts."""

from __future__ import annotations

import pytest

from turnout import BadRequestError, CompletionRequest, ConfigurationError, Router, TextCompletionRequest
from turnout.messages.figures import dollars, in_seconds
from turnout.messages.settings import RouterSettings

MESSAGES = [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    "switch", ["stream", "disable_fallbacks", "mock_testing_fallbacks", "mock_testing_rate_limit_error"]
)
def test_none_is_a_switch_that_nobody_set(switch):
    request = CompletionRequest(model="gpt-4", messages=MESSAGES, **{switch: None})
    assert getattr(request, switch) is False
    assert getattr(TextCompletionRequest(model="gpt-4", prompt="Hi", **{switch: None}), switch) is False


def test_a_switch_that_is_none_of_these_is_refused():
    with pytest.raises(BadRequestError, match="stream"):
        CompletionRequest(model="gpt-4", messages=MESSAGES, stream="perhaps")


def test_a_budget_may_be_a_text():
    settings = RouterSettings(
        provider_budget_config={"openai": {"max_budget": "2.5", "budget_duration": "1d"}}
    )
    assert settings.provider_budget_config["openai"].limit == 2.5


@pytest.mark.parametrize("limit", ["much", "inf", "nan", "-1", ""])
def test_a_text_that_is_no_sum_is_no_budget(limit):
    with pytest.raises(ConfigurationError, match="a number of US dollars"):
        Router([], tag_budget_config={"team": {"max_budget": limit}})


@pytest.mark.parametrize(
    ("value", "text"), [(0.03125, "0.0312 s"), (99.94, "99.9 s"), (3600.4, "3600 s"), (86400.0, "86400 s")]
)
def test_a_long_time_is_written_in_whole_seconds(value, text):
    assert in_seconds(value) == text


@pytest.mark.parametrize(
    ("amount", "text"), [(0.0, "$0.00"), (1234.5, "$1,234.50"), (0.00123, "$0.00123"), (0.00001, "$0.000010")]
)
def test_a_small_sum_shows_its_digits(amount, text):
    assert dollars(amount) == text
