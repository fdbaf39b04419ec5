"""Worlds whose truth is known: what a backtest's models of providers are held against.

Each is drawn from one number: deployments of very different kinds, the load, and the settings under which
it is recorded. Nothing of how a backtest models a provider is used here.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from turnout.actors.runtime.chance import make_rng
from turnout.backtest.draws import Draws
from turnout.backtest.play import play, requests_of
from turnout.backtest.ports import Fault, Reply
from turnout.backtest.record import Arrival, read_record
from turnout.backtest.setups import Setup
from turnout.messages.events import Particulars

if TYPE_CHECKING:
    import random

    from turnout.backtest.outcomes import Row
    from turnout.backtest.play import Asking
    from turnout.backtest.ports import Asked
    from turnout.backtest.record import Record

START = 1_767_225_600.0
KINDS = (
    "steady",
    "lognormal",
    "bimodal",
    "long tail",
    "slow evening",
    "outage",
    "ill",
    "flapping",
    "limited",
    "crowded",
)


@frozen
class Outage:
    begins: float
    ends: float
    rate: float
    fault: Fault | None
    """None: it hangs."""


@frozen
class Truth:
    """One deployment as it really is."""

    base: float
    by_prompt: float
    by_output: float
    shape: str
    spread: float
    wordy: float = 1.0
    error_rate: float = 0.0
    levels: tuple[tuple[float, float], ...] = ((0.0, 1.0),)
    outages: tuple[Outage, ...] = ()
    limit: tuple[int, float] | None = None
    crowded: float = 0.0
    first_share: float = 0.3

    def factor(self, at: float) -> float:
        """How much slower it is at this time of the world."""
        return self.levels[bisect_right([since for since, _ in self.levels], at) - 1][1]

    def spread_of(self, draw: float, other: float) -> float:
        match self.shape:
            case "steady":
                return 0.9 + 0.2 * draw
            case "bimodal":
                return (4.0 if other < self.spread else 1.0) * (0.8 + 0.4 * draw)
            case "long tail":
                return (1.0 - min(draw, 0.9999)) ** -self.spread
        return math.exp(self.spread * _normal(draw, other))


def _normal(one: float, other: float) -> float:
    return math.sqrt(-2.0 * math.log(max(one, 1e-12))) * math.cos(2.0 * math.pi * other)


@define
class TrueProviders:
    """Answers as the truth is; `seed` is of this day's luck."""

    world: World
    seed: int
    _draws: Draws = field(init=False)
    _taken: dict[str, deque[float]] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self._draws = Draws(self.seed)

    def reply(self, asked: Asked) -> Reply:
        world = self.world
        place = list(world.truths).index(asked.deployment_id)
        truth, at = world.truths[asked.deployment_id], asked.at - START

        def draw(what: int) -> float:
            return self._draws.of(asked.number, place + 1, asked.nth, what)

        refusal = self._refusal(asked, truth)
        if refusal is not None:
            return refusal
        for outage in truth.outages:
            if outage.begins <= at < outage.ends and draw(0) < outage.rate:
                return (
                    Reply(math.inf)
                    if outage.fault is None
                    else Reply(0.03 + 0.1 * draw(1), fault=outage.fault)
                )
        if draw(2) < truth.error_rate:
            return Reply(0.1 + 0.5 * draw(1), fault=Fault("InternalServerError", 500))
        prompt = asked.arrival.input_tokens
        output = max(1, round(world.lengths[asked.number] * truth.wordy))
        most = asked.arrival.particulars.output_tokens
        output = output if most is None else min(most, output)
        slow = truth.factor(at) * truth.spread_of(draw(3), draw(4)) * (1.0 + truth.crowded * asked.open)
        first = (truth.base + truth.by_prompt * prompt) * slow
        total = first + truth.by_output * output * slow
        return Reply(total, first if asked.stream else None, prompt, output)

    def _refusal(self, asked: Asked, truth: Truth) -> Reply | None:
        if truth.limit is None:
            return None
        most, seconds = truth.limit
        taken = self._taken.setdefault(asked.deployment_id, deque())
        while taken and taken[0] <= asked.at - seconds:
            taken.popleft()
        if len(taken) >= most:
            return Reply(0.05, fault=Fault("RateLimitError", 429, 2.0))
        taken.append(asked.at)
        return None


