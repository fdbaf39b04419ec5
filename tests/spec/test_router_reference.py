"""The examples of the page "Router & Load Balancing" (the API reference)."""

from __future__ import annotations

import asyncio
import inspect
import json

import pytest

from turnout import RateLimitError, RequestError, Router

HELLO = [{"role": "user", "content": "Hello!"}]


@pytest.fixture
def model_list(upstream):
    """The list of "Basic Router Setup", which later examples go on to use."""
    return [
        {
            "model_name": "gpt-4",
            "litellm_params": {"model": "gpt-4", "api_key": "sk-key1", "api_base": upstream.api_base},
        },
        {
            "model_name": "gpt-4",
            "litellm_params": {
                "model": "azure/gpt-4",
                "api_key": "azure-key",
                "api_base": upstream.url + "/",
                "api_version": "2024-02-01",
            },
        },
    ]


@pytest.fixture
def primary_and_fallback(upstream):
    """The list of "Advanced Router Configuration"."""
    return [
        {
            "model_name": "gpt-4-primary",
            "litellm_params": {"model": "gpt-4", "api_key": "primary-key"},
            "model_info": {"id": "primary-deployment"},
        },
        {
            "model_name": "gpt-4-fallback",
            "litellm_params": {
                "model": "azure/gpt-4",
                "api_key": "azure-key",
                "api_base": upstream.url,
                "api_version": "2024-02-01",
            },
            "model_info": {"id": "backup-deployment"},
        },
    ]


def test_every_parameter_of_the_constructor_is_accepted_with_its_documented_default():
    documented = {
        "model_list": None,
        "redis_url": None,
        "redis_host": None,
        "redis_port": None,
        "redis_password": None,
        "cache_responses": False,
        "cache_kwargs": {},
        "caching_groups": None,
        "client_ttl": 3600,
        "num_retries": None,
        "max_fallbacks": None,
        "timeout": None,
        "stream_timeout": None,
        "default_litellm_params": None,
        "default_max_parallel_requests": None,
        "set_verbose": False,
        "debug_level": "INFO",
        "default_fallbacks": None,
        "fallbacks": [],
        "context_window_fallbacks": [],
        "content_policy_fallbacks": [],
        "routing_strategy": "simple-shuffle",
        "enable_pre_call_checks": False,
        "allowed_fails": 3,
        "cooldown_time": 1,
        "retry_policy": None,
    }
    with Router(**documented) as router, Router() as plain:
        assert router.settings == plain.settings


@pytest.mark.parametrize(
    "name",
    [
        *("completion", "acompletion", "text_completion", "atext_completion", "embedding", "aembedding"),
        *("image_generation", "transcription", "speech", "moderation"),
        *("add_deployment", "delete_deployment", "get_deployments", "set_model_list", "update_deployment"),
        *("health_check", "ahealth_check"),
        *("get_model_cost_map", "print_deployment_metrics", "reset_cost", "get_usage_stats"),
    ],
)
def test_every_documented_method_is_there_and_awaited_where_it_should_be(name):
    method = getattr(Router, name)
    awaited = name.startswith("a") and not name.startswith("add_")
    assert inspect.iscoroutinefunction(method) is awaited


def test_basic_router_setup(model_list, opened):
    router = opened(Router(model_list=model_list))
    response = router.completion(model="gpt-4", messages=[{"role": "user", "content": "Hello!"}])
    assert response.choices[0].message.content


def test_advanced_router_configuration(primary_and_fallback, opened):
    router = opened(
        Router(
            model_list=primary_and_fallback,
            routing_strategy="least-busy",
            num_retries=3,
            max_fallbacks=2,
            timeout=30,
            enable_pre_call_checks=True,
            fallbacks=["gpt-3.5-turbo", "claude-3-haiku-20240307"],
        )
    )
    response = router.completion(model="gpt-4-primary", messages=HELLO)
    assert response.route.deployment_id == "primary-deployment"
    assert response.route.strategy == "least-busy"


