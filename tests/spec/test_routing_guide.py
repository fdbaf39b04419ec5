"""The examples of the page "Router - Load Balancing, Fallbacks", in its earlier edition."""

from __future__ import annotations

import asyncio
import os

import pytest

import turnout
from turnout import RequestError, Router, Timeout
from turnout.testing.upstream import run_upstream
from turnout.testing.upstream.behaviour import Behaviour, Span

HEY = [{"role": "user", "content": "Hey, how's it going?"}]


def group(*rates, where="litellm_params", **more):
    """The list of the page: two Azure deployments and OpenAI's, with a limit each."""
    models = [
        {
            "model": "azure/chatgpt-v-2",  # actual model name
            "api_key": os.getenv("AZURE_API_KEY"),
            "api_version": os.getenv("AZURE_API_VERSION"),
            "api_base": os.getenv("AZURE_API_BASE"),
        },
        {
            "model": "azure/chatgpt-functioncalling",
            "api_key": os.getenv("AZURE_API_KEY"),
            "api_version": os.getenv("AZURE_API_VERSION"),
            "api_base": os.getenv("AZURE_API_BASE"),
        },
        {"model": "gpt-3.5-turbo", "api_key": os.getenv("OPENAI_API_KEY")},
    ]
    entries = []
    for params, limits in zip(models, rates or ({}, {}, {}), strict=True):
        entry = {"model_name": "gpt-3.5-turbo", "litellm_params": {**params, **more}}
        (entry if where == "top" else entry["litellm_params"]).update(limits)
        entries.append(entry)
    return entries


def test_quick_start(opened):
    router = opened(Router(model_list=group()))

    async def main():
        # openai.ChatCompletion.create replacement
        response = await router.acompletion(model="gpt-3.5-turbo", messages=HEY)
        print(response)
        return response

    assert asyncio.run(main()).choices[0].message.content


def test_available_endpoints(opened, upstream):
    router = opened(Router(model_list=group()))
    assert router.completion(model="gpt-3.5-turbo", messages=HEY).choices
    assert asyncio.run(router.acompletion(model="gpt-3.5-turbo", messages=HEY)).choices
    assert router.embeddings(model="gpt-3.5-turbo", input=["hello"]).data
    assert asyncio.run(router.aembeddings(model="gpt-3.5-turbo", input=["hello"])).data
    assert router.text_completion(model="gpt-3.5-turbo", prompt="hello").choices


def test_weighted_pick(opened):
    """Weighted by rpm: the one with 900 of 920 gets nearly all."""
    model_list = group({"rpm": 900}, {"rpm": 10}, {"rpm": 10})
    router = opened(Router(model_list=model_list, routing_strategy="simple-shuffle", seed=1))

    async def router_acompletion():
        response = await router.acompletion(model="gpt-3.5-turbo", messages=HEY)
        print(response)
        return response

    models = [asyncio.run(router_acompletion()).model for _ in range(30)]
    assert models.count("chatgpt-v-2") > 25


@pytest.mark.usefixtures("redis_environment")
def test_rate_limit_aware(opened):
    limits = [{"tpm": 100000, "rpm": 10000}, {"tpm": 100000, "rpm": 1000}, {"tpm": 100000, "rpm": 1000}]
    router = opened(
        Router(
            model_list=group(*limits, where="top"),
            redis_host=os.environ["REDIS_HOST"],
            redis_password=None,
            redis_port=int(os.environ["REDIS_PORT"]),
            routing_strategy="simple-shuffle",
        )
    )
    response = asyncio.run(router.acompletion(model="gpt-3.5-turbo", messages=HEY))
    assert response.choices


def test_rate_limits_filter_out_who_would_exceed_them(opened):
    limits = [{"rpm": 1}, {"rpm": 1}, {"rpm": 1}]
    router = opened(Router(model_list=group(*limits, where="top"), routing_strategy="usage-based-routing"))
    served = {router.completion(model="gpt-3.5-turbo", messages=HEY).route.deployment_id for _ in range(3)}
    assert len(served) == 3
    with pytest.raises(turnout.NoDeploymentsAvailable, match="3 rpm"):
        router.completion(model="gpt-3.5-turbo", messages=HEY)


def test_timeouts(opened):
    with run_upstream(Behaviour(latency=Span(30.0))) as slow:
        params = {"model": "openai/slow", "api_key": "k", "api_base": slow.api_base}
        router = opened(
            Router(
                model_list=[{"model_name": "gpt-3.5-turbo", "litellm_params": params}],
                timeout=0.2,  # raise timeout error if call takes > 0.2s
            )
        )
        with pytest.raises(Timeout):
            router.completion(model="gpt-3.5-turbo", messages=HEY)
        router.close()


def test_cooldowns(opened):
    router = opened(
        Router(
            model_list=group(),
            allowed_fails=1,  # cooldown model if it fails > 1 call in a minute.
            cooldown_time=60,
        )
    )
    user_message = "Hello, whats the weather in San Francisco??"
    messages = [{"content": user_message, "role": "user"}]

    # normal call
    response = router.completion(model="gpt-3.5-turbo", messages=messages)
    print(f"response: {response}")
    assert response.choices

    chosen = response.route.deployment_id
    for _ in range(2):
        with pytest.raises(RequestError):
            router.completion(model=chosen, messages=messages, mock_response="litellm.InternalServerError")
    assert "cooling" in router.health()["deployments"][chosen]["line"]


