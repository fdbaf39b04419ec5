"""An auditor's own judgement of whom a strategy picks: the rules as users read them, on its own books."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from .violation import Violation

if TYPE_CHECKING:
    from ....messages.outcomes import Decision
    from .deployment_book import DeploymentBook
    from .rulebook import DeploymentRules, Rulebook

__all__ = ["StrategyBook"]

LATENCY_TTL = 3600.0

TOKENS_APART = 2_000
"""A group learns call by call what left a deployment's window: two may seem so much nearer than they are."""

SIGMAS = 6.0
"""A share so far from what the weights say comes by chance once in a billion."""

_COMPARED = frozenset(
    {"least-busy", "usage-based-routing", "usage-based-routing-v2", "cost-based-routing", "adaptive"}
)
"""Strategies that pick the lowest of the numbers they tell."""


class StrategyBook:
    """Says of a pick who else, of those who could have served as well, should have been picked."""

    def __init__(self, rules: Rulebook, books: dict[str, DeploymentBook]) -> None:
        self.rules = rules
        self.books = books
        self._expected: dict[str, float] = defaultdict(float)
        self._variance: dict[str, float] = defaultdict(float)
        self._picked: dict[str, int] = defaultdict(int)

    def __repr__(self) -> str:
        return f"<StrategyBook {sum(self._picked.values())} draws by weight>"

    # -- what a decision says of itself

    def consistent(self, decision: Decision, at: float) -> None:
        """Of the numbers that a decision tells, the one that was picked is the lowest.

        Raises:
            Violation: it is not.
        """
        lowest = min((score for _, score in decision.considered), default=None)
        if lowest is None or decision.score is None:
            return
        most = lowest
        if decision.strategy == "latency-based-routing":
            most = lowest * (1.0 + self._latency_args()[1]) if lowest > 0 else lowest
        elif decision.strategy not in _COMPARED:
            return
        if decision.score > most + 1e-9 or decision.considered[0][0] != decision.deployment_id:
            raise Violation("choice", f"{decision.deployment_id} was picked of {decision.considered}", at)

    def _latency_args(self) -> tuple[float, float]:
        """Seconds for which a latency counts, and how far from the lowest one is as good."""
        settings = self.rules.settings
        args = settings.get("routing_strategy_args") or {}
        if settings.get("routing_strategy") != "latency-based-routing":
            args = {}
        return args.get("ttl", LATENCY_TTL), args.get("lowest_latency_buffer", 0.0)

    # -- held against the books

    def better(
        self, strategy: str, fields: dict[str, Any], name: str, peers: list[str], at: float
    ) -> list[str]:
        """Those of `peers` that the strategy should have preferred to the one it picked."""
        judge = _JUDGES.get(strategy)
        return [] if judge is None else [peer for peer in peers if judge(self, fields, name, peer, at)]

    def _less_busy(self, _fields: dict[str, Any], name: str, peer: str, _at: float) -> bool:
        return len(self.books[peer].open) < len(self.books[name].open)

    def _less_used(self, _fields: dict[str, Any], name: str, peer: str, at: float) -> bool:
        mine, other = (self.books[each].tokens_at(at) for each in (name, peer))
        return other + TOKENS_APART < mine

    def _faster(self, _fields: dict[str, Any], name: str, peer: str, at: float) -> bool:
        ttl, buffer = self._latency_args()
        mine, other = (self.books[each].account.latency(at, ttl) for each in (name, peer))
        if mine is None or other is None:
            return other is None and mine is not None
        return other * (1.0 + buffer) < mine - 1e-9

    def _cheaper(self, fields: dict[str, Any], name: str, peer: str, _at: float) -> bool:
        """Of those that answer no longer than it does: a long answer costs more at a lower price."""
        mine, other = (self.rules.deployments[each].prices for each in (name, peer))
        if mine is None or other is None:
            return mine is None and other is not None
        if self.books[peer].account.mean_output > self.books[name].account.mean_output:
            return False
        return other != mine and other[0] <= mine[0] and other[1] <= mine[1]

    def _heavier(self, _fields: dict[str, Any], name: str, peer: str, _at: float) -> bool:
        """One without a weight is never drawn while one with a weight will do."""
        mine, other = (self.rules.deployments[each].weight for each in (name, peer))
        return bool(other) and not mine

    # -- shares

    def drawn(self, decision: Decision, at: float) -> None:
        """One of the candidates was drawn by weight, each with the same chance as its share of them.

        Raises:
            Violation: over all draws so far, one got too many or too few.
        """
        weights = self._weights([self.rules.deployments[name] for name in decision.candidates])
        total = sum(weights)
        for name, weight in zip(decision.candidates, weights, strict=True):
            share = weight / total
            self._expected[name] += share
            self._variance[name] += share * (1.0 - share)
        name = decision.deployment_id
        self._picked[name] += 1
        for each in decision.candidates:
            apart = abs(self._picked[each] - self._expected[each])
            if apart > SIGMAS * math.sqrt(self._variance[each]) + SIGMAS:
                what = f"{each} was drawn {self._picked[each]} times, expected are {self._expected[each]:.1f}"
                raise Violation("shares", what, at)

    @staticmethod
    def _weights(candidates: list[DeploymentRules]) -> list[float]:
        for setting in ("weight", "rpm", "tpm"):
            said = [getattr(rules, setting) for rules in candidates]
            if any(weight is not None for weight in said):
                weights = [float(weight or 0) for weight in said]
                return weights if any(weights) else [1.0] * len(said)
        return [1.0] * len(candidates)


_JUDGES: dict[str, Any] = {
    "simple-shuffle": StrategyBook._heavier,
    "least-busy": StrategyBook._less_busy,
    "usage-based-routing": StrategyBook._less_used,
    "usage-based-routing-v2": StrategyBook._less_used,
    "latency-based-routing": StrategyBook._faster,
    "cost-based-routing": StrategyBook._cheaper,
}
