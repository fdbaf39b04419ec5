"""The town of the router's tests, and short ways to fill a roster."""

from __future__ import annotations

import random

import pytest

from tests.model_group.conftest import make
from tests.router.conftest import hello, town
from turnout.actors.model_group.kinds import rules_of
from turnout.actors.model_group.roster import NonePicked, Picked, Roster
from turnout.actors.model_group.strategies import make_strategy
from turnout.messages.outcomes import LeftOut
from turnout.messages.requests import CompletionRequest
from turnout.messages.settings import RouterSettings
from turnout.messages.wishes import wishes_of
from turnout.supervisor.planning.compile_rules import reading_of

__all__ = ["hello", "make", "town"]

NOW = 1_000_000.0


class Crew:
    """A roster with its deployments, asked one request at a time."""

    NOW = NOW

    def __init__(self, make, strategy="simple-shuffle", **settings):
        self.make = make
        self.rng = random.Random(5)
        self.settings = RouterSettings(routing_strategy=strategy, **settings)
        self.reading = reading_of(self.settings)
        own = make_strategy(strategy)
        build = lambda name: make_strategy(strategy if name == own.name else name)
        self.roster = Roster("gpt-4", own, build, rules_of(self.settings))

    def join(self, name, *, out=None, **fields):
        status = self.make.status(name, **({} if out is None else {"capacity": 0, "blocked": out}))
        self.roster.add(self.make.deployment(name, **fields), status, object(), NOW)
        return self

    def leave(self, name):
        self.roster.remove(name, NOW)

    def out(self, name, reason="cooling_down", until=None):
        blocked = LeftOut(name, reason, until)
        self.roster.apply(self.make.status(name, capacity=0, blocked=blocked), NOW)

    def back(self, name):
        self.roster.apply(self.make.status(name), NOW)

    def ask(self, *, exclude=(), strategy=None, now=NOW, tokens=10, **fields):
        request = CompletionRequest(model="gpt-4", messages=[{"role": "user", "content": "hi"}], **fields)
        assign = self.make.assign(
            request=request,
            exclude=exclude,
            strategy=strategy,
            tokens=tokens,
            wishes=wishes_of(request, self.reading),
        )
        return self.roster.pick(assign, now, self.rng)

    def pick(self, **how):
        """The id of whom a request goes to."""
        picked = self.ask(**how)
        assert isinstance(picked, Picked), picked
        return picked.candidate.id

    def picks(self, times=60, **how):
        return {self.pick(**how) for _ in range(times)}

    def nobody(self, **how):
        none = self.ask(**how)
        assert isinstance(none, NonePicked), none
        return none


@pytest.fixture(scope="session")
def crew(make):
    """Makes a roster of the group "gpt-4"; keywords are settings of its router."""
    return lambda strategy="simple-shuffle", **settings: Crew(make, strategy, **settings)
