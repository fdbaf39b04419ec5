"""Prices that a deployment states itself, under the names of the public price file."""

import pytest

from turnout import ConfigurationError
from turnout.actors.deployment.price_data import model_facts
from turnout.actors.deployment.pricing import price_of
from turnout.messages.outcomes import Usage

AT = 1_800_000_000.0


@pytest.fixture
def cost(deployment):
    """What a usage costs at a deployment with these prices."""

    def of(usage, **prices):
        return price_of(model_facts(deployment("openai/my-own", **prices), AT))(usage, AT)

    return of


def test_prompt_and_answer_each_have_their_price(cost):
    usage = Usage(1000, 10)
    assert cost(usage, input_cost_per_token=2e-6, output_cost_per_token=8e-6) == 1000 * 2e-6 + 10 * 8e-6


def test_prices_may_stand_in_model_info(deployment):
    info = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6, "cache_read_input_token_cost": 1e-7}
    facts = model_facts(deployment("openai/my-own", info), AT)
    assert (facts.prices.input_token, facts.prices.cache_read, facts.source) == (1e-6, 1e-7, "deployment")


def test_cached_and_cache_write_tokens_cost_what_they_cost(cost):
    usage = Usage(1000, 0, 600, cache_write_tokens=300)
    prices = {
        "input_cost_per_token": 1e-6,
        "output_cost_per_token": 0,
        "cache_read_input_token_cost": 1e-7,
        "cache_creation_input_token_cost": 2e-6,
    }
    assert cost(usage, **prices) == pytest.approx(100 * 1e-6 + 600 * 1e-7 + 300 * 2e-6)


def test_audio_and_image_tokens_cost_what_they_cost(cost):
    usage = Usage(1000, 500, input_audio_tokens=400, input_image_tokens=100, output_audio_tokens=500)
    prices = {
        "input_cost_per_token": 1e-6,
        "output_cost_per_token": 2e-6,
        "input_cost_per_audio_token": 1e-5,
        "input_cost_per_image_token": 3e-6,
        "output_cost_per_audio_token": 8e-5,
    }
    assert cost(usage, **prices) == pytest.approx(500 * 1e-6 + 400 * 1e-5 + 100 * 3e-6 + 500 * 8e-5)


def test_a_kind_of_token_without_a_price_costs_what_its_parent_costs(cost):
    usage = Usage(1000, 500, 300, input_audio_tokens=100, reasoning_tokens=200)
    assert cost(usage, input_cost_per_token=1e-6, output_cost_per_token=2e-6) == pytest.approx(0.002)


def test_reasoning_may_have_a_price_of_its_own(cost):
    prices = {
        "input_cost_per_token": 0,
        "output_cost_per_token": 1e-6,
        "output_cost_per_reasoning_token": 3e-6,
    }
    assert cost(Usage(0, 100, reasoning_tokens=40), **prices) == pytest.approx(60e-6 + 120e-6)


def test_a_long_prompt_is_charged_by_its_tier(cost):
    prices = {
        "input_cost_per_token": 1e-6,
        "output_cost_per_token": 4e-6,
        "input_cost_per_token_above_200k_tokens": 2e-6,
    }
    assert cost(Usage(200_000, 10), **prices) == pytest.approx(0.2 + 40e-6)
    assert cost(Usage(200_001, 10), **prices) == pytest.approx(200_001 * 2e-6 + 40e-6)


def test_audio_may_be_sold_by_the_second_and_pictures_by_the_piece(cost):
    assert cost(Usage(seconds=90.0), output_cost_per_second=1e-4) == pytest.approx(0.009)
    assert cost(Usage(images=3), output_cost_per_image=0.04) == pytest.approx(0.12)
    assert cost(Usage(characters=2000), input_cost_per_character=1.5e-5) == pytest.approx(0.03)


def test_an_unknown_price_or_count_gives_no_cost_and_never_zero(cost):
    assert cost(Usage(10, 10)) is None
    assert cost(Usage(10, 10), input_cost_per_token=1e-6) is None
    assert cost(Usage(10, 10), output_cost_per_token=1e-6) is None
    assert cost(Usage(0, 0), output_cost_per_second=1e-4) is None


def test_an_embedding_needs_no_price_for_output(cost):
    assert cost(Usage(1000, 0), input_cost_per_token=1e-8) == pytest.approx(1e-5)


def test_a_price_of_zero_is_a_price(cost):
    assert cost(Usage(10, 10), input_cost_per_token=0, output_cost_per_token=0) == 0.0


@pytest.mark.parametrize("wrong", [-1e-6, "cheap", True, float("nan"), float("inf")])
def test_a_wrong_price_is_refused_with_its_path(deployment, wrong):
    with pytest.raises(ConfigurationError, match=r"litellm_params\.cache_read_input_token_cost"):
        deployment(cache_read_input_token_cost=wrong)
    with pytest.raises(ConfigurationError, match=r"model_info\.input_cost_per_token_above_200k_tokens"):
        deployment(info={"input_cost_per_token_above_200k_tokens": wrong})
