"""One pick, with the updates it causes, in groups of 10 to 10,000 deployments.

`python -m bench.picks` from the repository root. The strategies are driven directly, without a
roster: a pick, the count of it, and the status that comes when the call has ended. No two
deployments are alike in weight, price, latency or usage, so no index has an easy day.
"""

from __future__ import annotations

import random
from time import perf_counter
from typing import NamedTuple

from turnout.actors.deployment.limits import WINDOW_SECONDS, RollingWindow
from turnout.actors.model_group.strategies import STRATEGY_NAMES, Candidate, Query, make_strategy
from turnout.messages.commands import DeploymentStatus
from turnout.messages.outcomes import Demand
from turnout.messages.requests import CompletionRequest
from turnout.messages.settings import Deployment

SIZES = (10, 100, 1_000, 10_000)
EVEN = "simple-shuffle, no weights"
NAMES = (EVEN, *STRATEGY_NAMES)
REQUEST = CompletionRequest(model="group", messages=[{"role": "user", "content": "hi"}])
RESERVED = 500
BATCH = 100
"""Calls under way at a time."""
START = 1_000_000.0
BETWEEN = 0.002
"""Seconds between two picks: 30,000 calls in the 60 s that usage-based routing looks at."""


class Row(NamedTuple):
    """Microseconds per pick by group size, and how much the last is of the first."""

    strategy: str
    microseconds: tuple[float, ...]
    growth: float


def candidate(number: int, chance: random.Random, *, even: bool = False) -> Candidate:
    """A deployment like no other."""
    deployment = Deployment(
        id=f"deployment-{number}",
        model_name="group",
        provider="openai",
        model="gpt-4o",
        weight=None if even else 1.0 + chance.random(),
        input_cost_per_token=chance.random() * 1e-5,
        output_cost_per_token=chance.random() * 5e-5,
    )
    return Candidate(deployment, status(deployment.id, chance, used=0))


def status(name: str, chance: random.Random, *, used: int, now: float = START) -> DeploymentStatus:
    return DeploymentStatus(
        name,
        tokens_used=used,
        mean_output=256 + chance.randrange(64),
        latency=tuple((now - second, 0.01 + chance.random()) for second in range(10, 0, -1)),
        ttft=0.1 + chance.random(),
        per_token=0.01 * (1 + chance.random()),
        measured_at=now - 1.0,
    )


class Load:
    """Calls on one strategy, in batches; only what the strategy does is timed."""

    def __init__(self, name: str, size: int, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now = START
        self.strategy = make_strategy("simple-shuffle" if name == EVEN else name)
        self.windows: dict[str, RollingWindow] = {}
        candidates = [candidate(number, self.chance, even=name == EVEN) for number in range(size)]
        for one in candidates:
            self.windows[one.id] = RollingWindow()
            self.strategy.add(one, START)
        self.warm_up(candidates)

    def warm_up(self, candidates: list[Candidate]) -> None:
        """A full window of calls, spread over all of them."""
        for _ in range(int(WINDOW_SECONDS / BETWEEN)):
            self.now += BETWEEN
            one = self.chance.choice(candidates)
            tokens = self.chance.randrange(1000)
            self.windows[one.id].add(self.now, tokens)
            self.strategy.started(one, tokens, self.now)

    def batch(self) -> float:
        """Seconds for `BATCH` picks and the updates that they cause."""
        queries = [self.query(number) for number in range(BATCH)]
        picked, seconds = self.pick(queries)
        self.now += BATCH * BETWEEN
        self.end(picked, queries)
        began = perf_counter()
        for one in picked:
            self.strategy.update(one, self.now)
        return seconds + perf_counter() - began

    def query(self, number: int) -> Query:
        output = None if number % 2 else self.chance.randrange(1, 2000)
        demand = Demand(self.chance.randrange(100, 1000), output)
        return Query(REQUEST, demand, self.now + number * BETWEEN, lambda _: True)

    def pick(self, queries: list[Query]) -> tuple[list[Candidate], float]:
        strategy, chance = self.strategy, self.chance
        picked = []
        began = perf_counter()
        for query in queries:
            one = strategy.pick(query, chance).candidate
            one.open += 1
            strategy.update(one, query.now)
            strategy.started(one, RESERVED, query.now)
            picked.append(one)
        return picked, perf_counter() - began

    def end(self, picked: list[Candidate], queries: list[Query]) -> None:
        """All of them have ended, and used less than was reserved."""
        for one, query in zip(picked, queries, strict=True):
            window = self.windows[one.id]
            window.settle(window.add(query.now, RESERVED), -self.chance.randrange(RESERVED), self.now)
            one.open -= 1
        for one in picked:
            one.status = status(one.id, self.chance, used=self.windows[one.id].tokens, now=self.now)


def microseconds(name: str, size: int, picks: int, seed: int) -> float:
    """The mean of one pick with its updates."""
    load = Load(name, size, seed)
    rounds = max(1, picks // BATCH)
    load.batch()
    return sum(load.batch() for _ in range(rounds)) / (rounds * BATCH) * 1e6


def measure(picks: int = 20_000, repeat: int = 3) -> list[Row]:
    """A row per strategy; the best of `repeat` runs counts, since other work only ever adds time."""
    rows = []
    for name in NAMES:
        cells = tuple(
            min(microseconds(name, size, picks, seed=seed) for seed in range(repeat)) for size in SIZES
        )
        rows.append(Row(name, cells, cells[-1] / cells[0]))
    return rows


def main() -> None:
    print(f"{'µs per pick':28}" + "".join(f"{size:>9,}" for size in SIZES) + f"{'growth':>9}")
    for row in measure():
        cells = "".join(f"{cell:9.2f}" for cell in row.microseconds)
        print(f"{row.strategy:28}{cells}{row.growth:8.2f}×")


if __name__ == "__main__":
    main()
