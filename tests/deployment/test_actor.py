"""The Deployment actor alone: a command in, events, mail and state out. The kit replays after every step."""

from __future__ import annotations

import pytest

from turnout import CompletionRequest, RateLimitError
from turnout.actors.deployment.cooldown import CooldownPolicy
from turnout.actors.deployment.state import DeploymentState, Limits
from turnout.actors.runtime.channel import Channel
from turnout.messages.commands import (
    AddMember,
    Announce,
    AttemptTimedOut,
    Call,
    CallEnded,
    CallRefused,
    CancelCall,
    Inspect,
    ProviderFinished,
    SaveSnapshot,
    StatusChanged,
    StreamOpened,
)
from turnout.messages.outcomes import CallOutcome, ProviderLimits, Usage
from turnout.testing import ActorTestKit, SimulatedProvider

HANGS = SimulatedProvider(hang=True)


@pytest.fixture
def bench():
    """`bench(provider, **limits)`: a kit that is closed at the end."""
    kits = []

    def make(provider=None, *, router=None, **params):
        entry = {
            "model_name": "gpt-4",
            "litellm_params": {"model": "openai/gpt-4", "api_key": "x", **params},
            "model_info": {"id": "a", "input_cost_per_token": 0.5, "output_cost_per_token": 1.0},
        }
        kit = ActorTestKit(entry, provider, **(router or {}))
        kits.append(kit)
        return kit

    yield make
    for kit in kits:
        kit.close()


def kinds(things):
    return [type(thing).__name__ for thing in things]


# -- starting


def test_a_call_that_is_admitted_is_recorded_before_it_runs(bench):
    step = bench(HANGS).start_call("r1.1", max_tokens=50)
    assert kinds(step.events) == ["CallStarted"]
    assert step.events[0].reserved == 50 + 5
    assert list(step.state["open"]) == ["r1.1"]
    assert step.mail == ()


def test_a_refusal_records_nothing_and_tells_the_group_why(bench):
    kit = bench(HANGS, rpm=1)
    kit.start_call("r1.1")
    step = kit.start_call("r2.1")
    assert step.events == ()
    (refused,) = step.mail_to("group")
    assert isinstance(refused, CallRefused)
    assert refused.left_out.reason == "rpm"
    assert refused.left_out.until == kit.clock.now() + 60.0
    assert refused.assign.call.call_id == "r2.1"
    assert refused.status.seen == 2
    assert step.mail_to("supervisor") == []


@pytest.mark.parametrize(
    ("limits", "request_", "reason"),
    [
        ({"rpm": 1}, {}, "rpm"),
        ({"tpm": 100}, {"max_tokens": 60}, "tpm"),
        ({"max_parallel_requests": 1}, {}, "parallel"),
        ({}, {"max_parallel_requests": 1}, "parallel"),
    ],
)
def test_each_limit_refuses_for_its_own_reason(bench, limits, request_, reason):
    """I3, I4"""
    kit = bench(HANGS, **limits)
    kit.start_call("r1.1", **request_)
    (refused,) = kit.start_call("r2.1", **request_).mail_to("group")
    assert refused.left_out.reason == reason


def test_the_group_is_told_at_once_when_a_start_has_filled_it_up(bench):
    kit = bench(HANGS, rpm=2)
    assert kit.start_call("r1.1").mail == ()
    (told,) = kit.start_call("r2.1").mail_to("group")
    assert isinstance(told, StatusChanged)
    assert told.status.blocked.reason == "rpm"


# -- ending


def test_an_answer_is_recorded_told_and_settled(bench):
    kit = bench(SimulatedProvider(latency=2.0, prompt_tokens=7, completion_tokens=3), tpm=1000)
    kit.start_call("r1.1", max_tokens=500)
    step = kit.advance(2.0)
    (event,) = step.events
    assert (event.TYPE, event.seconds, event.cost) == ("call_succeeded", 2.0, 6.5)
    (ended,) = step.mail_to("supervisor")
    assert isinstance(ended, CallEnded)
    assert (ended.outcome.status, ended.seconds, ended.cost) == ("succeeded", 2.0, 6.5)
    (told,) = step.mail_to("group")
    assert (told.status.open, told.status.tokens_left) == (0, 990)
    assert step.state["open"] == {}


def test_a_failure_is_signed_with_whose_it_is(bench):
    kit = bench(SimulatedProvider(script=[500]))
    kit.start_call("r1.1")
    (ended,) = kit.advance(0.0).mail_to("supervisor")
    assert ended.outcome.error.deployment_id == "a"
    assert ended.outcome.error.llm_provider == "openai"