def test_router_with_redis_caching(model_list, valkey, opened, counted):
    router = opened(
        Router(
            model_list=model_list,
            redis_url=f"redis://{valkey.host}:{valkey.port}",
            cache_responses=True,
            client_ttl=3600,  # 1 hour cache TTL
            cache_kwargs={
                "ttl": 600,  # 10 minute default TTL
                "namespace": "litellm_cache",
            },
        )
    )
    response1 = router.completion(model="gpt-4", messages=[{"role": "user", "content": "What is 2+2?"}])
    response2 = router.completion(model="gpt-4", messages=[{"role": "user", "content": "What is 2+2?"}])
    assert response2.id == response1.id
    assert (response1.route.cache_hit, response2.route.cache_hit) == (False, True)
    assert counted() == 1


COST_LIST = [
    {
        "model_name": "gpt-4",
        "litellm_params": {"model": "gpt-4"},
        "model_info": {"input_cost_per_token": 0.00003, "output_cost_per_token": 0.00006},
    },
    {
        "model_name": "gpt-3.5-turbo",
        "litellm_params": {"model": "gpt-3.5-turbo"},
        "model_info": {"input_cost_per_token": 0.000001, "output_cost_per_token": 0.000002},
    },
]
SIMPLE = [{"role": "user", "content": "Simple question"}]


def test_cost_based_routing(opened):
    """The document lets a cheaper group serve; here only one that was named as a substitute does."""
    router = opened(Router(model_list=COST_LIST, routing_strategy="cost-based-routing"))
    assert router.completion(model="gpt-4", messages=SIMPLE).route.model_group == "gpt-4"

    router = opened(
        Router(
            model_list=COST_LIST,
            routing_strategy="cost-based-routing",
            routing_strategy_args={"substitutes": {"gpt-4": ["gpt-3.5-turbo"]}},
        )
    )
    response = router.completion(
        model="gpt-4",  # Will route to gpt-3.5-turbo if suitable
        messages=SIMPLE,
    )
    assert response.route.model_group == "gpt-3.5-turbo"


def test_health_monitoring(model_list, opened, capsys):
    router = opened(Router(model_list=model_list))
    router.completion(model="gpt-4", messages=HELLO)

    # Check overall health
    health = router.health_check()
    print("Router Health:", health)
    assert (health["healthy_count"], health["unhealthy_count"]) == (2, 0)

    # Check specific model
    gpt4_health = router.health_check(model="gpt-4")
    print("GPT-4 Health:", gpt4_health)
    assert len(gpt4_health["healthy_endpoints"]) == 2
    assert "sk-key1" not in json.dumps(health)

    # Print detailed metrics
    capsys.readouterr()
    router.print_deployment_metrics()
    metrics = capsys.readouterr().out
    for deployment in router.get_deployments():
        assert deployment["model_info"]["id"] in metrics

    # Get cost information
    costs = router.get_model_cost_map()
    print("Cost Map:", costs)
    assert json.loads(json.dumps(costs))


def test_the_metrics_hold_what_the_document_lists(model_list, opened, capsys):
    router = opened(Router(model_list=model_list))
    router.completion(model="gpt-4", messages=HELLO)
    router.print_deployment_metrics()
    metrics = capsys.readouterr().out.lower()
    for what in ("requests", "success", "latency", "tokens", "cost", "errors"):
        assert what in metrics, metrics


def test_usage_statistics_include_tokens_costs_and_latencies(model_list, opened):
    router = opened(Router(model_list=model_list))
    router.completion(model="gpt-4", messages=HELLO)
    stats = router.get_usage_stats()
    text = json.dumps(stats)
    for what in ("tokens", "cost", "latency", "p95"):
        assert what in text
    router.reset_cost()
    assert json.dumps(router.get_usage_stats()) != ""