def test_retries(opened):
    router = opened(Router(model_list=group(), num_retries=3))
    user_message = "Hello, whats the weather in San Francisco??"
    messages = [{"content": user_message, "role": "user"}]

    # normal call
    response = router.completion(model="gpt-3.5-turbo", messages=messages)
    print(f"response: {response}")
    with pytest.raises(RequestError) as caught:
        router.completion(
            model="gpt-3.5-turbo", messages=messages, mock_response="litellm.InternalServerError"
        )
    assert len(caught.value.attempts) == 4


def test_fallbacks(opened):
    refuses = {"chatgpt-v-2": Behaviour(error_rate=1.0, error_status=401)}
    refuses["chatgpt-functioncalling"] = refuses["chatgpt-v-2"]
    with run_upstream(models=refuses) as provider:
        azure = {"api_key": "bad-key", "api_version": "2024-02-01", "api_base": provider.url}
        openai = {"api_key": os.getenv("OPENAI_API_KEY"), "api_base": provider.api_base}
        model_list = [
            {
                "model_name": "azure/gpt-3.5-turbo",
                "litellm_params": {"model": "azure/chatgpt-v-2", **azure},
                "tpm": 240000,
                "rpm": 1800,
            },
            {
                "model_name": "azure/gpt-3.5-turbo-context-fallback",
                "litellm_params": {
                    "model": "azure/chatgpt-v-2",
                    "mock_response": Exception("prompt is too long"),
                    **azure,
                },
                "tpm": 240000,
                "rpm": 1800,
            },
            {
                "model_name": "azure/gpt-3.5-turbo",
                "litellm_params": {"model": "azure/chatgpt-functioncalling", **azure},
                "tpm": 240000,
                "rpm": 1800,
            },
            {
                "model_name": "gpt-3.5-turbo",
                "litellm_params": {"model": "gpt-3.5-turbo", **openai},
                "tpm": 1000000,
                "rpm": 9000,
            },
            {
                "model_name": "gpt-3.5-turbo-16k",
                "litellm_params": {"model": "gpt-3.5-turbo-16k", **openai},
                "tpm": 1000000,
                "rpm": 9000,
            },
        ]
        router = opened(
            Router(
                model_list=model_list,
                fallbacks=[{"azure/gpt-3.5-turbo": ["gpt-3.5-turbo"]}],
                context_window_fallbacks=[
                    {"azure/gpt-3.5-turbo-context-fallback": ["gpt-3.5-turbo-16k"]},
                    {"gpt-3.5-turbo": ["gpt-3.5-turbo-16k"]},
                ],
                set_verbose=True,
            )
        )
        user_message = "Hello, whats the weather in San Francisco??"
        messages = [{"content": user_message, "role": "user"}]

        # normal fallback call
        response = router.completion(model="azure/gpt-3.5-turbo", messages=messages)
        assert response.route.model_group == "gpt-3.5-turbo"

        # context window fallback call
        response = router.completion(model="azure/gpt-3.5-turbo-context-fallback", messages=messages)
        assert response.route.model_group == "gpt-3.5-turbo-16k"
        router.close()


def test_in_memory_cache(opened, counted):
    router = opened(Router(model_list=group(), cache_responses=True))
    first, second = (router.completion(model="gpt-3.5-turbo", messages=HEY) for _ in range(2))
    assert first.id == second.id
    assert counted() == 1


@pytest.mark.usefixtures("redis_environment")
def test_redis_cache(opened, counted):
    asked = [{"role": "user", "content": "test_redis_cache"}]
    settings = {
        "redis_host": os.getenv("REDIS_HOST"),
        "redis_password": os.getenv("REDIS_PASSWORD"),
        "redis_port": os.getenv("REDIS_PORT"),
        "cache_responses": True,
    }
    first = opened(Router(model_list=group(), **settings)).completion(model="gpt-3.5-turbo", messages=asked)
    second = opened(Router(model_list=group(), **settings)).completion(model="gpt-3.5-turbo", messages=asked)
    assert first.id == second.id
    assert counted() == 1


@pytest.mark.usefixtures("redis_environment")
def test_pass_in_redis_url_and_additional_kwargs(opened, counted):
    asked = [{"role": "user", "content": "test_pass_in_redis_url"}]
    router = opened(
        Router(
            model_list=group(),
            redis_url=os.getenv("REDIS_URL"),
            cache_kwargs={},  # additional kwargs to pass to RedisCache
            cache_responses=True,
        )
    )
    first, second = (router.completion(model="gpt-3.5-turbo", messages=asked) for _ in range(2))
    assert first.id == second.id
    assert counted() == 1


def test_default_completion_params(opened):
    fallback_dict = {"gpt-3.5-turbo": "gpt-3.5-turbo-16k"}
    larger = {
        "model_name": "gpt-3.5-turbo-16k",
        "litellm_params": {"model": "gpt-3.5-turbo-16k", "mock_response": "There is room"},
    }
    router = opened(
        Router(
            model_list=[*group(), larger],
            default_litellm_params={"context_window_fallback_dict": fallback_dict},
        )
    )
    user_message = "Hello, whats the weather in San Francisco??"
    messages = [{"content": user_message, "role": "user"}]

    # normal call
    response = router.completion(model="gpt-3.5-turbo", messages=messages)
    print(f"response: {response}")
    assert response.route.model_group == "gpt-3.5-turbo"

    too_long = router.completion(
        model="gpt-3.5-turbo", messages=messages, mock_testing_context_fallbacks=True
    )
    assert too_long.choices[0].message.content == "There is room"
