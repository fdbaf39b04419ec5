"""What a story says of requests that went in other ways than straight to an answer."""

from __future__ import annotations

import shutil

import pytest

from turnout import CompletionRequest, NoDeploymentsAvailable, RequestError, Router
from turnout.actors.journal.codec import Recorded
from turnout.actors.journal.memory import MemoryStore
from turnout.messages.events import (
    EVENT_TYPES,
    AttemptFailed,
    CallStarted,
    CallSucceeded,
    CooldownStarted,
    DeploymentPicked,
    FellBack,
    RequestFailed,
    WaitStarted,
)
from turnout.messages.outcomes import Decision, LeftOut
from turnout.supervisor.face.explaining import MAX_CALL_EVENTS, MAX_DISTANCE, explanation_from
from turnout.supervisor.stories.explanation import explained
from turnout.supervisor.stories.story import _WORDS
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders

HELLO = [{"role": "user", "content": "Hello"}]
ASKED = CompletionRequest(model="gpt-4", messages=HELLO)
START = 1_700_000_000


def deployment(name, group="gpt-4", **params):
    return {
        "model_name": group,
        "litellm_params": {"model": "openai/gpt-4o", **params},
        "model_info": {"id": name, "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6},
    }


def router(entries, providers=None, **settings):
    settings = {"clock": FakeClock(start=START), "seed": 1, **settings}
    return Router(entries, caller=SimulatedProviders(providers or {}), **settings)


def says(explanation):
    return [step.says for step in explanation.steps]


def test_every_event_there_is_has_words_of_its_own():
    assert set(_WORDS) == set(EVENT_TYPES.values())


def test_of_two_attempts_side_by_side_both_are_told_and_which_was_given_up():
    slow = {"eu": SimulatedProvider(latency=5), "us": SimulatedProvider(latency=5)}
    with router([deployment("eu"), deployment("us")], slow, hedge_after=1, hedge_budget=1) as one:
        one.completion("gpt-4", HELLO)
        told = says(one.explain())
    assert "attempt 2 (beside the one before): us" in told[2]
    assert "the other attempt was faster: us is given up after 4.000 s" in told
    assert "us: attempt 2 is given up (hedged) after 4.000 s, 6 + 0 tokens, about $0.000006" in told


def test_a_stream_that_breaks_off_tells_what_it_cost_all_the_same():
    broken = SimulatedProvider(latency=1, chunk_seconds=0.5, cut_after=2)
    with router([deployment("eu")], {"eu": broken}) as one:
        stream = one.completion("gpt-4", HELLO, stream=True)
        with pytest.raises(RequestError):
            list(stream)
        story = one.explain()
    assert (story.result, story.cost) == ("failed", pytest.approx(10e-6 + 2 * 2e-6))
    assert "eu: attempt 1 used 10 + 2 tokens, $0.000014" in says(story)
    assert says(story)[-1] == "ends in MidStreamError (500) after 2.000 s and 1 attempt"
    assert story.headline.endswith('for "gpt-4": failed after 2.000 s, $0.000014')


def test_a_caller_who_leaves_is_told_with_what_was_used_until_then():
    slow = SimulatedProvider(latency=1, chunk_seconds=1)
    with router([deployment("eu")], {"eu": slow}) as one:
        stream = one.completion("gpt-4", HELLO, stream=True)
        next(iter(stream))
        stream.close()
        story = one.explain()
    assert story.result == "cancelled"
    assert says(story)[-1].startswith("eu: attempt 1 is given up (caller left) after 1.000 s, 10 + 1 tokens")
    assert story.cost == pytest.approx(12e-6)


def test_a_probe_is_called_one_and_so_is_the_recovery():
    with router(
        [deployment("eu")], {"eu": SimulatedProvider(script=[500])}, allowed_fails=0, cooldown_time=7
    ) as one:
        with pytest.raises(RequestError):
            one.completion("gpt-4", HELLO)
        one._dispatcher.clock.advance(7)
        one.completion("gpt-4", HELLO)
        told = says(one.explain())
    (probe,) = [line for line in told if line.startswith("eu: attempt 1 begins")]
    assert probe.endswith("tokens set aside, the probe after a cooldown")
    assert "eu: is well again: the probe succeeded" in told


def test_an_answer_from_the_cache_says_so_and_costs_nothing():
    with router([deployment("eu")], cache_responses=True) as one:
        one.completion("gpt-4", HELLO)
        one._dispatcher.clock.advance(5)
        one.completion("gpt-4", HELLO)
        story = one.explain()
    assert "answered from the cache, 5.000 s old" in says(story)
    assert says(story)[-1] == "answered with the answer of eu after 0.000 s, for $0.000000"


def test_a_wait_says_that_nobody_was_eligible_and_why():
    with router([deployment("eu", rpm=1)], on_exhausted="wait") as one:
        one.completion("gpt-4", HELLO)
        one.completion("gpt-4", HELLO)
        (wait,) = [line for line in says(one.explain()) if line.startswith("waits")]
    assert wait == (
        "waits in group 'gpt-4', where nobody is eligible, the first release is in 60 s; "
        "left out: eu (at its limit of requests for 60 s: needs 1, has 0)"
    )


def test_who_is_above_a_limit_that_was_lowered_has_nothing_left_and_not_less():
    with router([deployment("eu", rpm=9)]) as one:
        for _ in range(5):
            one.completion("gpt-4", HELLO)
        one.update_deployment("eu", rpm=2)
        with pytest.raises(NoDeploymentsAvailable):
            one.completion("gpt-4", HELLO)
        assert says(one.explain())[-1].endswith(
            "left out: eu (at its limit of requests for 60 s: needs 1, has 0)"
        )


def picked(deployment_id):
    decision = Decision("gpt-4", "simple-shuffle", deployment_id, 1)
    return DeploymentPicked("r", "r.1", 1, decision)


FULL = (LeftOut("eu", "rpm", until=5.0, need=1.0, has=0.0),)
NOBODY = "NoDeploymentsAvailable"


@pytest.mark.parametrize(
    ("then", "refused"),
    [
        ([picked("us")], True),
        ([WaitStarted("r", "gpt-4", 5.0, FULL)], True),
        ([FellBack("r", "gpt-4", "small", NOBODY, FULL)], True),
        ([AttemptFailed("r", "r.1", "gpt-4", "eu", "Timeout", 408, 1.0), picked("us")], False),
        ([RequestFailed("r", NOBODY, 429, 0, 0, 0, 0.0, 1.0)], False),  # the router was closed
    ],
)
def test_somebody_who_was_chosen_and_did_not_take_the_call_is_told_to_have_refused(then, refused):
    events = [picked("eu"), *then]
    told = explained([Recorded(n, "request/r", n, 1.0, event) for n, event in enumerate(events, 1)])
    assert says(told)[0].endswith("; eu refuses after all") == refused
    assert not any("refuses" in words for words in says(told)[1:])


def test_money_and_tags_are_reasons_in_words():
    entries = [deployment("eu", tags=["paid"]), deployment("us", tags=["free"])]
    budget = {"openai": {"max_budget": 0.00002, "budget_duration": "1d"}}
    with router(entries, enable_tag_filtering=True, provider_budget_config=budget) as one:
        one.completion("gpt-4", HELLO, tags=["paid"])
        assert "left out: us (tagged otherwise: free)" in says(one.explain())[1]
        with pytest.raises(NoDeploymentsAvailable) as caught:
            one.completion("gpt-4", HELLO, tags=["paid"])
    out = "eu (too little left in the budget for 6400 s: provider:openai: it is used up)"
    assert caught.value.story.splitlines()[0] == f"left out: {out}, us (tagged otherwise: free)"


def test_a_request_whose_router_died_is_told_to_have_been_abandoned(tmp_path):
    file = tmp_path / "j.db"
    with router(
        [deployment("eu")], {"eu": SimulatedProvider(hang=True)}, journal=f"sqlite:///{file}"
    ) as died:
        request_id = died.ask(ASKED, block=False).request_id
        died._dispatcher.clock.advance(2)
        died._journal.confirm().get()
        for part in ("j.db", "j.db-wal"):  # what a process that is killed leaves behind
            shutil.copy(tmp_path / part, tmp_path / f"left-{part}")
        assert died.explain().result == "open"
        assert "still open, last heard of after 0.000 s" in str(died.explain())
    later = {"journal": f"sqlite:///{tmp_path}/left-j.db", "clock": FakeClock(start=START + 10)}
    with router([deployment("eu")], **later) as heir:
        story = heir.explain(request_id)
    assert story.result == "abandoned"
    assert story.headline.endswith("never answered: its router was gone, last heard of after 0.000 s")
    assert says(story)[-1].startswith("eu: attempt 1 was open when its router or actor ended")
    assert says(story)[-2].startswith("another router takes up the journal")


class Counting(MemoryStore):
    """A store that counts the events it gives away."""

    given = 0

    def read(self, stream=None, after=0, limit=None):
        for recorded in super().read(stream, after, limit):
            self.given += 1
            yield recorded


def test_of_a_long_request_no_more_is_read_than_its_beginning_and_its_end():
    """The deployment has had 50,000 other calls while this one was open."""
    with router([deployment("eu")], {"eu": SimulatedProvider(latency=9)}) as one:
        one.completion("gpt-4", HELLO)
        own = one.events(f"request/{one.explain().request_id}")
        theirs = one.events("deployment/eu")
    request_id = own[0].event.request_id
    store = Counting(kept=1_000_000)
    version = 0
    events = [*own[:2], theirs[0], *[None] * 50_000, theirs[1], own[2]]
    batch = []
    for position, event in enumerate(events, start=1):
        if event is None or event in theirs:
            version += 1
            known = CallStarted(f"x.{version}", "x", 1) if event is None else event.event
            batch.append(Recorded(position, "deployment/eu", version, START, known))
        else:
            batch.append(Recorded(position, event.stream, event.version, event.at, event.event))
    store.append(batch)
    story = explanation_from(store, request_id)
    assert "eu: attempt 1 succeeded after 9.000 s, 10 + 5 tokens" in says(story)
    assert store.given < 2 * (MAX_CALL_EVENTS + MAX_DISTANCE)


def test_a_cooldown_of_somebody_elses_making_is_not_told():
    with router([deployment("eu")]) as one:
        one.completion("gpt-4", HELLO)
        events = one.events()
    own = [item for item in events if item.stream.startswith("request/")]
    request_id = own[0].event.request_id
    ended = CallSucceeded(f"{request_id}.1", request_id, 1, 1, None, 1.0)
    theirs = [
        Recorded(10, "deployment/eu", 5, START, ended),
        Recorded(
            11, "deployment/eu", 7, START, CooldownStarted(START + 9, 9, "Timeout", 1)
        ),  # 6 is not known
    ]
    store = MemoryStore(kept=1000)
    store.append([*own[:-1], *theirs, Recorded(12, own[-1].stream, own[-1].version, START, own[-1].event)])
    told = says(explanation_from(store, request_id))
    assert not any("cools down" in line for line in told)
