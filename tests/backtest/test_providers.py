"""The providers of one play: as the record shows them, each in its own way."""

import pytest

from turnout.actors.runtime.chance import make_rng
from turnout.backtest.ports import Asked
from turnout.backtest.providers import HARDLY_USED, fit_model
from turnout.backtest.record import Record
from turnout.messages.events import Particulars
from turnout.supervisor.fleet.fleet import Listing


def listing(group="gpt-4", model="openai/gpt-4o"):
    return Listing(group, {"litellm_params": {"model": model}})


@pytest.fixture
def providers():
    """Makes the providers of a play from calls by deployment."""

    def make(seed=1, listings=None, **calls):
        record = Record(began=0.0, ended=10_000.0, calls=calls)
        model = fit_model(record, listings or {name: listing() for name in calls})
        return model.drawn(seed, make_rng(seed))

    return make


@pytest.fixture
def ask(arrival):
    def asked(of, name="eu", at=500.0, number=0, busy=0, nth=0, **more):
        return of.reply(Asked(name, at, number, arrival(at, **more), nth, more.get("stream", False), busy))

    return asked


def test_who_fails_now_and_then_fails_as_often_and_in_the_same_ways(call, providers, ask):
    kinds = {0: ("RateLimitError", 429, 7.0), 10: ("ServiceUnavailableError", 503, None)}
    rng, calls = make_rng(5), []
    for n in range(2_000):
        error, status, later = kinds.get(rng.choice(range(0, 200, 10)), (None, 0, None))
        calls.append(call(n / 2, error=error, status=status, retry_after=later))
    playing = providers(eu=calls)
    replies = [ask(playing, number=n) for n in range(2_000)]
    faults = [reply.fault for reply in replies if reply.fault is not None]
    assert len(faults) / 2_000 == pytest.approx(0.1, abs=0.03)
    assert {(fault.kind, fault.status, fault.retry_after) for fault in faults} == set(kinds.values())


