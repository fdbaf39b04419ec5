"""One pick by what a request asks for (order, tags, a session, a context window), in groups of 10 to 10,000.

`python -m bench.views` from the repository root. A roster is driven as its group drives it: a pick, its
count, and the status that comes when the call has ended. Every kind of request came before, as it does in
a router that has run for a minute: what is filled once for a kind of request is not in these figures, and is
given beside them.
"""

from __future__ import annotations

import random
from time import perf_counter
from typing import Any

from turnout.actors.model_group.kinds import rules_of
from turnout.actors.model_group.roster import Picked, Roster
from turnout.actors.model_group.strategies import make_strategy
from turnout.messages.commands import Assign, Call, DeploymentStatus
from turnout.messages.outcomes import Demand
from turnout.messages.requests import CompletionRequest
from turnout.messages.settings import Deployment, RouterSettings
from turnout.messages.wishes import wishes_of
from turnout.supervisor.planning.compile_rules import reading_of

SIZES = (10, 100, 1_000, 10_000)
ROUNDS = 3_000
NOW = 1_000_000.0
MESSAGES = [{"role": "user", "content": "hi"}]

Fields = dict[str, Any]

CASES: dict[str, tuple[Fields, Any, Any, int]] = {
    # settings, what deployment n has beside its name, what request n asks for, tokens of its prompt
    "nothing": ({}, lambda _: {}, lambda _: {}, 10),
    "order": ({}, lambda n: {"order": n % 3}, lambda _: {}, 10),
    "tags": (
        {"enable_tag_filtering": True},
        lambda n: {"tags": (f"t{n % 5}",)},
        lambda n: {"tags": [f"t{n % 5}"]},
        10,
    ),
    "session": ({}, lambda _: {}, lambda n: {"session_id": f"s{n % 50}"}, 10),
    "window": (
        {"enable_pre_call_checks": True},
        lambda n: {"max_input_tokens": 4096 if n % 2 else 16_384},
        lambda _: {},
        5000,
    ),
}


class Load:
    """Calls on one roster, one after the other."""

    def __init__(self, case: str, strategy: str, size: int) -> None:
        settings, has, asks, self.tokens = CASES[case]
        self.settings = RouterSettings(routing_strategy=strategy, **settings)
        self.rng = random.Random(7)
        own = make_strategy(strategy)
        self.roster = Roster("gpt-4", own, make_strategy, rules_of(self.settings))
        for number in range(size):
            name = f"d{number}"
            deployment = Deployment(name, "gpt-4", "openai", "gpt-4", **has(number))
            self.roster.add(deployment, DeploymentStatus(name), object(), NOW)
        self.assigns = [self.assign(number, asks(number)) for number in range(50)]

    def assign(self, number: int, fields: Fields) -> Assign:
        request = CompletionRequest(model="gpt-4", messages=MESSAGES, **fields)
        wishes = wishes_of(request, reading_of(self.settings))
        name = f"r{number}"
        return Assign(Call(name, name, 1, request, Demand(self.tokens, 10), NOW + 60, wishes=wishes))

    def once(self, assign: Assign) -> None:
        """A pick, its count, and the end of its call."""
        picked = self.roster.pick(assign, NOW, self.rng)
        assert isinstance(picked, Picked)
        candidate = picked.candidate
        self.roster.started(candidate, assign.call.demand, NOW)
        self.roster.apply(DeploymentStatus(candidate.id, candidate.mirror.sent), NOW)

    def microseconds(self) -> tuple[float, float]:
        """For the first request of its kind, and for each of those that follow."""
        began = perf_counter()
        self.once(self.assigns[0])
        first = perf_counter() - began
        for assign in self.assigns:
            self.once(assign)
        began = perf_counter()
        for number in range(ROUNDS):
            self.once(self.assigns[number % 50])
        return first * 1e6, (perf_counter() - began) / ROUNDS * 1e6


def main() -> None:
    print(f"{'µs per pick':32}" + "".join(f"{size:>9,}" for size in SIZES) + f"{'growth':>9}{'first':>12}")
    for case in CASES:
        for strategy in ("simple-shuffle", "least-busy"):
            runs = [min(Load(case, strategy, size).microseconds()[::-1] for _ in range(3)) for size in SIZES]
            cells = [run[0] for run in runs]
            row = "".join(f"{cell:9.2f}" for cell in cells)
            print(f"{case + ', ' + strategy:32}{row}{cells[-1] / cells[0]:8.2f}×{runs[-1][1]:9,.0f} µs")


if __name__ == "__main__":
    main()
