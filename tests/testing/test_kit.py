"""The kit finds what it is there to find."""

from __future__ import annotations

import pytest

from turnout.actors.deployment.state import DeploymentState
from turnout.messages.commands import Assign, Call, Inspect, ProviderFinished, StartCall
from turnout.messages.errors import InternalServerError, MidStreamError, Timeout
from turnout.messages.events import CallStarted
from turnout.messages.outcomes import CallOutcome, Usage
from turnout.messages.requests import CompletionRequest
from turnout.testing import ActorTestKit, SimulatedProvider
from turnout.testing.serialise import event_round_trip, message_round_trip

ENTRY = {"model_name": "gpt-4", "litellm_params": {"model": "openai/gpt-4", "api_key": "x", "rpm": 1}}


@pytest.fixture
def kit():
    made = ActorTestKit(ENTRY)
    yield made
    made.close()


def test_the_example_in_its_docstring_holds(kit):
    step = kit.start_call("r1.1")
    assert [type(event).__name__ for event in step.events] == ["CallStarted"]
    assert kit.start_call("r2.1").mail_to("group")[0].left_out.reason == "rpm"


def test_it_tells_events_mail_state_and_reply_of_each_step(kit):
    kit.start_call("r1.1")
    step = kit.ask(Inspect())
    assert (step.events, step.mail) == ((), ())
    assert step.reply["state"] == step.state
    assert [type(event).__name__ for event in kit.events] == ["CallStarted"]


def test_it_finds_a_state_that_its_events_do_not_lead_to(kit, monkeypatch):
    """I8: an actor that changes its state behind its events' back."""
    admit = DeploymentState.admit

    def cheat(self, call, now):
        self.totals.started += 1
        return admit(self, call, now)

    monkeypatch.setattr(DeploymentState, "admit", cheat)
    with pytest.raises(AssertionError, match="not what its events say"):
        kit.start_call("r1.1")


def test_it_finds_a_snapshot_that_forgets_something(kit, monkeypatch):
    """I8"""
    restore = DeploymentState.restore.__func__

    def forgetful(cls, deployment_id, limits, data):
        return restore(cls, deployment_id, limits, {**data, "window": []})

    monkeypatch.setattr(DeploymentState, "restore", classmethod(forgetful))
    kit.start_call("r1.1")
    with pytest.raises(AssertionError, match="not what its events say"):
        kit.advance(0.0)


def test_it_finds_an_event_that_does_not_come_back_from_the_codec():
    class Liar(CallStarted, frozen=True):
        TYPE = "liar_of_the_kit_test"

        def __eq__(self, other):
            return False

        __hash__ = None

    with pytest.raises(AssertionError, match="came back"):
        event_round_trip(Liar("c", "r", 1))


def test_a_message_comes_back_equal_and_its_live_things_are_the_same():
    channel = object()
    request = CompletionRequest(model="gpt-4", messages=[{"role": "user", "content": "Hi"}])
    call = Call("r1.1", "r1", 1, request, request.demand(), 600.0, True, None, channel)
    again = message_round_trip(StartCall(Assign(call)))
    assert again.assign.call.channel is channel
    assert again.assign.call.request == request
    assert again.assign.call.request is not request


def test_a_message_that_cannot_be_turned_into_bytes_is_found():
    request = CompletionRequest(model="gpt-4", messages=[{"role": "user", "content": "Hi"}], odd=lambda: None)
    call = Call("r1.1", "r1", 1, request, request.demand(), 600.0)
    with pytest.raises((AttributeError, TypeError, Exception), match="pickle"):
        message_round_trip(StartCall(Assign(call)))


def test_an_error_that_travels_comes_back_as_it_was():
    error = MidStreamError(
        "broke", "openai", "gpt-4", text="so far", usage=Usage(1, 2), cause=Timeout("stalled")
    )
    outcome = CallOutcome("failed", error=error)
    again = message_round_trip(ProviderFinished("r1.1", outcome)).outcome.error
    assert again is not error
    assert (again.text, again.usage, type(again.cause)) == ("so far", Usage(1, 2), Timeout)


def test_an_error_that_loses_something_on_the_way_is_found(monkeypatch):
    monkeypatch.setattr(InternalServerError, "__reduce__", lambda error: (InternalServerError, ("another",)))
    with pytest.raises(AssertionError, match="came back"):
        message_round_trip(ProviderFinished("r1.1", CallOutcome("failed", error=InternalServerError("one"))))


def test_time_passes_only_when_the_test_says_so():
    kit = ActorTestKit(ENTRY, SimulatedProvider(latency=3.0))
    kit.start_call("r1.1")
    assert kit.advance(2.9).events == ()
    assert [event.seconds for event in kit.advance(0.1).events] == [3.0]
    kit.close()
