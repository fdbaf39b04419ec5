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


def test_an_answer_is_no_longer_than_was_asked_for(call, providers, ask):
    playing = providers(eu=[call(float(n), output=500) for n in range(100)])
    assert ask(playing, particulars=Particulars(50)).output_tokens == 50


def test_an_outage_comes_again_and_passes(call, providers, ask):
    calls = [call(float(n), error="APIError" if 400 <= n < 500 else None, status=500) for n in range(1_000)]
    playing = providers(eu=calls)
    found = [ask(playing, at=at, number=n).fault is None for n, at in enumerate((300.0, 450.0, 460.0, 600.0))]
    assert found == [True, False, False, True]


def test_one_that_was_hardly_used_is_as_fast_as_others_of_its_model(call, providers, ask):
    fast = [call(float(n), 1.0) for n in range(100)]
    slow = [call(float(n), 9.0) for n in range(100)]
    few = [call(float(n), 1.0) for n in range(HARDLY_USED - 1)]
    models = {"eu": "openai/a", "us": "openai/b", "new": "openai/b", "odd": "openai/c"}
    listings = {name: listing(model=model) for name, model in models.items()}
    model = fit_model(Record(calls={"eu": fast, "us": slow, "new": few}), listings)
    assert model.behaviours["new"].borrowed == ("us",)
    assert model.behaviours["new"].alike
    assert model.behaviours["eu"].borrowed == ()
    assert set(model.behaviours["odd"].borrowed) == {"eu", "us", "new"}
    assert not model.behaviours["odd"].alike
    playing = providers(listings=listings, eu=fast, us=slow, new=few)
    assert max(ask(playing, "new", number=n).seconds for n in range(50)) == pytest.approx(9.0, rel=0.1)


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
