"""Plays: the real router, at the recorded times, with the same luck under every setting."""

import itertools

import pytest

from bench.ground_truths import draw_world
from turnout import ConfigurationError
from turnout.actors.runtime.chance import make_rng
from turnout.backtest.backtest import compare
from turnout.backtest.draws import Draws
from turnout.backtest.play import play, requests_of
from turnout.backtest.ports import Fault, Reply
from turnout.backtest.providers import fit_model
from turnout.backtest.setups import Setup, as_recorded, from_config, with_settings
from turnout.messages.events import Particulars

START = 1_767_225_600.0


class Scripted:
    """Providers that reply what they are told, and remember what they were asked."""

    def __init__(self, *replies):
        self.replies = list(replies)
        self.asked = []

    def reply(self, asked):
        self.asked.append(asked)
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


def entry(name, group="gpt-4", **params):
    return {
        "model_name": group,
        "litellm_params": {"model": "openai/gpt-4o", **params},
        "model_info": {"id": name, "input_cost_per_token": 0.001, "output_cost_per_token": 0.002},
    }


def setup(*names, **settings):
    return Setup("test", settings, {name: entry(name) for name in names or ("eu",)})


def played(arrivals, providers, setup_, seed=1, timeout=60.0):
    return play(requests_of(arrivals, lambda _: timeout), setup_, providers, seed).rows


def test_a_request_comes_when_it_came_and_ends_when_the_reply_says(arrival):
    providers = Scripted(Reply(2.5, None, 100, 7))
    (row,) = played([arrival(START + 3)], providers, setup())
    assert (row.at, row.seconds, row.deployment) == (START + 3, 2.5, "eu")
    assert row.cost == pytest.approx(0.1 + 0.014)
    (asked,) = providers.asked
    assert (asked.at, asked.number, asked.nth, asked.open) == (START + 3, 0, 0, 0)


@pytest.mark.parametrize("kind", ["embedding", "moderation"])
def test_what_comes_to_no_tokens_is_asked_as_what_it_is(arrival, kind):
    came = arrival(tokens=300, kind=kind, particulars=Particulars(0))
    asking = requests_of([came], lambda _: 60.0)
    (row,) = play(asking, setup(), Scripted(Reply(0.2, None, 300, 0)), 1).rows
    assert kind == asking[0][1].KIND
    assert (asking[0][1].demand().input_tokens, asking[0][1].demand().output_tokens) == (300, 0)
    assert (row.seconds, row.deployment) == (pytest.approx(0.2), "eu")
    assert row.cost == pytest.approx(0.3)


def test_a_stream_opens_and_ends_and_need_not_be_read(arrival):
    providers = Scripted(Reply(50.0, 1.5, 100, 7))
    (row,) = played([arrival(stream=True)], providers, setup(stream_timeout=10))
    assert (row.ttft, row.seconds) == (1.5, 50.0)


def test_a_stream_that_never_goes_on_is_given_up(arrival):
    providers = Scripted(Reply(float("inf"), 1.5))
    (row,) = played([arrival(stream=True)], providers, setup(stream_timeout=10))
    assert (row.ttft, row.error) == (1.5, "MidStreamError")


def test_faults_are_retried_and_each_try_is_told_apart(arrival):
    providers = Scripted(
        Reply(0.1, fault=Fault("RateLimitError", 429, 2.0)),
        Reply(0.1, fault=Fault("APIConnectionError", 500, None, "no")),
        Reply(0.1, fault=Fault("SomethingOfTheirOwn", 503)),
        Reply(1.0, None, 10, 10),
    )
    (row,) = played([arrival()], providers, setup(num_retries=3, disable_cooldowns=True))
    assert (row.retries, row.failed_attempts, row.deployment) == (3, 3, "eu")
    assert [asked.nth for asked in providers.asked] == [0, 1, 2, 3]


def test_a_request_that_is_wrong_is_wrong_again_and_no_provider_is_to_blame(arrival):
    wrong = arrival(refused={"gpt-4": ("BadRequestError", 400, 0.2)})
    providers = Scripted(Reply(1.0, None, 10, 10))
    rows = played([wrong, arrival(START + 1)], providers, setup())
    assert [row.error for row in rows] == ["BadRequestError", None]
    assert len(providers.asked) == 1


def test_a_caller_leaves_when_it_left(arrival):
    providers = Scripted(Reply(10.0, None, 10, 10))
    rows = played([arrival(leaves=2.0), arrival(leaves=20.0)], providers, setup())
    assert [row.left for row in rows] == [True, False]


def test_a_timeout_of_the_router_is_not_taken_for_the_requests_own(arrival):
    providers = Scripted(Reply(float("inf")))
    usual, own = arrival(), arrival(START + 0.5)
    own.timeout = 5.0
    rows = played([usual, own], providers, setup(timeout=20.0))
    assert [row.error for row in rows] == ["Timeout", "Timeout"]
    ends = requests_of([usual, own], lambda _: 60.0)
    assert [request.timeout for _, request in ends] == [None, 5.0]


def test_how_busy_a_deployment_is_and_was(arrival):
    providers = Scripted(Reply(10.0, None, 10, 10))
    arrivals = [arrival(START + at) for at in (0, 1, 2, 3, 11.5)]
    found = play(requests_of(arrivals, lambda _: 60.0), setup(), providers, 1)
    assert [asked.open for asked in providers.asked] == [0, 1, 2, 3, 2]
    assert found.busiest == {"eu": 5}


