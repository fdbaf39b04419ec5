"""What a call costs, compiled once per deployment to plain arithmetic. Pure.

Kinds of token overlap: cached audio is audio, is cached, and is part of the prompt. Each is charged
once, at the price of the most special kind that has one. That is linear in the counts, so it is
worked out when it is compiled: every count gets one factor, and a call costs the sum of the products.
"""

from __future__ import annotations

from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from ...messages.outcomes import Usage
from ...messages.prices import ModelFacts, Prices, priced_from

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...messages.commands import Call
    from ...messages.prices import PriceChange
    from ...messages.settings import Deployment

    Price = Callable[[Usage, float], float | None]
    """US dollars for a call's usage at a router time; None when it cannot be told, never 0."""

__all__ = [
    "Expected",
    "compile_price",
    "expected_cost",
    "price_of",
    "prices_at",
    "stated_facts",
    "unknown_price",
]

DAY_SECONDS = 86400.0

MAX_COMPILED = 1024
"""Compiled prices that are kept, to be shared: ten thousand deployments may be of one model."""

_KINDS = {
    "input_token": ("prompt_tokens", frozenset({"input"})),
    "cache_read": ("cached_tokens", frozenset({"input", "read"})),
    "cache_write": ("cache_write_tokens", frozenset({"input", "write"})),
    "cache_write_1h": ("cache_write_1h_tokens", frozenset({"input", "write", "1h"})),
    "input_audio": ("input_audio_tokens", frozenset({"input", "audio"})),
    "cached_audio": ("cached_audio_tokens", frozenset({"input", "audio", "read"})),
    "input_image": ("input_image_tokens", frozenset({"input", "image"})),
    "cached_image": ("cached_image_tokens", frozenset({"input", "image", "read"})),
    "output_token": ("completion_tokens", frozenset({"output"})),
    "output_audio": ("output_audio_tokens", frozenset({"output", "audio"})),
    "output_image": ("output_image_tokens", frozenset({"output", "image"})),
    "reasoning": ("reasoning_tokens", frozenset({"output", "reasoning"})),
}
"""A price, the field of `Usage` that counts what it is for, and what that is a special case of."""


class Expected(NamedTuple):
    """What a call is expected to cost, and what its prompt alone will, in US dollars."""

    cost: float
    least: float


def expected_cost(price: Price, call: Call, mean_output: int, at: float) -> Expected | None:
    """What to set aside for a call: its maximum, or the learned mean of such calls; None: unknown price."""
    if price is unknown_price:
        return None
    output = call.demand.output_tokens
    cost = price(_expected_usage(call, mean_output if output is None else output), at)
    if cost is None:  # it depends on what the answer will tell, such as seconds of audio
        return Expected(0.0, 0.0)
    least = cost if output is not None else price(_expected_usage(call, 0), at)
    return Expected(cost, 0.0 if least is None else least)


def _expected_usage(call: Call, output: int) -> Usage:
    """What is not sold by the token is counted where the request tells: pictures, text to be spoken."""
    request = call.request
    text = getattr(request, "input", None)
    return Usage(
        call.demand.input_tokens,
        output,
        characters=len(text) if isinstance(text, str) else None,
        images=getattr(request, "n", None) or 1,
    )


_UNITS = {"second": "seconds", "character": "characters", "image": "images"}


def stated_facts(deployment: Deployment) -> ModelFacts:
    """What the deployment's own configuration says of its model.

    One price of its own is enough for nobody else to be asked: prices of two sources do not mix.
    """
    prices = priced_from(
        {
            **deployment.model_info,
            "input_cost_per_token": deployment.input_cost_per_token,
            "output_cost_per_token": deployment.output_cost_per_token,
        }
    )
    return ModelFacts(
        prices,
        max_input_tokens=deployment.max_input_tokens,
        source=None if prices is None else "deployment",
    )


def price_of(facts: ModelFacts) -> Price:
    """A function from usage and time to US dollars."""
    if facts.prices is None:
        return unknown_price
    usual = compile_price(facts.prices)
    if not facts.changes:
        return usual
    changes = [(change, compile_price(change.prices)) for change in facts.changes]

    def price(usage: Usage, at: float) -> float | None:
        for change, other in changes:
            if _holds(change, at):
                return other(usage, at)
        return usual(usage, at)

    return price


def prices_at(facts: ModelFacts, at: float) -> Prices | None:
    """The prices that hold at a router time."""
    for change in facts.changes:
        if _holds(change, at):
            return change.prices
    return facts.prices


