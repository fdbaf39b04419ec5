"""An identical request is answered from memory: at once, for nothing, counted against no limit."""

from turnout.messages.events import CacheHit, RequestSucceeded


def test_the_second_of_two_identical_requests_is_answered_from_the_cache(house):
    home = house()
    first, second = home.ask(), home.ask()
    assert home.calls == 1
    assert second.id == first.id
    assert second.model_dump() == first.model_dump()
    assert (first.route.cache_hit, second.route.cache_hit) == (False, True)


def test_a_hit_costs_nothing_and_says_who_gave_the_answer_once(house):
    home = house()
    home.ask()
    hit = home.ask()
    assert hit.route.cost == 0.0
    assert hit.route.attempts == ()
    assert (hit.route.model_group, hit.route.deployment_id) == ("gpt-4", "eu")
    hidden = hit._hidden_params
    assert (hidden["cache_hit"], hidden["response_cost"], hidden["model_id"]) == (True, 0.0, "eu")


def test_a_hit_is_an_event(house):
    home = house()
    home.ask()
    home.clock.advance(3)
    hit = home.ask()
    assert home.story(hit) == ["request_accepted", "cache_hit", "request_succeeded"]
    found = next(r.event for r in home.router.events() if isinstance(r.event, CacheHit))
    assert (found.group, found.deployment_id, found.shared) == ("gpt-4", "eu", False)
    assert found.age == 3.0
    done = [r.event for r in home.router.events() if isinstance(r.event, RequestSucceeded)]
    assert [event.cached for event in done] == [False, True]
    assert done[1].cost == 0.0


def test_a_hit_counts_against_no_limit(house):
    home = house(model_list=[{"model_name": "gpt-4", "litellm_params": {"model": "openai/gpt-4o", "rpm": 1}}])
    answers = [home.ask() for _ in range(10)]
    assert home.calls == 1
    assert len({answer.id for answer in answers}) == 1


def test_whoever_is_given_an_answer_is_given_their_own(house):
    home = house()
    first = home.ask()
    first.choices[0].message.content = "changed by its caller"
    second = home.ask()
    second.choices[0].message.content = "changed again"
    third = home.ask()
    assert third.choices[0].message.content not in ("changed by its caller", "changed again")


def test_a_router_without_a_cache_has_no_such_actor(house):
    home = house()
    from turnout import Router
    from turnout.testing import FakeClock, SimulatedProviders

    assert "cache" in home.router._switchboard.services
    with Router(
        [{"model_name": "m", "litellm_params": {"model": "openai/x"}}],
        clock=FakeClock(),
        caller=SimulatedProviders(),
        redis_host="localhost",
        redis_password="made-up",
    ) as plain:
        assert "cache" not in plain._switchboard.services
        assert plain.health()["cache"] is None


def test_answers_leave_after_their_time(house):
    home = house(cache_kwargs={"ttl": 60})
    home.ask()
    home.clock.advance(59)
    assert home.ask().route.cache_hit
    home.clock.advance(1)
    assert not home.ask().route.cache_hit
    assert home.calls == 2


def test_an_error_is_not_cached(house):
    import pytest

    from turnout import InternalServerError

    home = house({"eu": [500]})
    with pytest.raises(InternalServerError):
        home.ask()
    assert not home.ask().route.cache_hit
    assert home.calls == 2