@frozen
class World:
    """A drawn world: who is there, who asks, and how the router is set when it is recorded."""

    number: int
    kinds: tuple[str, ...]
    truths: dict[str, Truth]
    entries: dict[str, dict[str, Any]]
    settings: dict[str, Any]
    arrivals: tuple[Arrival, ...]
    lengths: tuple[float, ...]

    @property
    def setup(self) -> Setup:
        return Setup("recorded", self.settings, self.entries)

    def asking(self) -> list[Asking]:
        return requests_of(self.arrivals, lambda _: self.settings["timeout"])

    def played(self, setup: Setup, seed: int) -> list[Row]:
        """A day of the true world under these settings."""
        return play(self.asking(), setup, TrueProviders(self, seed), seed).rows

    def recorded(self, seed: int) -> Record:
        """What a journal of such a day holds."""
        events: list[Any] = []
        play(self.asking(), self.setup, TrueProviders(self, seed), seed, listen=events.extend)
        return read_record(events)


def draw_world(number: int, requests: int = 1_200, kinds: tuple[str, ...] | None = None) -> World:
    """The world of this number."""
    rng = make_rng(number)
    many = rng.choice((2, 3, 3, 4))
    kinds = kinds or tuple(rng.choice(KINDS) for _ in range(many))
    rate = rng.choice((1.0, 2.0, 4.0))
    lasts = requests / rate
    truths = {f"d{place}": _truth(rng, kind, lasts, rate) for place, kind in enumerate(kinds)}
    entries = {name: _entry(rng, name, place, len(kinds)) for place, name in enumerate(truths)}
    arrivals = _arrivals(rng, requests, rate)
    lengths = tuple(max(1.0, rng.lognormvariate(math.log(150), 0.7)) for _ in arrivals)
    settings = _settings(rng, with_backup=_groups(entries) > 1)
    return World(number, kinds, truths, entries, settings, arrivals, lengths)


def _groups(entries: dict[str, dict[str, Any]]) -> int:
    return len({entry["model_name"] for entry in entries.values()})


def _truth(rng: random.Random, kind: str, lasts: float, rate: float) -> Truth:
    base, by_output = rng.uniform(0.1, 0.8), rng.uniform(0.002, 0.015)
    shape, spread = "lognormal", rng.uniform(0.1, 0.7)
    more: dict[str, Any] = {
        "wordy": rng.choice((1.0, 1.0, 0.7, 1.4)),
        "error_rate": rng.choice((0.0, 0.002, 0.01, 0.04)),
    }
    match kind:
        case "steady":
            shape = "steady"
        case "bimodal":
            shape, spread = "bimodal", rng.uniform(0.03, 0.3)
        case "long tail":
            shape, spread = "long tail", rng.uniform(0.15, 0.35)
        case "slow evening":
            more["levels"] = _evening(rng, lasts)
        case "outage":
            more["outages"] = (_outage(rng, lasts, 1.0),)
        case "ill":
            more["outages"] = (_outage(rng, lasts, rng.uniform(0.2, 0.7)),)
        case "flapping":
            more["outages"] = _flapping(rng, lasts)
        case "limited":
            seconds = rng.choice((1.0, 10.0, 60.0))
            more["limit"] = (max(1, round(seconds * rate * rng.uniform(0.25, 0.6))), seconds)
        case "crowded":
            more["crowded"] = rng.uniform(0.03, 0.2)
    return Truth(base, rng.uniform(0.0, 0.0005), by_output, shape, spread, **more)