def test_a_failure_that_cools_down_is_told_with_the_time_it_ends(bench):
    kit = bench(SimulatedProvider(script=[RateLimitError("later", retry_after=9.0)]))
    kit.start_call("r1.1")
    step = kit.advance(0.0)
    assert kinds(step.events) == ["CallFailed", "CooldownStarted"]
    (told,) = step.mail_to("group")
    assert (told.status.capacity, told.status.blocked.reason) == (0, "cooling_down")
    assert told.status.blocked.until == kit.clock.now() + 9.0


def test_while_cooling_down_every_start_is_refused_and_then_one_probe_is_let_in(bench):
    """I2"""
    kit = bench(
        SimulatedProvider(script=[500], latency=1.0), router={"allowed_fails": 0, "cooldown_time": 10}
    )
    kit.start_call("r1.1")
    kit.advance(1.0)
    assert kit.start_call("r2.1").mail_to("group")[0].left_out.reason == "cooling_down"
    kit.advance(10.0)
    assert [event.probe for event in kit.start_call("r3.1").events] == [True]
    refused = kit.start_call("r4.1").mail_to("group")[0].left_out
    assert (refused.reason, refused.until) == ("cooling_down", None)
    assert kinds(kit.advance(1.0).events) == ["CallSucceeded", "CooldownEnded"]
    assert [event.probe for event in kit.start_call("r5.1").events] == [False]


def test_a_call_that_is_cancelled_is_settled_and_told_once(bench):
    """I4"""
    kit = bench(SimulatedProvider(latency=5.0), tpm=1000)
    kit.start_call("r1.1", max_tokens=500)
    step = kit.cancel_call("r1.1")
    (event,) = step.events
    assert (event.TYPE, event.reason, event.prompt_tokens, event.completion_tokens) == (
        "call_cancelled",
        "caller left",
        5,
        0,
    )
    assert step.mail_to("supervisor")[0].outcome.status == "cancelled"
    assert kit.advance(10.0).events == ()
    assert kit.cancel_call("r1.1").mail == ()


def test_a_call_ended_by_the_requests_deadline_counts_as_a_timeout(bench):
    kit = bench(HANGS)
    kit.start_call("r1.1")
    (event,) = kit.cancel_call("r1.1", "deadline").events
    assert (event.TYPE, event.error, event.counted) == ("call_failed", "Timeout", True)


def test_an_attempt_is_given_up_after_the_deployments_timeout(bench):
    kit = bench(HANGS, timeout=4)
    kit.start_call("r1.1")
    assert kit.advance(3.999).events == ()
    step = kit.advance(0.001)
    assert (step.events[0].error, step.events[0].seconds) == ("Timeout", 4.0)
    assert kit.clock.next_timer() is None


@pytest.mark.parametrize(
    "message",
    [
        CancelCall("nobody", "caller left"),
        AttemptTimedOut("nobody"),
        ProviderFinished("nobody", CallOutcome("succeeded", usage=Usage(1, 1))),
    ],
)
def test_late_mail_for_a_call_that_is_over_changes_nothing(bench, message):
    step = bench().tell(message)
    assert (step.events, step.mail) == ((), ())


# -- streams


def test_the_first_chunk_is_recorded_and_told(bench):
    kit = bench(SimulatedProvider(latency=1.5, chunk_seconds=1.0))
    kit.start_call("r1.1", stream=True)
    step = kit.advance(1.5)
    assert [(event.TYPE, event.ttft) for event in step.events] == [("call_opened", 1.5)]
    assert step.mail_to("supervisor") == [StreamOpened("r1", "r1.1", "a")]
    assert kinds(kit.advance(60.0).events) == ["CallSucceeded"]


def test_a_stream_that_stalls_is_given_up_with_what_it_has_used(bench):
    kit = bench(SimulatedProvider(chunk_seconds=9.0, prompt_tokens=11), stream_timeout=3)
    kit.start_call("r1.1", stream=True)
    kit.advance(0.0)
    (event,) = kit.advance(3.0).events
    assert (event.error, event.prompt_tokens, event.completion_tokens) == ("Timeout", 11, 1)


# -- limits that the provider speaks of


