"""What providers say a call used, in the usual ways."""

import pytest

from turnout.actors.providers.usage import usage_from, usage_of
from turnout.messages.outcomes import Usage
from turnout.messages.responses import ResponseUsage


def test_openais_details():
    told = ResponseUsage(
        prompt_tokens=100,
        completion_tokens=50,
        prompt_tokens_details={"cached_tokens": 30, "audio_tokens": 20},
        completion_tokens_details={"reasoning_tokens": 10, "audio_tokens": 5},
    )
    expected = Usage(100, 50, 30, input_audio_tokens=20, output_audio_tokens=5, reasoning_tokens=10)
    assert usage_of(told) == expected


def test_anthropics_cache_fields():
    told = ResponseUsage(
        prompt_tokens=100,
        completion_tokens=5,
        cache_read_input_tokens=40,
        cache_creation_input_tokens=50,
        cache_creation={"ephemeral_1h_input_tokens": 20},
    )
    assert usage_of(told) == Usage(100, 5, 40, cache_write_tokens=50, cache_write_1h_tokens=20)


def test_deepseeks_cache_hits():
    told = ResponseUsage(prompt_tokens=100, completion_tokens=5, prompt_cache_hit_tokens=64)
    assert usage_of(told).cached_tokens == 64


def test_pictures_and_transcriptions_speak_of_input_tokens():
    told = {
        "input_tokens": 9,
        "output_tokens": 4,
        "input_tokens_details": {"image_tokens": 6, "text_tokens": 3},
    }
    assert usage_from(told) == Usage(9, 4, input_image_tokens=6)
    assert usage_from({"type": "duration", "seconds": 9}) == Usage(0, 0, seconds=9.0)


def test_what_was_not_told_is_an_estimate():
    assert usage_of(ResponseUsage(prompt_tokens=3)).estimated
    assert usage_from({}).estimated


@pytest.mark.parametrize("nonsense", [-1, 1.5, "many", True, [3], {"a": 1}])
def test_a_count_that_makes_no_sense_was_not_given(nonsense):
    told = {"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": nonsense}}
    assert usage_from(told) == Usage(10, 1)
    told = {"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": nonsense}
    assert usage_from(told) == Usage(10, 1)


def test_a_part_is_never_more_than_its_whole():
    told = {"prompt_tokens": 10, "completion_tokens": 1, "cache_read_input_tokens": 99}
    assert usage_from(told).cached_tokens == 10
