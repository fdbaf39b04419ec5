"""Short ways to make what a strategy works with."""

from __future__ import annotations

from collections import Counter

import pytest

from turnout.actors.model_group.strategies import Candidate, Query
from turnout.messages.commands import DeploymentStatus
from turnout.messages.outcomes import Demand
from turnout.messages.requests import CompletionRequest
from turnout.messages.settings import Deployment

REQUEST = CompletionRequest(model="group", messages=[{"role": "user", "content": "hi"}])


def make_candidate(name, *, open=0, status=None, **settings):  # noqa: A002
    deployment = Deployment(id=str(name), model_name="group", provider="openai", model="gpt-4o", **settings)
    said = DeploymentStatus(str(name), **(status or {}))
    return Candidate(deployment, said, open=open, tokens_used=said.tokens_used)


def make_query(now=0.0, *, input_tokens=100, output_tokens=None, admits=lambda _: True):
    return Query(REQUEST, Demand(input_tokens, output_tokens), now, admits)


def make_distance(counts, shares):
    """Pearson's chi-square of observed counts from expected shares."""
    total = sum(counts.values())
    whole = sum(shares.values())
    assert set(counts) <= {name for name, share in shares.items() if share}, "drawn against its weight"
    expected = {name: total * share / whole for name, share in shares.items() if share}
    return sum((counts[name] - expected[name]) ** 2 / expected[name] for name in expected)


@pytest.fixture(scope="session")
def candidate():
    return make_candidate


@pytest.fixture(scope="session")
def query():
    return make_query


@pytest.fixture(scope="session")
def distance():
    return make_distance


@pytest.fixture(scope="session")
def picked():
    """How often each is picked; `times` picks that change nothing."""

    def count(strategy, rng, times, **asked):
        question = make_query(**asked)
        return Counter(strategy.pick(question, rng).candidate.id for _ in range(times))

    return count
