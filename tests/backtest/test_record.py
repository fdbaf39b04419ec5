"""What is read of a journal: arrivals, calls, what became of each request, and what came and went."""

import math

import pytest

from turnout import CompletionRequest, RequestError, Router
from turnout.backtest.record import read_record
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders

START = 1_767_225_600.0
MESSAGES = [{"role": "user", "content": "How many legs has a millipede?"}]


def entry(name, group="gpt-4", **params):
    return {
        "model_name": group,
        "litellm_params": {"model": "openai/gpt-4o", **params},
        "model_info": {"id": name, "input_cost_per_token": 0.001, "output_cost_per_token": 0.002},
    }


def a_router(clock, providers, *entries, **settings):
    fleet = list(entries) or [entry("eu")]
    return Router(fleet, clock=clock, caller=providers, seed=1, **settings)


@pytest.fixture
def clock():
    return FakeClock(start=START)


def test_a_request_is_read_as_it_came_and_as_it_went(clock):
    providers = SimulatedProviders(default=SimulatedProvider(latency=0.5, completion_tokens=7))
    with a_router(clock, providers, timeout=30) as router:
        clock.advance(5)
        router.completion("gpt-4", MESSAGES, max_tokens=50, num_retries=1, priority=3)
        record = read_record(router.events())
    (arrival,), (row,) = record.arrivals, record.rows
    assert (arrival.at, arrival.model, arrival.group, arrival.stream) == (START + 5, "gpt-4", "gpt-4", False)
    assert (arrival.timeout, arrival.priority) == (30, 3)
    assert (arrival.particulars.output_tokens, arrival.particulars.num_retries) == (50, 1)
    assert arrival.answered_by == ("eu", 10, 7)
    assert (row.seconds, row.deployment, row.error) == (0.5, "eu", None)
    assert row.cost == pytest.approx(10 * 0.001 + 7 * 0.002)
    (call,) = record.calls["eu"]
    assert (call.at, call.seconds, call.output_tokens, call.open) == (START + 5, 0.5, 7, 0)
    assert record.usual_timeout(START + 5) == 30


def test_a_request_that_says_nothing_of_itself_takes_no_more_room_than_before(clock):
    with a_router(clock, SimulatedProviders()) as router:
        router.completion("gpt-4", MESSAGES)
        (accepted,) = [r.event for r in router.events() if r.event.TYPE == "request_accepted"]
    assert accepted.particulars is None


def test_sessions_tags_and_regions_are_read(clock):
    with a_router(clock, SimulatedProviders(), enable_tag_filtering=True) as router:
        with pytest.raises(RequestError):
            router.completion("gpt-4", MESSAGES, tags=["blue"], session_id="Ann's")
        record = read_record(router.events())
    particulars = record.arrivals[0].particulars
    assert particulars.tags == ("blue",)
    assert isinstance(particulars.session, int)
    assert "Ann" not in repr(record)


def test_a_stream_its_first_content_and_one_that_breaks(clock):
    good = SimulatedProvider(latency=0.4, chunk_seconds=0.1, text="one two three")
    bad = SimulatedProvider(latency=0.4, cut_after=1)
    with a_router(
        clock, SimulatedProviders({"eu": good, "us": bad}), entry("eu"), entry("us", "b")
    ) as router:
        list(router.completion("gpt-4", MESSAGES, stream=True))
        with pytest.raises(RequestError):
            list(router.completion("b", MESSAGES, stream=True))
        record = read_record(router.events())
    whole, broken = record.rows
    assert whole.ttft == pytest.approx(0.4)
    assert whole.seconds == pytest.approx(0.7)
    assert (broken.error, broken.seconds) == ("MidStreamError", None)
    assert record.calls["us"][0].ttft == pytest.approx(0.4)


def test_what_failed_what_was_refused_and_who_left(clock):
    providers = SimulatedProviders({"eu": SimulatedProvider(script=[503, 429, 400], latency=0.2)})
    with a_router(clock, providers, disable_cooldowns=True) as router:
        for _ in range(3):
            with pytest.raises(RequestError):
                router.completion("gpt-4", MESSAGES)
        future = router.ask(CompletionRequest(model="gpt-4", messages=MESSAGES), block=False)
        future.cancel()
        clock.advance(1)
        record = read_record(router.events())
    assert [call.error for call in record.calls["eu"][:3]] == [
        "ServiceUnavailableError",
        "RateLimitError",
        "BadRequestError",
    ]
    assert record.arrivals[2].refused == {"gpt-4": ("BadRequestError", 400, pytest.approx(0.2))}
    assert record.arrivals[3].leaves == 0.0
    assert record.rows[3].left
    assert record.calls["eu"][3].cut