def _holds(change: PriceChange, at: float) -> bool:
    if change.since is not None:
        return at >= change.since
    start, end = change.from_second or 0.0, change.to_second or 0.0
    second = at % DAY_SECONDS
    return start <= second < end if start <= end else second >= start or second < end


def unknown_price(_usage: Usage, _at: float) -> None:
    """The price of what has none."""


@lru_cache(maxsize=MAX_COMPILED)
def compile_price(prices: Prices) -> Price:
    """Plain arithmetic for these prices: one function for all deployments that have the same."""
    usual = _compile(prices)
    tiers = [(tier.above, _compile(tier.prices)) for tier in reversed(prices.tiers)]
    if not tiers:
        return usual

    def price(usage: Usage, at: float) -> float | None:
        for above, dearer in tiers:
            if usage.prompt_tokens > above:
                return dearer(usage, at)
        return usual(usage, at)

    return price


def _compile(prices: Prices) -> Price:
    units = [(count, value) for name, count in _UNITS.items() if (value := getattr(prices, name)) is not None]
    if prices.input_token is None and units:
        return _by_units(units, prices.request or 0.0)
    factors = _factors(prices)
    per_input, per_output = factors.pop("prompt_tokens", None), factors.pop("completion_tokens", None)
    if per_input is None:
        return unknown_price
    fee = prices.request or 0.0
    others = {name: factor for name, factor in (*factors.items(), *units) if factor}
    counted = {name for name, _ in units}
    unpriced = tuple(name for name in _UNITS.values() if name not in counted)
    if per_output is None:
        return _in_tokens(_without_output(_sum({"prompt_tokens": per_input, **others}, fee)), unpriced)
    if not others and not fee:
        plain: Price = lambda usage, _at: (
            usage.prompt_tokens * per_input + usage.completion_tokens * per_output
        )
        return _in_tokens(plain, unpriced)
    return _in_tokens(
        _sum({"prompt_tokens": per_input, "completion_tokens": per_output, **others}, fee), unpriced
    )


def _in_tokens(price: Price, unpriced: tuple[str, ...]) -> Price:
    """Of what is sold by the token: nothing is known of a call that told other units, and no token."""

    def told(usage: Usage, at: float) -> float | None:
        untold = not usage.prompt_tokens and not usage.completion_tokens
        if untold and any(getattr(usage, name) is not None for name in unpriced):
            return None
        return price(usage, at)

    return told


def _sum(factors: dict[str, float], fee: float) -> Price:
    """The fee, and every count times its factor."""
    # asked for twice, so that there are always several and the getter gives a tuple
    counts_of = attrgetter(*factors, "prompt_tokens")
    each = tuple(factors.values())

    def price(usage: Usage, _at: float) -> float:
        dollars = fee
        for count, factor in zip(counts_of(usage), each, strict=False):
            if count:
                dollars += count * factor
        return max(0.0, dollars)

    return price


def _without_output(total: Price) -> Price:
    """Of an embedding, say: no price for output, and so none for a call that had some."""
    return lambda usage, at: None if usage.completion_tokens else total(usage, at)


def _by_units(units: list[tuple[str, float]], fee: float) -> Price:
    """Of what is not sold by the token: one of its counts at least must have been told."""

    def price(usage: Usage, _at: float) -> float | None:
        known = False
        dollars = fee
        for name, factor in units:
            count = getattr(usage, name)
            if count is not None:
                known = True
                dollars += count * factor
        return dollars if known else None

    return price


def _factors(prices: Prices) -> dict[str, float]:
    """What one more of each count adds to the cost.

    A count's own part is what is left of it when the parts of its priced special cases are taken out,
    so a special case costs its own price, less the prices of the parts it was taken out of.
    """
    priced = {
        name: (count, traits, value)
        for name, (count, traits) in _KINDS.items()
        if (value := getattr(prices, name)) is not None
    }
    parts: dict[str, dict[str, int]] = {}
    for name, (count, traits, _) in sorted(priced.items(), key=lambda item: -len(item[1][1])):
        part = {count: 1}
        for other, (_, special, _) in priced.items():
            if special > traits:
                for counted, times in parts[other].items():
                    part[counted] = part.get(counted, 0) - times
        parts[name] = part
    factors: dict[str, float] = {}
    for name, (_, _, value) in priced.items():
        for counted, times in parts[name].items():
            factors[counted] = factors.get(counted, 0.0) + times * value
    return factors
