"""The group with real deployments behind it: what it believes, against what they would really take."""

from __future__ import annotations

import random

import pytest

from turnout.actors.deployment.actor import DeploymentActor, DeploymentPorts
from turnout.actors.deployment.cooldown import CooldownPolicy
from turnout.actors.deployment.state import DeploymentState, Limits
from turnout.actors.model_group.actor import LOOK_AHEAD
from turnout.messages.commands import Assigned, ProviderFinished, Queued, Unassigned, Withdraw
from turnout.messages.errors import InternalServerError
from turnout.messages.events import CallStarted
from turnout.messages.outcomes import CallOutcome, LeftOut, Usage


class Handle:
    def cancel(self):
        return None


class TimedCaller:
    """Calls end after a drawn time, some of them badly."""

    def __init__(self, clock, rng, failing=0.0):
        self.clock, self.rng, self.failing = clock, rng, failing
        self.seconds = None

    def start(self, call, deliver):
        error = InternalServerError("down") if self.rng.random() < self.failing else None
        usage = Usage(self.rng.randrange(20), 5)
        outcome = CallOutcome("failed" if error else "succeeded", error=error, usage=usage)
        finished = ProviderFinished(call.call.call_id, outcome)
        self.clock.call_later(self.seconds or self.rng.uniform(0.1, 9.0), lambda: deliver(finished))
        return Handle()


class Log:
    def __init__(self):
        self.starts = []

    def append(self, stream, version, at, event):
        if isinstance(event, CallStarted):
            self.starts.append((stream, at, event.probe))
        return 0


@pytest.fixture
def live(house, make):
    """A house whose deployments are real; returns their states by id."""

    def start(limits, *, failing=0.0, seed=1, **settings):
        house.open(**settings)
        house.switchboard.groups["gpt-4"] = house.group
        house.log = Log()
        caller = house.caller = TimedCaller(house.clock, random.Random(seed), failing)
        ports = DeploymentPorts(house.dispatcher, house.log, caller, house.switchboard)
        states = {}
        for name, (rpm, tpm, parallel) in limits.items():
            policy = CooldownPolicy(allowed_fails=0, cooldown_time=3.0)
            states[name] = DeploymentState(name, Limits(rpm, tpm, parallel, policy))
            deployment = make.deployment(name, rpm=rpm, tpm=tpm, max_parallel_requests=parallel)
            house.deployments[name] = DeploymentActor.start(ports, deployment, states[name])
        house.dispatcher.run_now()
        return states

    return start


def open_calls(house):
    """Calls that wait in the room, by what the Supervisor was told last of each."""
    waiting = {}
    for message in house.heard():
        if isinstance(message, Queued):
            waiting[message.call_id] = True
        elif isinstance(message, (Assigned, Unassigned)):
            waiting.pop(message.call_id, None)
    return waiting


LIMITS = {"a": (4, 300, 2), "b": (None, None, 3), "c": (10, None, None), "d": (None, 120, None)}


@pytest.mark.parametrize("strategy", ["simple-shuffle", "least-busy", "usage-based-routing"])
@pytest.mark.parametrize("failing", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(2))
def test_nobody_waits_while_a_deployment_would_take_the_call(house, make, live, strategy, failing, seed):
    states = live(LIMITS, failing=failing, seed=seed, strategy=strategy, max_queue=LOOK_AHEAD)
    rng, assigns = random.Random(seed), {}
    for number in range(200):
        deadline = house.clock.now() + rng.choice([5.0, 30.0, 600.0])
        assign = make.assign(f"r{number}.1", tokens=rng.randrange(40), wait=True, deadline=deadline)
        assigns[f"r{number}.1"] = assign
        house.tell(assign)
        house.clock.advance(rng.choice([0.0, 0.01, 0.2, 3.0]))
        now = house.clock.now()
        for call_id in tuple(open_calls(house)):
            call = assigns[call_id].call
            if call.deadline <= now:
                house.tell(Withdraw(call_id))
                continue
            verdicts = [state.admit(call, now) for state in states.values()]
            assert all(isinstance(v, LeftOut) for v in verdicts), (call_id, verdicts)
    house.clock.advance(1000)
    assert house.inspect()["waiting"] == 0


@pytest.mark.parametrize("seed", range(3))
def test_every_limit_holds_and_the_group_ends_with_what_the_deployments_say(house, make, live, seed):
    states = live(LIMITS, failing=0.2, seed=seed)
    rng = random.Random(seed)
    for number in range(200):
        house.tell(make.assign(f"r{number}.1", tokens=rng.randrange(40), wait=rng.random() < 0.5))
        house.clock.advance(rng.choice([0.0, 0.0, 0.5]))
        assert all(len(s.open) <= (s.limits.max_parallel or 999) for s in states.values())
        assert all(s.window.starts <= (s.limits.rpm or 999) for s in states.values())
    house.clock.advance(1000)
    for name, state in states.items():
        candidate = house.group._actor_weakref()._roster[name]
        assert candidate.open == len(state.open) == 0
        assert candidate.mirror.sent == candidate.status.seen
    assert house.inspect()["eligible"] == len(states)


def test_a_deployment_that_rests_gets_one_probe_however_many_wait(house, make, live):
    live({"a": (None, None, None)}, failing=1.0)
    house.tell(make.assign("r.1"))
    house.clock.advance(9)
    house.tell(*(make.assign(f"s{n}.1", wait=True) for n in range(5)))
    house.clock.advance(300)
    first, *rest = house.log.starts
    assert not first[2]
    assert len(rest) == 5
    assert all(probe for _, _, probe in rest), "while it keeps failing, one at a time"


def test_starts_that_left_the_window_unheard_are_found_out(house, make, live):
    """Half of the limit was used a minute ago, and no call has ended since to say so."""
    live({"a": (2, None, None)})
    house.caller.seconds = 500.0
    house.tell(make.assign("r.1"))
    house.clock.advance(61)
    house.tell(make.assign("s.1"), make.assign("t.1", wait=True))
    assert len(house.log.starts) == 3
