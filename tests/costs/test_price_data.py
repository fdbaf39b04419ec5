"""Prices that genai-prices knows: found, compiled, and equal to what the library works out itself."""

import builtins
import subprocess
import sys
from datetime import UTC, datetime

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelPrice
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.actors.deployment.price_data import (
    MAX_SHARED,
    PriceBook,
    _prices,
    _schedule,
    _shared,
    model_facts,
)
from turnout.actors.deployment.pricing import MAX_COMPILED, compile_price, price_of
from turnout.messages.outcomes import Usage
from turnout.messages.prices import ModelFacts, PriceChange, Prices

AT = datetime(2026, 1, 15, 12, tzinfo=UTC).timestamp()

MODELS = [(provider, model) for provider in get_snapshot().providers for model in provider.models]

FIELDS = {
    "cached_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "cache_write_1h_tokens": "cache_write_1h_tokens",
    "input_audio_tokens": "input_audio_tokens",
    "cached_audio_tokens": "cache_audio_read_tokens",
    "input_image_tokens": "input_image_tokens",
    "cached_image_tokens": "cache_image_read_tokens",
    "output_audio_tokens": "output_audio_tokens",
    "output_image_tokens": "output_image_tokens",
    "reasoning_tokens": "output_reasoning_tokens",
}


@st.composite
def usages(draw):
    """Counts that can be: no part is more than what is left of its whole."""
    size = st.sampled_from([0, 1, 100, 128_000, 200_000, 200_001, 272_001, 1_000_000])
    prompt, completion = draw(size), draw(size)
    left = prompt
    parts = {}

    def take(most):
        nonlocal left
        count = draw(st.integers(0, min(most, left)))
        left -= count
        return count

    cached_audio, cached_image, cached_text = take(left), take(left), take(left)
    audio, image, written = take(left), take(left), take(left)
    parts["cached_tokens"] = cached_audio + cached_image + cached_text
    parts["cached_audio_tokens"], parts["cached_image_tokens"] = cached_audio, cached_image
    parts["input_audio_tokens"], parts["input_image_tokens"] = audio + cached_audio, image + cached_image
    parts["cache_write_tokens"] = written
    parts["cache_write_1h_tokens"] = draw(st.integers(0, written))
    left = completion
    for name in ("output_audio_tokens", "output_image_tokens", "reasoning_tokens"):
        parts[name] = take(left)
    return Usage(prompt, completion, seconds=float(draw(st.integers(10, 5000))), characters=prompt, **parts)


def theirs(model, provider, usage, at):
    counts = {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "audio_seconds": usage.seconds,
        "input_audio_seconds": usage.seconds,
        "input_characters": usage.characters,
        **{there: getattr(usage, here) for here, there in FIELDS.items()},
    }
    moment = datetime.fromtimestamp(at, UTC)
    return float(
        model.calc_price(genai_prices.Usage(**counts), provider, genai_request_timestamp=moment).total_price
    )


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(MODELS), usages(), st.integers(0, 86_399), st.integers(-400, 400))
def test_the_compiled_arithmetic_is_the_librarys(entry, usage, second, day):
    provider, model = entry
    now = AT + day * 86_400
    at = now - now % 86_400 + second
    usual, changes = _schedule(model.prices, min(now, at))
    cost = price_of(ModelFacts(usual, changes))(usage, at)
    if cost is not None:
        assert cost == pytest.approx(theirs(model, provider, usage, at), rel=1e-9, abs=1e-12)


def test_nearly_every_model_of_the_library_has_a_price():
    usage = Usage(1000, 100, seconds=60.0, characters=1000)
    facts = [ModelFacts(*_schedule(model.prices, AT)) for _, model in MODELS]
    priced = sum(price_of(known)(usage, AT) is not None for known in facts)
    assert priced > 0.8 * len(MODELS)


