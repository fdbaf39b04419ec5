"""Cheaper groups that stand in: `routing_strategy_args={"substitutes": {...}}`."""

from __future__ import annotations

import pytest

from turnout import Router
from turnout.messages.events import DeploymentPicked
from turnout.testing import FakeClock, SimulatedProvider

IMAGE = [{"type": "image_url", "image_url": {"url": "data:,"}}, {"type": "text", "text": "What is it?"}]


def deployment(name, price, **info):
    return {
        "model_name": name,
        "litellm_params": {"model": f"openai/{name}", "mock_response": name},
        "model_info": {
            "id": f"{name}-1",
            "input_cost_per_token": price,
            "output_cost_per_token": price,
            **info,
        },
    }


@pytest.fixture
def serve():
    def router(**info):
        return Router(
            [deployment("gpt-4", 3e-5), deployment("gpt-3.5-turbo", 1e-6, **info)],
            clock=FakeClock(),
            seed=1,
            routing_strategy="cost-based-routing",
            routing_strategy_args={"substitutes": {"gpt-4": ["gpt-3.5-turbo"]}},
        )

    return router


def ask(router, content="Simple question", **params):
    answer = router.completion(model="gpt-4", messages=[{"role": "user", "content": content}], **params)
    return answer.choices[0].message.content, answer.route.model_group


def test_a_cheaper_group_stands_in_and_the_answer_says_so(serve):
    assert ask(serve()) == ("gpt-3.5-turbo", "gpt-3.5-turbo")


def test_it_does_not_when_the_prompt_is_too_long_for_it(serve):
    router = serve(max_input_tokens=100)
    assert ask(router)[1] == "gpt-3.5-turbo"
    assert ask(router, "long " * 200)[1] == "gpt-4"


@pytest.mark.parametrize(("known", "group"), [(True, "gpt-3.5-turbo"), (False, "gpt-4"), (None, "gpt-4")])
def test_tools_and_images_need_a_stand_in_that_is_known_to_do_them(serve, known, group):
    info = {} if known is None else {"supports_function_calling": known, "supports_vision": known}
    assert ask(serve(**info), tools=[{"type": "function", "function": {"name": "f"}}])[1] == group
    assert ask(serve(**info), IMAGE)[1] == group


def test_the_cheaper_group_itself_is_asked_as_ever(serve):
    router = serve()
    answer = router.completion(model="gpt-3.5-turbo", messages=[{"role": "user", "content": "Hi"}])
    assert answer.route.model_group == "gpt-3.5-turbo"


def test_a_stand_in_keeps_its_own_limits(serve):
    router = Router(
        [
            deployment("gpt-4", 3e-5),
            {**deployment("gpt-3.5-turbo", 1e-6), "rpm": 2},
        ],
        clock=FakeClock(),
        routing_strategy="cost-based-routing",
        routing_strategy_args={"substitutes": {"gpt-4": ["gpt-3.5-turbo"]}},
    )
    assert [ask(router)[1] for _ in range(3)] == ["gpt-3.5-turbo", "gpt-3.5-turbo", "gpt-4"]


def test_a_group_knows_at_once_what_a_stand_in_does_for_another(town):
    """`least-busy` would take the one that seems idle."""
    place = town(
        {"big": "gpt-4", "small": "gpt-3.5-turbo"},
        default=SimulatedProvider(latency=60.0),
        routing_strategy="cost-based-routing",
        routing_strategy_args={"substitutes": {"gpt-4": ["gpt-3.5-turbo"]}},
    )
    for _ in range(5):
        place.send(model="gpt-3.5-turbo")
    for _ in range(4):
        place.send(model="gpt-4", routing_strategy="least-busy")
    place.clock.advance(1.0)
    picked = [event.decision.deployment_id for event in place.found(DeploymentPicked)]
    assert picked == ["small"] * 5 + ["big"] * 4
