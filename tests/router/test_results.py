"""What comes back with an answer."""

from __future__ import annotations

import pytest

from turnout import Attempt, BadRequestError, InternalServerError, ModelResponse, RouterClosedError
from turnout.messages.events import RequestSucceeded
from turnout.testing import SimulatedProvider

PRICED = {"group": "gpt-4", "input_cost_per_token": 0.001, "output_cost_per_token": 0.01}


def test_an_answer_reads_by_attribute_and_by_item(town):
    answer = town({"a": "gpt-4"}).ask()
    assert isinstance(answer, ModelResponse)
    assert answer.choices[0].message.content == answer["choices"][0]["message"]["content"]
    assert answer["usage"]["total_tokens"] == answer.usage.total_tokens == 15


def test_completion_is_ask_by_another_name(town):
    place = town({"a": "gpt-4"})
    answer = place.router.completion(model="gpt-4", messages=place.request().messages, temperature=0.1)
    assert answer.route.deployment_id == "a"


def test_the_route_says_what_happened(town):
    place = town(
        {"a": "gpt-4", "z": PRICED | {"group": "backup"}},
        {"a": [500, 500], "z": SimulatedProvider(latency=2.0, prompt_tokens=10, completion_tokens=5)},
        num_retries=1,
        retry_after=3.0,
        fallbacks=["backup"],
    )
    future = place.send()
    route = future.get().route
    assert route.request_id == future.request_id
    assert (route.model_group, route.deployment_id, route.strategy) == ("backup", "z", "simple-shuffle")
    assert (route.retries, route.fallbacks, route.waited, route.seconds) == (1, 1, 3.0, 5.0)
    assert route.cost == pytest.approx(0.06)
    assert route.cache_hit is False
    assert route.attempts == (
        Attempt("gpt-4", "a", "InternalServerError", 0.0, 0.0, 500),
        Attempt("gpt-4", "a", "InternalServerError", 0.0, 3.0, 500),
        Attempt("backup", "z", None, 2.0),
    )


def test_the_hidden_params_have_the_names_people_use(town):
    place = town({"a": PRICED | {"api_base": "http://here.example/v1"}})
    assert place.ask()._hidden_params == {
        "model_id": "a",
        "api_base": "http://here.example/v1",
        "custom_llm_provider": "openai",
        "response_cost": pytest.approx(0.06),
        "cache_hit": False,
        "additional_headers": {
            "x-litellm-model-group": "gpt-4",
            "x-litellm-attempted-retries": 0,
            "x-litellm-attempted-fallbacks": 0,
        },
    }


@pytest.mark.parametrize("price", ["input_cost_per_token", "output_cost_per_token"])
def test_the_cost_is_none_when_a_price_is_missing(town, price):
    deployment = {name: value for name, value in PRICED.items() if name != price}
    place = town({"a": deployment})
    assert place.ask().route.cost is None
    assert place.found(RequestSucceeded)[0].cost is None


def test_a_price_of_nothing_is_a_price(town):
    place = town({"a": {"group": "gpt-4", "input_cost_per_token": 0, "output_cost_per_token": 0}})
    assert place.ask().route.cost == 0


def test_the_cost_is_none_when_the_usage_is_missing(town):
    answer = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}}]}
    place = town({"a": PRICED | {"mock_response": answer}}, mocks=True)
    assert place.ask().route.cost is None


def test_the_group_that_served_is_named_not_the_one_that_was_asked(town):
    place = town({"a": "gpt-4", "z": "backup"}, {"a": [500]}, fallbacks=["backup"])
    assert place.ask()._hidden_params["additional_headers"]["x-litellm-model-group"] == "backup"


def test_every_decision_is_recorded_with_who_was_left_out(town):
    place = town({"a": {"group": "gpt-4", "rpm": 1}, "b": "gpt-4"}, seed=3)
    while place.state("a")["totals"]["started"] == 0:
        place.ask()
    place.ask()
    (recorded,) = [item for item in place.router.events()[-4:] if item.event.TYPE == "deployment_picked"]
    decision = recorded.event.decision
    assert (decision.deployment_id, decision.eligible) == ("b", 1)
    assert [(item.deployment_id, item.reason) for item in decision.left_out] == [("a", "rpm")]


def test_two_requests_have_two_ids(town):
    place = town({"a": "gpt-4"})
    assert place.ask().route.request_id != place.ask().route.request_id


def test_events_can_be_read_from_where_one_left_off(town):
    place = town({"a": "gpt-4"})
    place.ask()
    seen = place.router.events()
    place.ask()
    more = place.router.events(after=seen[-1].position)
    assert seen + more == place.router.events()
    assert {item.stream for item in place.router.events("deployment/a")} == {"deployment/a"}


def test_ask_takes_a_request_and_nothing_else(town):
    place = town({"a": "gpt-4"})
    with pytest.raises(BadRequestError, match="CompletionRequest"):
        place.router.ask({"model": "gpt-4"})


def test_a_closed_router_says_so(town):
    place = town({"a": "gpt-4"})
    place.router.close()
    place.router.close()
    for use in (place.ask, lambda: place.router.completion("gpt-4", place.request().messages)):
        with pytest.raises(RouterClosedError, match="closed"):
            use()


def test_the_events_of_a_closed_router_can_still_be_read(town):
    place = town({"a": "gpt-4"})
    place.ask()
    place.router.close()
    assert place.story()[-1] == "router_stopped"


def test_the_health_of_a_closed_router_is_a_clear_error(town):
    place = town({"a": "gpt-4"})
    place.router.close()
    with pytest.raises(RouterClosedError, match="closed"):
        place.router.health()


def test_an_error_is_raised_with_its_own_trace_for_each_request(town):
    place = town({"a": "gpt-4"}, {"a": [500, 500]})
    first, second = place.error(), place.error()
    assert isinstance(first, InternalServerError)
    assert first is not second
    assert first.request_id != second.request_id


def test_more_than_max_open_requests_are_refused_at_once(town, monkeypatch):
    from attrs import evolve

    from turnout.supervisor.face import wiring

    rules = wiring.supervisor_rules
    monkeypatch.setattr(
        wiring, "supervisor_rules", lambda settings: evolve(rules(settings), max_open_requests=2)
    )
    place = town({"a": "gpt-4"}, default=SimulatedProvider(latency=1.0))
    futures = [place.send() for _ in range(2)]
    error = place.error()
    assert error.status_code == 503
    assert "max_open_requests" in str(error)
    assert place.passed == 0
    place.clock.advance(1.0)
    assert all(future.done() for future in futures)
    place.ask()


def test_ctrl_c_before_get_has_begun_cancels_the_call(town, monkeypatch):
    """I4: the signal may come at any moment of `ask`."""
    from turnout.supervisor.face.request_future import RequestFuture

    def interrupted(self, *, timeout=None):
        raise KeyboardInterrupt

    place = town({"a": "gpt-4"}, default=SimulatedProvider(latency=1.0))
    monkeypatch.setattr(RequestFuture, "get", interrupted)
    with pytest.raises(KeyboardInterrupt):
        place.ask()
    monkeypatch.undo()
    place.clock.advance(0.0)
    assert place.open_calls() == 0
    assert place.story()[-1] in {"request_cancelled", "call_cancelled"}