def test_a_price_that_begins_later_holds_from_that_day_on(deployment):
    change = next(
        (model, rule.constraint.start_date)
        for _, model in MODELS
        if isinstance(model.prices, list)
        for rule in model.prices[1:]
        if hasattr(rule.constraint, "start_date") and rule.prices != model.prices[0].prices
    )
    model, day = change
    start = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
    usual, changes = _schedule(model.prices, start - 1)
    assert changes
    before, after = ModelFacts(usual, changes), ModelFacts(*_schedule(model.prices, start))
    usage = Usage(1000, 1000)
    assert price_of(before)(usage, start) == price_of(after)(usage, start)


def test_a_price_of_some_hours_holds_past_midnight_too():
    cheap, usual = Prices(input_token=1.0), Prices(input_token=2.0)
    night = price_of(ModelFacts(usual, (PriceChange(cheap, None, 16.5 * 3600, 0.5 * 3600),)))
    hours = [0.0, 0.5, 12.0, 16.5, 23.9]
    assert [night(Usage(1, 0), hour * 3600) for hour in hours] == [1.0, 2.0, 2.0, 1.0, 1.0]


def test_azures_base_model_is_found_under_the_name_without_the_provider(deployment):
    facts = model_facts(deployment("azure/chatgpt-v-2", {"base_model": "azure/gpt-4-1106-preview"}), AT)
    assert (facts.prices.input_token, facts.prices.output_token) == (10e-6, 30e-6)
    assert (facts.max_input_tokens, facts.source) == (128_000, "genai-prices")
    assert price_of(facts)(Usage(1000, 1000), AT) == pytest.approx(0.04)


def test_deployments_of_one_model_share_its_facts_and_its_compiled_price(deployment):
    one = PriceBook(deployment("openai/gpt-4o-mini"), AT)
    other = PriceBook(deployment("openai/gpt-4o-mini"), AT)
    dearer = PriceBook(deployment("openai/gpt-4o-mini", {"input_cost_per_token": 1.0}), AT)
    assert one.facts is other.facts
    assert one.price(None, AT) is other.price(None, AT)
    assert dearer.price(None, AT) is not one.price(None, AT)


def test_so_many_prices_and_facts_are_kept_and_no_more():
    facts = [ModelFacts(Prices(input_token=1.0 + n), max_input_tokens=n) for n in range(MAX_COMPILED + 1)]
    first = compile_price(facts[0].prices), _shared(facts[0])
    for number in range(1, MAX_COMPILED):
        compile_price(facts[number].prices)
        _shared(facts[number])
    again = ModelFacts(Prices(input_token=1.0), max_input_tokens=0)
    assert (compile_price(again.prices), _shared(again)) == first
    assert _shared(again) is first[1]
    for number in range(1, MAX_COMPILED + 1):
        compile_price(facts[number].prices)
        _shared(facts[number])
    assert compile_price(again.prices) is not first[0]
    assert _shared(again) is again
    assert MAX_SHARED == MAX_COMPILED


def test_a_base_model_may_be_somebody_elses(deployment):
    assert model_facts(deployment("azure/mine", {"base_model": "gpt-4-32k"}), AT).prices is not None
    assert model_facts(deployment("azure/mine", {"base_model": "claude-3-haiku"}), AT).prices is not None


def test_a_deployments_own_name_that_nobody_knows_has_no_price(deployment):
    facts = model_facts(deployment("azure/chatgpt-v-2"), AT)
    assert (facts.prices, facts.max_input_tokens, facts.source) == (None, None, None)


def test_what_the_deployment_says_goes_before_the_price_data(deployment):
    stated = deployment(input_cost_per_token=1.0, output_cost_per_token=2.0)
    facts = model_facts(stated, AT)
    assert (facts.prices.input_token, facts.prices.cache_read, facts.source) == (1.0, None, "deployment")
    assert facts.max_input_tokens == 128_000
    assert model_facts(deployment(info={"max_input_tokens": 5}), AT).max_input_tokens == 5


def test_a_model_that_is_sold_by_pages_has_no_price_here():
    assert _prices(ModelPrice(input_document_kpages=1)) is None


def test_without_the_library_prices_are_unknown(deployment, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("genai_prices"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert model_facts(deployment(), AT) == ModelFacts()


def test_importing_turnout_does_not_import_the_library():
    code = "import sys, turnout; assert not any(m.startswith('genai_prices') for m in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