def _evening(rng: random.Random, lasts: float) -> tuple[tuple[float, float], ...]:
    begins, length, much = (
        rng.uniform(0.1, 0.6) * lasts,
        rng.uniform(0.15, 0.4) * lasts,
        rng.uniform(1.5, 5.0),
    )
    steps = rng.choice((1, 4))
    rise = tuple(
        (begins + 0.1 * length * step, 1.0 + (much - 1.0) * (step + 1) / steps) for step in range(steps)
    )
    return ((0.0, 1.0), *rise, (begins + length, 1.0))


def _outage(rng: random.Random, lasts: float, rate: float) -> Outage:
    begins = rng.uniform(0.1, 0.7) * lasts
    fault = rng.choice(
        (
            Fault("ServiceUnavailableError", 503),
            Fault("InternalServerError", 500),
            Fault("APIConnectionError", 500, None, "no"),
            Fault("RateLimitError", 429, 5.0),
            None,
        )
    )
    return Outage(begins, begins + rng.uniform(0.05, 0.3) * lasts, rate, fault)


def _flapping(rng: random.Random, lasts: float) -> tuple[Outage, ...]:
    up, down = rng.uniform(20.0, 90.0), rng.uniform(5.0, 30.0)
    fault = Fault("ServiceUnavailableError", 503)
    outages, at = [], rng.expovariate(1.0 / up)
    while at < lasts:
        ends = at + rng.expovariate(1.0 / down)
        outages.append(Outage(at, ends, 1.0, fault))
        at = ends + rng.expovariate(1.0 / up)
    return tuple(outages)


def _entry(rng: random.Random, name: str, place: int, many: int) -> dict[str, Any]:
    backup = place > 1 and place == many - 1 and rng.random() < 0.5
    params: dict[str, Any] = {"model": "openai/gpt-4o"}
    if rng.random() < 0.3:
        params["weight"] = rng.choice((1, 2, 5))
    prices = {
        "input_cost_per_token": 1e-6 * rng.choice((1, 2, 5)),
        "output_cost_per_token": 1e-6 * rng.choice((4, 8, 20)),
    }
    return {
        "model_name": "backup" if backup else "main",
        "litellm_params": params,
        "model_info": {"id": name, **prices},
    }


def _arrivals(rng: random.Random, requests: int, rate: float) -> tuple[Arrival, ...]:
    streams = rng.choice((0.0, 0.0, 0.5, 1.0))
    at = START
    arrivals = []
    for _ in range(requests):
        at += rng.expovariate(rate)
        most = rng.choice((None, None, 300))
        arrivals.append(
            Arrival(
                at,
                "main",
                "main",
                rng.random() < streams,
                60.0,
                max(5, round(rng.lognormvariate(math.log(400), 0.8))),
                particulars=Particulars(most),
            )
        )
    return tuple(arrivals)


STRATEGIES = (
    "simple-shuffle",
    "least-busy",
    "usage-based-routing-v2",
    "latency-based-routing",
    "cost-based-routing",
    "adaptive",
)


def _settings(rng: random.Random, *, with_backup: bool) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "timeout": 60.0,
        "routing_strategy": rng.choice(STRATEGIES),
        "num_retries": rng.choice((0, 1, 2)),
        "cooldown_time": rng.choice((1.0, 5.0, 30.0)),
    }
    if with_backup:
        settings["fallbacks"] = [{"main": ["backup"]}]
    return settings


def draw_changes(rng: random.Random, usual: dict[str, Any]) -> dict[str, Any]:
    """Other settings somebody might try."""
    tried: dict[str, Any] = {
        "routing_strategy": rng.choice(STRATEGIES),
        "num_retries": rng.choice((0, 1, 2, 3)),
        "cooldown_time": rng.choice((1.0, 5.0, 30.0, 90.0)),
        "allowed_fails": rng.choice((0, 1, 3, 10)),
        "hedge_after": rng.choice((1.0, 2.0, 4.0, "p90")),
        "timeout": rng.choice((5.0, 10.0, 20.0, 60.0)),
    }
    names = rng.sample(sorted(tried), rng.choice((1, 1, 2, 3)))
    return {name: tried[name] for name in names if tried[name] != usual.get(name)}