def test_a_limit_holds_under_a_load_that_was_never_seen(call, providers, ask):
    calls, taken = [], []
    for n in range(1_000):
        at = (calls[-1].at if calls else 0.0) + (0.5 if n // 100 % 2 else 5.0)
        refused = sum(at - 60.0 < t <= at for t in taken) >= 40
        calls.append(call(at, error="RateLimitError" if refused else None, status=429 if refused else 0))
        if not refused:
            taken.append(at)
    playing = providers(eu=calls)
    replies = [ask(playing, at=500.0 + n / 10, number=n) for n in range(600)]  # sixty seconds
    assert sum(reply.fault is None for reply in replies) == pytest.approx(40, abs=2)
    assert all(reply.fault.status == 429 for reply in replies[100:])
    assert ask(playing, at=700.0, number=1_000).fault is None


def test_who_slows_down_under_load_does_so_again(call, providers, ask):
    rng = make_rng(2)
    calls = [
        call(float(n), (1 + 0.2 * busy) * rng.uniform(0.9, 1.1), busy=busy)
        for n, busy in enumerate(rng.randrange(10) for _ in range(1_000))
    ]
    playing = providers(eu=calls)
    idle, busy = (sum(ask(playing, number=n, busy=b).seconds for n in range(200)) / 200 for b in (0, 9))
    assert busy / idle == pytest.approx(2.8, rel=0.2)


def test_an_answer_is_as_long_as_it_was_and_elsewhere_as_long_as_there(call, providers, ask):
    terse = [call(float(n), output=10 + n % 10) for n in range(200)]
    wordy = [call(float(n), output=100 + 10 * (n % 10)) for n in range(200)]
    playing = providers(eu=terse, us=wordy)
    assert ask(playing, answered_by=("eu", 77, 19))[2:4] == (77, 19)
    there = ask(playing, "us", answered_by=("eu", 77, 19))
    assert there.output_tokens == 190  # the longest here, the longest there
    assert ask(playing, "us", answered_by=("eu", 77, 10)).output_tokens == 100


def test_answers_that_differ_by_chance_alone_are_as_long_elsewhere(call, providers, ask):
    rng = make_rng(4)

    def calls(wordy):
        return [call(float(n), output=round(wordy * rng.lognormvariate(5.0, 0.7))) for n in range(150)]

    by_name = {"eu": calls(1.0), "same": calls(1.0), "wordy": calls(2.0)}
    plays = [providers(seed, **by_name) for seed in range(40)]
    answered = ("eu", 100, 150)
    same = [ask(each, "same", answered_by=answered).output_tokens for each in plays]
    assert sum(tokens == 150 for tokens in same) > 20
    assert len(set(same)) > 5  # and yet nobody knows
    wordy = sorted(ask(each, "wordy", answered_by=answered).output_tokens for each in plays)
    assert wordy[20] == pytest.approx(300, rel=0.2)
    assert wordy[0] > 200
    assert wordy[-1] - wordy[0] > 20


def test_a_prompt_is_as_long_elsewhere_unless_that_one_counts_otherwise(call, arrival, providers, ask):
    rng = make_rng(1)
    calls = {}
    for name, tokens_each in (("eu", 1.0), ("us", 1.0), ("odd", 1.5)):
        sizes = [rng.randrange(20, 2_000) for _ in range(60)]
        calls[name] = [
            call(float(n), arrival=arrival(float(n), tokens=size), prompt=round(tokens_each * size))
            for n, size in enumerate(sizes)
        ]
    playing = providers(**calls)
    assert ask(playing, "us", answered_by=("eu", 777, 50)).prompt_tokens == 777
    assert ask(playing, "odd", answered_by=("eu", 777, 50)).prompt_tokens == pytest.approx(1_165, rel=0.03)
    # one that counts ten for everything has no rate to go by
    same = providers(
        **{name: [call(c.at, arrival=c.arrival, prompt=10) for c in calls[name]] for name in ("eu", "us")}
    )
    assert ask(same, "us", answered_by=("eu", 10, 50)).prompt_tokens == 10


def test_an_answer_is_no_longer_than_was_asked_for(call, providers, ask):
    playing = providers(eu=[call(float(n), output=500) for n in range(100)])
    assert ask(playing, particulars=Particulars(50)).output_tokens == 50


def test_an_outage_comes_again_and_passes(call, providers, ask):
    calls = [call(float(n), error="APIError" if 400 <= n < 500 else None, status=500) for n in range(1_000)]
    playing = providers(eu=calls)
    found = [ask(playing, at=at, number=n).fault is None for n, at in enumerate((300.0, 450.0, 460.0, 600.0))]
    assert found == [True, False, False, True]


def test_one_that_was_hardly_used_is_likened_to_others_of_its_model(call):
    fast = [call(float(n), 1.0) for n in range(100)]
    slow = [call(float(n), 9.0) for n in range(100)]
    few = [call(float(n), 1.0) for n in range(HARDLY_USED - 1)]
    models = {"eu": "openai/a", "us": "openai/b", "new": "openai/b", "odd": "openai/c"}
    listings = {name: listing(model=model) for name, model in models.items()}
    model = fit_model(Record(calls={"eu": fast, "us": slow, "new": few}), listings)
    assert set(model.behaviours["new"].borrowed) == {"us"}
    assert model.behaviours["new"].alike
    assert not model.behaviours["eu"].borrowed
    assert set(model.behaviours["odd"].borrowed) == {"eu", "us"}
    assert not model.behaviours["odd"].alike


def test_how_fast_one_is_that_was_never_called_is_drawn_around_another_and_few_calls_tell(
    call, providers, ask
):
    known = [call(float(n), 2.0) for n in range(100)]
    listings = {name: listing() for name in ("eu", "new", "bit")}
    few = [call(float(n), 6.0) for n in range(HARDLY_USED - 1)]
    plays = [providers(seed, listings, eu=known, bit=few) for seed in range(40)]

    def taken(name):
        replies = [ask(each, name) for each in plays]
        return sorted(reply.seconds for reply in replies if reply.fault is None)

    never = taken("new")
    assert never[0] < 1.4
    assert never[20] == pytest.approx(2.0, rel=0.25)
    assert never[-1] > 2.8
    hardly = taken("bit")
    assert 4.0 < hardly[0] < hardly[-1] < 8.5
    assert len(taken("eu")) == len(plays)
    assert len(set(taken("eu"))) == 1


def test_one_that_was_never_called_fails_as_another_does(call, providers, ask):
    known = [call(float(n), error="APIError" if n % 5 == 0 else None, status=500) for n in range(400)]
    listings = {name: listing() for name in ("eu", "new")}
    failed = [
        sum(ask(playing, "new", number=n).fault is not None for n in range(200)) / 200
        for playing in (providers(seed, listings, eu=known) for seed in range(20))
    ]
    assert sum(failed) / 20 == pytest.approx(0.2, abs=0.08)
    assert max(failed) - min(failed) > 0.1  # nobody knows


def test_one_that_was_never_called_is_not_taken_to_be_perfect_where_others_are(call, providers, ask):
    known = [call(float(n)) for n in range(400)]
    plays = [providers(seed, {name: listing() for name in ("eu", "new")}, eu=known) for seed in range(40)]

    def failed(name):
        faults = [ask(each, name, number=n).fault for each in plays for n in range(50)]
        return [fault for fault in faults if fault is not None]

    assert failed("eu") == []
    assert 0.005 < len(failed("new")) / 2_000 < 0.06
    assert {fault.kind for fault in failed("new")} == {"APIError"}


def test_nobody_like_it_takes_a_second(providers, ask):
    assert ask(providers(listings={"eu": listing()}), answered_by=("eu", 1, 1)).seconds == 1.0


def test_a_time_out_is_a_call_that_takes_longer(call, providers, ask):
    calls = [
        call(float(n), 1.0 if n % 2 else 30.0, error=None if n % 2 else "Timeout", cut=not n % 2)
        for n in range(400)
    ]
    playing = providers(eu=calls)
    replies = [ask(playing, number=n) for n in range(400)]
    forever = [reply for reply in replies if reply.seconds == float("inf")]
    assert len(forever) / 400 == pytest.approx(0.5, abs=0.1)
    assert all(reply.fault is None for reply in replies)