def test_deployments_come_and_go_when_they_did(arrival):
    providers = Scripted(Reply(0.1, None, 10, 10))
    changing = Setup(
        "test",
        {},
        {"eu": entry("eu")},
        ((START + 10, "us", entry("us")), (START + 10, "eu", None), (START + 20, "us", None)),
    )
    rows = played([arrival(START + at) for at in (0, 5, 15, 25)], providers, changing)
    assert [row.deployment for row in rows] == ["eu", "eu", "us", None]


def test_the_same_seed_gives_the_same_play():
    world = draw_world(3, 200)
    assert world.played(world.setup, 5) != []
    one, other = ([r.seconds for r in world.played(world.setup, 5)] for _ in range(2))
    assert one == other
    assert one != [r.seconds for r in world.played(world.setup, 6)]


class Listening:
    """Passes on what others reply, and keeps it."""

    def __init__(self, providers):
        self.providers = providers
        self.replies = {}

    def reply(self, asked):
        found = self.providers.reply(asked)
        self.replies[asked.number, asked.deployment_id, asked.nth, asked.at] = (asked.open, found)
        return found


def test_the_same_request_has_the_same_luck_under_other_settings():
    record = draw_world(0, 300, ("lognormal", "ill", "slow evening")).recorded(1)
    model = fit_model(record, record.listings)
    heard = []
    for strategy in ("simple-shuffle", "least-busy"):
        providers = Listening(model.drawn(1, make_rng(1)))
        candidate = with_settings(as_recorded(record), "x", {"routing_strategy": strategy})
        play(requests_of(record.arrivals, record.usual_timeout), candidate, providers, 1)
        heard.append(providers.replies)
    both = heard[0].keys() & heard[1].keys()
    assert 50 < len(both) < 300
    for key in both:
        (busy, one), (busy_there, other) = (each[key] for each in heard)
        assert (one.fault, one.prompt_tokens, one.output_tokens) == (
            other.fault,
            other.prompt_tokens,
            other.output_tokens,
        )
        assert busy != busy_there or one == other  # others under way may slow it down


def test_draws_are_even_and_have_nothing_to_do_with_each_other():
    draws = Draws(1)
    values = [
        draws.of(number, place, 0, what) for number in range(500) for place in (0, 1) for what in (0, 1)
    ]
    assert sum(values) / len(values) == pytest.approx(0.5, abs=0.03)
    assert len(set(values)) == len(values)
    pairs = list(itertools.pairwise(values))
    assert sum((a - 0.5) * (b - 0.5) for a, b in pairs) / len(pairs) == pytest.approx(0.0, abs=0.01)
    assert draws.of(1, 2, 3, 4) == Draws(1).of(1, 2, 3, 4) != Draws(2).of(1, 2, 3, 4)


def test_what_was_configured_is_played_without_keys_and_addresses():
    world = draw_world(3, 50)
    record = world.recorded(1)
    listing = record.fleet["d0"]
    listing.config["litellm_params"]["api_key"] = "os.environ/NOBODY_SET_THIS"
    listing.config["litellm_params"]["api_base"] = "https://secret.example"
    usual = as_recorded(record)
    params = usual.entries["d0"]["litellm_params"]
    assert "secret" not in repr(params)
    assert "NOBODY" not in repr(params)
    assert compare(record, [usual], 1).requests == 50


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"routing_strat": "adaptive"}, "did you mean 'routing_strategy'"),
        ({"cooldown_time": "soon"}, "cooldown_time"),
        ({"cache_responses": True}, "cannot be backtested"),
        ({"callbacks": []}, "cannot be backtested"),
    ],
)
def test_a_wrong_setting_is_told_and_what_to_do(changed, words):
    with pytest.raises(ConfigurationError, match=words):
        with_settings(setup(), "x", changed)


def test_a_strategy_of_the_users_own_is_not_in_a_record():
    mine = setup(routing_strategy="<MyStrategy>")
    with pytest.raises(ConfigurationError, match="name another one"):
        with_settings(mine, "x", {"num_retries": 1})
    assert (
        with_settings(mine, "x", {"routing_strategy": "adaptive"}).settings["routing_strategy"] == "adaptive"
    )


def test_another_configuration_must_serve_what_was_asked_for():
    record = draw_world(3, 50).recorded(1)
    other = from_config("tomorrow", [entry("d9", "mains")], {})
    with pytest.raises(ConfigurationError, match=r"no model 'main'; did you mean 'mains'.*50 requests"):
        compare(record, [as_recorded(record), other], 1)
    with pytest.raises(ConfigurationError, match="model_list"):
        from_config("empty", [], {})


def test_a_deployment_the_record_never_saw_is_borrowed_for_and_said_so():
    record = draw_world(3, 120).recorded(1)
    new = from_config("new", [entry("fresh", "main")], {"timeout": 60.0})
    found = compare(record, [as_recorded(record), new], 2)
    assert found.columns[1].estimate("share of fresh").mean == 1.0
    assert any("how fresh does: it answered 0 requests" in said for said in found.unknown)