def test_how_busy_a_deployment_was(clock):
    providers = SimulatedProviders(default=SimulatedProvider(latency=10))
    with a_router(clock, providers) as router:
        for _ in range(3):
            router.ask(CompletionRequest(model="gpt-4", messages=MESSAGES), block=False)
            clock.advance(1)
        clock.advance(20)
        record = read_record(router.events())
    assert [call.open for call in record.calls["eu"]] == [0, 1, 2]
    assert record.busiest == {"eu": 3}


def test_deployments_that_come_and_go(clock):
    with a_router(clock, SimulatedProviders(), entry("eu"), entry("us")) as router:
        router.completion("gpt-4", MESSAGES)
        clock.advance(10)
        router.add_deployment(entry("asia"))
        router.update_deployment("eu", rpm=5)
        clock.advance(10)
        router.delete_deployment("us")
        router.set_model_list([entry("eu"), entry("late")])
        record = read_record(router.events())
    assert set(record.fleet) == {"eu", "us"}
    assert [(c.at - START, c.deployment_id, c.listing is None) for c in record.changes] == [
        (10, "asia", False),
        (10, "eu", False),
        (20, "us", True),
        (20, "late", False),
        (20, "eu", False),
        (20, "asia", True),
    ]
    assert set(record.listings) == {"eu", "us", "asia", "late"}


def test_what_cannot_be_asked_again_is_counted(clock):
    with a_router(clock, SimulatedProviders(), entry("eu"), cache_responses=True) as router:
        router.completion("gpt-4", MESSAGES)
        router.completion("gpt-4", MESSAGES)
        router.image_generation("a text", "gpt-4")
        router.ask(CompletionRequest(model="gpt-4", messages=[{"role": "user", "content": "?"}]), block=False)
        record = read_record(router.events())
    assert record.left_out == {
        "answered by the cache": 1,
        "of kind image_generation": 1,
        "still open at the end": 1,
    }
    assert len(record.arrivals) == 1


def test_the_bound_and_the_stretch(clock):
    with a_router(clock, SimulatedProviders(default=SimulatedProvider(latency=2))) as router:
        for _ in range(10):
            router.ask(CompletionRequest(model="gpt-4", messages=MESSAGES), block=False)
            clock.advance(1)
        clock.advance(10)
        events = router.events()
    few = read_record(events, max_requests=4)
    assert (len(few.arrivals), few.more) == (4, True)
    assert all(row.seconds == 2 for row in few.rows)
    early = read_record(events, until=START + 4.5)
    assert (len(early.arrivals), early.more) == (5, False)
    assert early.left_out.total() == 0
    assert len(read_record(events, until=math.inf).arrivals) == 10
    assert read_record([]).arrivals == []


def test_a_router_that_starts_anew_has_none_of_the_calls_before(clock, tmp_path):
    file = f"sqlite:///{tmp_path}/turnout.db"
    hanging = SimulatedProviders(default=SimulatedProvider(hang=True))
    for settings in ({}, {"timeout": 7}):
        router = Router([entry("eu")], clock=clock, caller=hanging, journal=file, seed=1, **settings)
        router.ask(CompletionRequest(model="gpt-4", messages=MESSAGES), block=False)
        clock.advance(10)
        events = router.events()
        router.close()
    record = read_record(events)
    assert [settings for _, settings in record.settings] == [{}, {"timeout": 7}]
    assert record.usual_timeout(START) is None
    assert record.usual_timeout(START + 15) == 7
    assert record.calls["eu"][-1].open == 0


def test_what_lost_a_race_is_paid_for_as_the_statistics_have_it(clock):
    slow = SimulatedProviders({name: SimulatedProvider(latency=3, prompt_tokens=10) for name in ("eu", "us")})
    with a_router(clock, slow, entry("eu"), entry("us"), hedge_after=1, hedge_budget=1.0) as router:
        for _ in range(4):
            router.completion("gpt-4", MESSAGES)
        record, stats = read_record(router.events()), router.get_usage_stats()
    bill = sum(row.cost for row in record.rows)
    assert bill == pytest.approx(stats["total"]["cost"])
    assert stats["total"]["estimated_cost"] > 0