def test_the_providers_own_count_corrects_ours_downwards(bench):
    """I3"""
    kit = bench(HANGS, rpm=100)
    kit.start_call("r1.1")
    kit.start_call("r2.1")
    limits = ProviderLimits(remaining_requests=0, reset_requests=20.0)
    step = kit.tell(ProviderFinished("r1.1", CallOutcome("succeeded", usage=Usage(1, 1), limits=limits)))
    assert kinds(step.events) == ["CallSucceeded", "LimitsObserved"]
    refused = kit.start_call("r3.1").mail_to("group")[0].left_out
    assert (refused.reason, refused.until) == ("rpm", kit.clock.now() + 20.0)
    kit.advance(20.0)
    assert kinds(kit.start_call("r4.1").events) == ["CallStarted"]


@pytest.mark.parametrize(
    ("limits", "said", "reason"),
    [
        ({"rpm": 10}, ProviderLimits(remaining_requests=0, reset_requests=50.0), "rpm"),
        ({"tpm": 500}, ProviderLimits(remaining_tokens=0, reset_tokens=50.0), "tpm"),
    ],
)
def test_under_a_correction_our_own_window_may_be_the_first_to_free_a_place(bench, limits, said, reason):
    """I3: when the first of our own starts leaves, one more fits, whatever the provider counts."""
    kit = bench(HANGS, **limits)
    start = kit.clock.now()
    kit.start_call("r1.1", max_tokens=95)
    kit.advance(20.0)
    kit.start_call("r2.1", max_tokens=95)
    kit.tell(ProviderFinished("r2.1", CallOutcome("succeeded", usage=Usage(5, 95), limits=said)))
    refused = kit.start_call("r3.1", max_tokens=95).mail_to("group")[0].left_out
    assert (refused.reason, refused.until) == (reason, start + 60.0)
    kit.advance(40.0)
    assert kinds(kit.start_call("r4.1", max_tokens=95).events) == ["CallStarted"]


def test_a_provider_that_has_more_left_than_we_count_is_not_believed(bench):
    """I3"""
    kit = bench(HANGS, rpm=2)
    kit.start_call("r1.1")
    kit.start_call("r2.1")
    limits = ProviderLimits(remaining_requests=50)
    step = kit.tell(ProviderFinished("r1.1", CallOutcome("succeeded", usage=Usage(1, 1), limits=limits)))
    assert kinds(step.events) == ["CallSucceeded"]
    assert kit.start_call("r3.1").events == ()


# -- looking, joining, saving


def test_it_says_what_it_is_in_one_line(bench):
    kit = bench(HANGS, rpm=5, tpm=1000, max_parallel_requests=3)
    kit.start_call("r1.1", max_tokens=95)
    reply = kit.ask(Inspect()).reply
    assert reply["line"] == "<Deployment gpt-4/a · 1/3 open · 1/5 rpm · 100/1000 tpm>"
    assert reply["version"] == 1


def test_it_joins_its_group_when_asked_to(bench):
    kit = bench(SimulatedProvider(), rpm=5)
    kit.start_call("r1.1")
    kit.advance(0.0)
    assert kit.tell(Announce("another")).mail == ()
    (joined,) = kit.tell(Announce("gpt-4")).mail_to("group")
    assert isinstance(joined, AddMember)
    assert joined.ref is kit.ref
    assert (joined.status.seen, len(joined.status.window)) == (1, 1)


def test_saving_a_snapshot_is_no_event(bench):
    kit = bench()
    kit.start_call("r1.1")
    kit.advance(0.0)
    assert kit.tell(SaveSnapshot()).events == ()


def test_chunks_do_not_travel_through_the_mail(bench):
    kit = bench(SimulatedProvider(text="word " * 30))
    kit.start_call("r1.1", stream=True)
    mail = kit.advance(1.0).mail
    assert len(mail) == 3  # opened, ended, status
    assert not any(isinstance(message, Channel) for _, message in mail)


def test_a_state_restored_while_a_probe_is_under_way_lets_in_no_second_one(bench):
    """I2, I8"""
    kit = bench(
        SimulatedProvider(script=[500], latency=1.0), router={"allowed_fails": 0, "cooldown_time": 10}
    )
    kit.start_call("r1.1")
    kit.advance(11.0)
    step = kit.start_call("r2.1")
    assert step.events[0].probe
    again = DeploymentState.restore("a", Limits(cooldown=CooldownPolicy(0, 10.0)), step.state)
    request = CompletionRequest(model="gpt-4", messages=[{"role": "user", "content": "Hi"}])
    call = Call("r3.1", "r3", 1, request, request.demand(), kit.clock.now() + 600.0)
    assert again.admit(call, kit.clock.now()).reason == "cooling_down"
