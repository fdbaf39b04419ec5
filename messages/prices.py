"""What a model costs and how much it takes: plain values, whoever knew them.

The names are those of the public price file that users of such routers know; `PRICE_NAMES` is the
whole list of those that are read, from `litellm_params` or `model_info`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .problems import given
from .values import Value

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "PRICE_NAMES",
    "ModelFacts",
    "PriceChange",
    "PriceTier",
    "Prices",
    "priced_from",
    "tier_of",
    "wrong_prices",
]

PRICE_NAMES = {
    "input_cost_per_token": "input_token",
    "output_cost_per_token": "output_token",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "input_cost_per_audio_token": "input_audio",
    "output_cost_per_audio_token": "output_audio",
    "cache_read_input_audio_token_cost": "cached_audio",
    "input_cost_per_image_token": "input_image",
    "output_cost_per_image_token": "output_image",
    "cache_read_input_image_token_cost": "cached_image",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_request": "request",
    "input_cost_per_second": "second",
    "output_cost_per_second": "second",
    "input_cost_per_character": "character",
    "output_cost_per_image": "image",
    "input_cost_per_image": "image",
}
"""What a price is called by users, and the field of `Prices` it is. Of two names the first wins."""

_ABOVE = re.compile(r"(.+)_above_([1-9]\d{0,6})k_tokens")


class Prices(Value, frozen=True):
    """US dollars for one of each. None is unknown; for a kind of token it is the price of its parent.

    Attributes:
        input_token, output_token: the parents of all tokens of the prompt and of the answer.
        cache_read, cache_write, cache_write_1h: prompt tokens read from a cache, written to one, and
            written to be kept for an hour.
        input_audio, cached_audio, input_image, cached_image: prompt tokens of sounds and pictures.
        output_audio, output_image, reasoning: tokens of the answer that are not its text.
        request: every call, on top of all else.
        second, character, image: audio, text to be spoken, pictures made; for what has no tokens.
        tiers: other prices for everything once a prompt is longer, lowest bound first.
    """

    input_token: float | None = None
    output_token: float | None = None
    cache_read: float | None = None
    cache_write: float | None = None
    cache_write_1h: float | None = None
    input_audio: float | None = None
    cached_audio: float | None = None
    input_image: float | None = None
    cached_image: float | None = None
    output_audio: float | None = None
    output_image: float | None = None
    reasoning: float | None = None
    request: float | None = None
    second: float | None = None
    character: float | None = None
    image: float | None = None
    tiers: tuple[PriceTier, ...] = ()


class PriceTier(Value, frozen=True):
    """The prices of a call with more than `above` prompt tokens."""

    above: int
    prices: Prices


class PriceChange(Value, frozen=True):
    """Prices that hold from a moment on, or at some time of each day, in place of the usual ones.

    `since` is router time; `from_second` and `to_second` are seconds after midnight UTC, and run past
    it when the second is the smaller one.
    """

    prices: Prices
    since: float | None = None
    from_second: float | None = None
    to_second: float | None = None


class ModelFacts(Value, frozen=True):
    """What is known of a deployment's model.

    Attributes:
        prices: what it costs; None when nobody knows.
        changes: prices that go before them while they hold; the first that does.
        max_input_tokens: its context window; None when nobody knows.
        source: who knew the prices: "deployment", "genai-prices", or None.
    """

    prices: Prices | None = None
    changes: tuple[PriceChange, ...] = ()
    max_input_tokens: int | None = None
    source: str | None = None


def tier_of(name: str) -> tuple[str, int | None]:
    """`input_cost_per_token_above_200k_tokens` is (`input_cost_per_token`, 200000)."""
    match = _ABOVE.fullmatch(name)
    return (name, None) if match is None else (match[1], int(match[2]) * 1000)


def wrong_prices(values: dict[str, Any], path: str) -> Iterator[str]:
    """What is wrong with them: prices that are no number, or negative. Other names are nobody's business."""
    for name, value in values.items():
        if tier_of(name)[0] in PRICE_NAMES and not _is_price(value):
            yield f"{path}.{name} = {given(value)}: must be a number of US dollars, 0 or more"


def _is_price(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < float("inf")


def priced_from(values: dict[str, Any]) -> Prices | None:
    """The prices that stand under known names; None when there are none."""
    base: dict[str, Any] = {}
    above: dict[int, dict[str, float]] = {}
    for known, field in PRICE_NAMES.items():
        if (value := values.get(known)) is not None:
            base.setdefault(field, float(value))
    for name, value in values.items():
        known, bound = tier_of(name)
        if bound is not None and known in PRICE_NAMES and value is not None:
            above.setdefault(bound, {})[PRICE_NAMES[known]] = float(value)
    if not base and not above:
        return None
    tiers = []
    prices = dict(base)
    for bound in sorted(above):  # a tier keeps what it does not change
        prices = {**prices, **above[bound]}
        tiers.append(PriceTier(bound, Prices(**prices)))
    return Prices(**base, tiers=tuple(tiers))