def test_dynamic_deployment_management(primary_and_fallback, opened):
    router = opened(Router(model_list=primary_and_fallback))

    # Add new deployment at runtime
    new_deployment = {
        "model_name": "claude-3",
        "litellm_params": {
            "model": "claude-3-sonnet-20240229",
            "api_key": "anthropic-key",
            "mock_response": "Bonjour",
        },
        "model_info": {"id": "claude-deployment"},
    }

    router.add_deployment(new_deployment)
    assert router.completion(model="claude-3", messages=HELLO).choices[0].message.content == "Bonjour"

    # Update existing deployment
    router.update_deployment(deployment_id="primary-deployment", api_key="new-primary-key")
    assert router.completion(model="gpt-4-primary", messages=HELLO).choices

    # Remove deployment
    router.delete_deployment("backup-deployment")

    # Get current deployments
    deployments = router.get_deployments()
    print(f"Active deployments: {len(deployments)}")
    assert {entry["model_info"]["id"] for entry in deployments} == {"primary-deployment", "claude-deployment"}
    assert "new-primary-key" not in str(deployments)

    router.set_model_list([new_deployment])
    assert [entry["model_name"] for entry in router.get_deployments()] == ["claude-3"]


def test_fallback_configuration(model_list, opened):
    router = opened(
        Router(
            model_list=model_list,
            # Global fallbacks for any model
            fallbacks=["gpt-3.5-turbo", "claude-3-haiku-20240307"],
            # Context window fallbacks
            context_window_fallbacks=[
                {"gpt-4": ["claude-3-sonnet-20240229"]},  # If gpt-4 context exceeded
                {"claude-3-opus-20240229": ["gpt-4"]},  # If claude opus context exceeded
            ],
            # Content policy fallbacks
            content_policy_fallbacks=[
                {"gpt-4": ["claude-3-sonnet-20240229"]}  # If content policy violation
            ],
        )
    )
    response = router.completion(model="gpt-4", messages=[{"role": "user", "content": "Very long prompt..."}])
    assert response.choices
    with pytest.raises(RequestError):
        router.completion(model="gpt-4", messages=HELLO, mock_testing_fallbacks=True)


def test_async_router_usage(model_list):
    async def concurrent_requests():
        router = Router(model_list=model_list)

        tasks = []
        for i in range(10):
            task = router.acompletion(model="gpt-4", messages=[{"role": "user", "content": f"Request {i}"}])
            tasks.append(task)

        responses = await asyncio.gather(*tasks)
        await router.aclose()
        return responses

    responses = asyncio.run(concurrent_requests())
    assert len({response.id for response in responses}) == 10


def test_custom_retry_policy(model_list, opened):
    retry_policy = {
        "max_retries": 5,
        "base_delay": 1.0,  # Base delay between retries
        "max_delay": 60.0,  # Maximum delay between retries
        "backoff_factor": 2.0,  # Exponential backoff multiplier
        "jitter": True,  # Add random jitter to prevent thundering herd
    }

    router = opened(
        Router(
            model_list=model_list,
            retry_policy=retry_policy,
            allowed_fails=2,  # Deployments marked unhealthy after 2 failures
            cooldown_time=300,  # 5 minute cooldown for unhealthy deployments
        )
    )
    error = InternalErrors.of(router)
    assert len(error.attempts) == 6  # the first and 5 more: a 500 is retried at once
    lines = [entry["line"] for entry in router.health()["deployments"].values()]
    assert all("cooling" in line for line in lines)


class InternalErrors:
    """Asks with a mock error until the policy gives up."""

    @staticmethod
    def of(router):
        with pytest.raises(RequestError) as caught:
            router.completion(model="gpt-4", messages=HELLO, mock_response="litellm.InternalServerError")
        return caught.value


def test_a_rate_limit_is_retried_with_growing_pauses(model_list, opened):
    """The policy's own numbers, kept small so that the test does not wait."""
    router = opened(
        Router(
            model_list=model_list[:1],
            retry_policy={"max_retries": 2, "base_delay": 0.01, "max_delay": 0.02, "jitter": False},
        )
    )
    with pytest.raises(RateLimitError) as caught:
        router.completion(model="gpt-4", messages=HELLO, mock_response="litellm.RateLimitError")
    assert [row.wait >= wait for row, wait in zip(caught.value.attempts, (0, 0.01, 0.02), strict=True)]
