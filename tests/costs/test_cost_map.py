"""`get_model_cost_map()`."""

import json

from turnout import Router
from turnout.testing import FakeClock


def router(**params):
    entry = {
        "model_name": "g",
        "litellm_params": {"api_key": "k-secret", **params},
        "model_info": {"id": "d"},
    }
    return Router([entry], clock=FakeClock(1_800_000_000))


def test_the_map_holds_prices_and_window_of_every_deployment():
    with router(model="openai/gpt-4o") as one:
        entry = one.get_model_cost_map()["d"]
    assert (entry["input_cost_per_token"], entry["output_cost_per_token"]) == (2.5e-6, 10e-6)
    assert entry["cache_read_input_token_cost"] == 1.25e-6
    assert (entry["litellm_provider"], entry["mode"], entry["max_input_tokens"]) == (
        "openai",
        "chat",
        128_000,
    )
    assert entry["source"] == "genai-prices"


def test_what_nobody_knows_is_none():
    with router(model="openai/my-own") as one:
        entry = one.get_model_cost_map()["d"]
    assert entry["input_cost_per_token"] is None
    assert entry["output_cost_per_token"] is None
    assert entry["max_input_tokens"] is None


def test_tiers_have_their_names_and_no_key_is_shown():
    params = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
    with router(model="openai/my-own", input_cost_per_token_above_200k_tokens=3e-6, **params) as one:
        known = one.get_model_cost_map()
    assert known["d"]["input_cost_per_token_above_200k_tokens"] == 3e-6
    assert "k-secret" not in json.dumps(known)


def test_cost_based_routing_goes_by_the_price_data_too():
    models = {"dear": "openai/gpt-4", "cheap": "openai/gpt-4o-mini", "unknown": "openai/my-own"}
    entries = [
        {
            "model_name": "g",
            "litellm_params": {"model": model, "mock_response": "Hi"},
            "model_info": {"id": name},
        }
        for name, model in models.items()
    ]
    with Router(entries, routing_strategy="cost-based-routing", clock=FakeClock(1_800_000_000)) as one:
        served = {
            one.completion("g", [{"role": "user", "content": "Hi"}]).route.deployment_id for _ in range(5)
        }
    assert served == {"cheap"}


def test_a_wildcards_model_has_the_price_of_what_it_stands_for():
    entry = {"model_name": "openai/*", "litellm_params": {"model": "openai/*", "mock_response": "Hi"}}
    with Router([entry], clock=FakeClock(1_800_000_000)) as one:
        known = one.completion("openai/gpt-4o", [{"role": "user", "content": "Hi"}])
        unknown = one.completion("openai/nobody-knows", [{"role": "user", "content": "Hi"}])
    tokens = known.usage
    assert known.route.cost == tokens.prompt_tokens * 2.5e-6 + tokens.completion_tokens * 10e-6
    assert unknown.route.cost is None
