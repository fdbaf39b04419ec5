"""What the tests of the group share: short ways to make its messages, and a house of fakes."""

from __future__ import annotations

import random

import pykka
import pytest

from turnout.actors.model_group.actor import ModelGroup
from turnout.actors.model_group.strategies import Pick
from turnout.actors.runtime.actor import LoopActor
from turnout.actors.runtime.clock import ManualClock
from turnout.actors.runtime.dispatcher import ManualDispatcher
from turnout.actors.runtime.switchboard import Switchboard
from turnout.messages.commands import (
    UNLIMITED,
    AddMember,
    Assign,
    Assigned,
    Call,
    CallRefused,
    DeploymentStatus,
    Inspect,
    Queued,
    StartCall,
    StatusChanged,
    Unassigned,
)
from turnout.messages.outcomes import Demand
from turnout.messages.requests import CompletionRequest
from turnout.messages.settings import Deployment, RouterSettings
from turnout.messages.values import replace

START = 1_000_000.0
REQUEST = CompletionRequest(model="gpt-4", messages=[{"role": "user", "content": "hi"}])


class First:
    """A strategy that takes the first candidate that came, and counts whom it asks about."""

    def __init__(self, name="first"):
        self.name = name
        self.index = {}
        self.asked = 0
        self.starts = []

    def add(self, candidate, now):
        assert candidate.id not in self.index, "added twice"
        self.index[candidate.id] = candidate

    def remove(self, candidate):
        self.index.pop(candidate.id, None)

    def update(self, candidate, now):
        assert self.index[candidate.id] is candidate, "updated but not eligible"

    def started(self, candidate, tokens, now):
        self.starts.append((candidate.id, tokens))

    def pick(self, query, rng):
        for candidate in self.index.values():
            self.asked += 1
            if query.admits(candidate):
                return Pick(candidate, 1.0, None, ((candidate.id, 1.0),))
        return None


class Make:
    """Short ways to make what goes to and fro."""

    First = First
    START = START

    @staticmethod
    def deployment(name, **limits):
        return Deployment(name, "gpt-4", "openai", "gpt-4", **limits)

    @staticmethod
    def status(name, **facts):
        return DeploymentStatus(name, **facts)

    @staticmethod
    def assign(
        call_id="r.1", *, tokens=10, output=0, deadline=START + 600, request=REQUEST, wishes=None, **how
    ):
        demand = Demand(tokens, output)
        call = Call(call_id, call_id.split(".")[0], 1, request, demand, deadline, wishes=wishes)
        return Assign(call, **{k: frozenset(v) if k in {"exclude", "never"} else v for k, v in how.items()})


@pytest.fixture(scope="session")
def make():
    return Make


class FakeSupervisor(LoopActor):
    def __init__(self, dispatcher):
        self.heard = []
        super().__init__(dispatcher)

    def on_receive(self, message):
        self.heard.append(message)


class FakeDeployment(LoopActor):
    """Takes calls, keeps count of them, and says what the test tells it to say."""

    def __init__(self, dispatcher, group, deployment, status):
        self.group = group
        self.status = status
        self.deployment = deployment
        self.calls = []
        self.refusals = []
        super().__init__(dispatcher)

    def on_start(self):
        self.send(self.group, AddMember(self.deployment, self.status, self.actor_ref))

    def handlers(self):
        return {StartCall: self._start}

    def _start(self, message):
        self.status = replace(self.status, seen=self.status.seen + 1)
        if self.refusals:
            left_out, facts = self.refusals.pop(0)
            self.status = replace(self.status, **facts)
            self.send(self.group, CallRefused(message.assign, left_out, self.status))
        else:
            self.calls.append(message.assign.call.call_id)
            facts = {"open": self.status.open + 1}
            if self.status.capacity < UNLIMITED:
                facts["capacity"] = self.status.capacity - 1
            self.status = replace(self.status, **facts)

    def say(self, **facts):
        self.status = replace(self.status, **facts)
        self.send(self.group, StatusChanged(self.status))


class House:
    """A group with its neighbours, on a clock that is moved by hand."""

    def __init__(self):
        self.clock = ManualClock(START)
        self.dispatcher = ManualDispatcher(self.clock)
        self.switchboard = Switchboard()
        self.supervisor = self._start(FakeSupervisor, self.dispatcher)
        self.switchboard.supervisor = self.supervisor
        self.group = None
        self.deployments = {}

    def _start(self, kind, *args):
        return kind.start(*args)

    def open(self, *members, strategy="least-busy", **settings):
        """Start the group; a member is an id, or (id, limits, facts of its status)."""
        settings = RouterSettings(routing_strategy=strategy, **settings)
        self.group = self._start(
            ModelGroup, self.dispatcher, "gpt-4", self.switchboard, settings, random.Random(7)
        )
        for member in members:
            self.join(*((member,) if isinstance(member, str) else member))
        self.dispatcher.run_now()
        return self

    def join(self, name, limits=None, facts=None):
        ref = self._start(
            FakeDeployment,
            self.dispatcher,
            self.group,
            Make.deployment(name, **(limits or {})),
            Make.status(name, **(facts or {})),
        )
        self.deployments[name] = ref

    def tell(self, *messages):
        for message in messages:
            self.group.tell(message)
        self.dispatcher.run_now()

    def say(self, name, **facts):
        self.actor(name).say(**facts)
        self.dispatcher.run_now()

    def actor(self, name):
        return self.deployments[name]._actor_weakref()

    def calls(self, name):
        return self.actor(name).calls

    def heard(self, kind=None):
        messages = self.supervisor._actor_weakref().heard
        return [m for m in messages if kind is None or isinstance(m, kind)]

    def fates(self):
        """What the Supervisor heard of each call, in order."""
        names = {Assigned: "assigned", Unassigned: "unassigned", Queued: "queued"}
        return [(m.call_id, names[type(m)]) for m in self.heard() if type(m) in names]

    def inspect(self):
        future = self.group.ask(Inspect(), block=False)
        self.dispatcher.run_now()
        return future.get()

    def line(self):
        return self.inspect()["line"]

    def close(self):
        for ref in (self.group, self.supervisor, *self.deployments.values()):
            if ref is not None and ref.is_alive():
                ref.stop(block=False)
        self.dispatcher.run_now()
        pykka.ActorRegistry.stop_all(block=False)
        self.dispatcher.run_now()


@pytest.fixture
def house():
    house = House()
    yield house
    house.close()
