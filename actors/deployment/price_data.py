"""What the price data of the `genai-prices` library knows of a model.

The library is optional (the extra `prices`), takes a quarter of a second to import, and is not
imported before a deployment needs it. Its bundled data is read, offline; who wants fresh prices
calls `genai_prices.UpdatePrices` themselves before making a router.
"""

from __future__ import annotations

from datetime import UTC, datetime, time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ...messages.prices import ModelFacts, PriceChange, Prices, PriceTier
from ...messages.values import replace
from .pricing import DAY_SECONDS, expected_cost, price_of, stated_facts

if TYPE_CHECKING:
    from ...messages.commands import Call
    from ...messages.outcomes import Usage
    from ...messages.settings import Deployment
    from .pricing import Expected, Price

__all__ = ["MAX_WILDCARDS", "PriceBook", "known_facts", "model_facts"]

MAX_WILDCARDS = 256
"""Models of one wildcard deployment whose compiled prices are kept; the oldest makes room."""

MAX_SHARED = 1024
"""Models whose facts are kept once for all deployments that have equal ones."""

SOURCE = "genai-prices"

_PER_MILLION = {
    "input_mtok": "input_token",
    "output_mtok": "output_token",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "input_audio",
    "output_audio_mtok": "output_audio",
    "cache_audio_read_mtok": "cached_audio",
    "input_image_mtok": "input_image",
    "output_image_mtok": "output_image",
    "cache_image_read_mtok": "cached_image",
    "output_reasoning_mtok": "reasoning",
    "input_mchars": "character",
}
_OTHER_UNITS = {"requests_kcount": ("request", 1_000), "audio_hours": ("second", 3_600)}
_NOT_COUNTED = frozenset(
    """
    input_audio_hours web_searches_kcount storage_searches_kcount
    input_video_mtok output_video_mtok output_citation_mtok
    """.split()
)
"""Another name of the audio's length; searches, which no answer counts; tokens charged as their parents."""

_PROVIDERS = {
    "anthropic_text": "anthropic",
    "azure_ai": "azure",
    "azure_text": "azure",
    "codestral": "mistral",
    "cohere_chat": "cohere",
    "fireworks_ai": "fireworks",
    "github_copilot": "github-copilot",
    "palm": "google",
    "text-completion-codestral": "mistral",
    "text-completion-openai": "openai",
    "voyage": "voyageai",
}
"""Providers that the library knows under a name it does not recognise in ours."""


def model_facts(deployment: Deployment, now: float, wildcard: str | None = None) -> ModelFacts:
    """Prices and context window of a deployment's model: its own configuration's, else the price data's.

    This is the one answer to "what is this deployment's context window": `max_input_tokens` of the
    deployment, else of its `base_model` or `model` in the price data, else None. A group has it ready
    as `candidate.facts.max_input_tokens`.

    Args:
        deployment: whose model.
        now: router time; prices that were replaced before it are left out.
        wildcard: what a wildcard group's `*` matched.
    """
    stated = stated_facts(deployment)
    if stated.prices is not None and stated.max_input_tokens is not None:
        return stated
    known = known_facts(deployment, now, wildcard)
    if known is None:
        return stated
    window = stated.max_input_tokens or known.max_input_tokens
    return replace(known if stated.prices is None else stated, max_input_tokens=window)


def known_facts(deployment: Deployment, now: float, wildcard: str | None = None) -> ModelFacts | None:
    """What the price data says; None without the library, or when it knows no such model."""
    try:
        from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415  (optional, and slow to import)
    except ImportError:
        return None
    found = _find(get_snapshot(), deployment, wildcard)
    if found is None:
        return None
    usual, changes = _schedule(found.prices, now)
    priced = usual is not None or changes
    return ModelFacts(usual, changes, found.context_window, SOURCE if priced else None)


def _find(snapshot: Any, deployment: Deployment, wildcard: str | None) -> Any:
    """The library's entry for the model, None when there is none.

    A model is its provider's and nobody else's: the same name may cost more elsewhere. A `base_model`
    is there to be looked up, so whoever has it will do.
    """
    provider = deployment.provider
    if deployment.base_model is None:
        if "*" in deployment.model and wildcard is None:
            return None
        return _entry(snapshot, provider, deployment.model.replace("*", wildcard or "", 1))
    base = deployment.base_model
    prefix, _, rest = base.partition("/")
    asked = ((prefix, rest), (provider, base), (None, base)) if rest else ((provider, base), (None, base))
    return next(
        (found for owner, name in asked if (found := _entry(snapshot, owner, name)) is not None), None
    )


def _entry(snapshot: Any, provider: str | None, model: str) -> Any:
    owner = None if provider is None else _PROVIDERS.get(provider, provider)
    try:
        return snapshot.find_provider_model(model, None, owner, None)[1]
    except LookupError:
        return None


def _schedule(prices: Any, now: float) -> tuple[Prices | None, tuple[PriceChange, ...]]:
    """The prices of today, and those that go before them at other times."""
    if not isinstance(prices, list):
        return _prices(prices), ()
    changes: list[PriceChange] = []
    for conditional in reversed(prices):
        rule = conditional.constraint
        known = _prices(conditional.prices)
        if rule is None:
            return known, tuple(changes)
        if known is None:
            continue
        if hasattr(rule, "start_date"):
            since = datetime.combine(rule.start_date, time(), UTC).timestamp()
            if since <= now:
                return known, tuple(changes)
            changes.append(PriceChange(known, since))
        else:
            start, end = _second_of_day(rule.start_time), _second_of_day(rule.end_time)
            changes.append(PriceChange(known, None, start, end))
    return _prices(prices[0].prices) if prices else None, tuple(changes)


def _second_of_day(moment: time) -> float:
    offset = moment.utcoffset()
    seconds = moment.hour * 3600 + moment.minute * 60 + moment.second + moment.microsecond / 1e6
    return (seconds - (0.0 if offset is None else offset.total_seconds())) % DAY_SECONDS


def _prices(listed: Any) -> Prices | None:
    """The library's prices as ours; None when it sells the model by a unit we do not count."""
    values: dict[str, Any] = {}
    bounds: set[int] = set()
    for name, value in vars(listed).items():
        if value is None or name in _NOT_COUNTED:
            continue
        unit = (_PER_MILLION[name], 1_000_000) if name in _PER_MILLION else _OTHER_UNITS.get(name)
        if unit is None:
            return None
        values[unit[0]] = (value, unit[1])
        bounds.update(tier.start for tier in getattr(value, "tiers", ()))
    if not values:
        return None
    tiers = tuple(PriceTier(bound, _above(values, bound)) for bound in sorted(bounds))
    return replace(_above(values, -1), tiers=tiers)


def _above(values: dict[str, Any], bound: int) -> Prices:
    """The prices of a call with more than `bound` prompt tokens, and not above the next bound."""
    prices: dict[str, Any] = {}
    for name, (value, per) in values.items():
        price = getattr(value, "base", value)
        for tier in getattr(value, "tiers", ()):
            if tier.start <= bound:
                price = tier.price
        prices[name] = float(price / per)
    return Prices(**prices)


@lru_cache(maxsize=MAX_SHARED)
def _shared(facts: ModelFacts) -> ModelFacts:
    """The first facts that are equal to these: ten thousand deployments may be of one model."""
    return facts


class PriceBook:
    """One deployment's facts and compiled prices; a wildcard's model by model, as they are asked for.

    Attributes:
        facts: what is known of the model; of a wildcard's, what its configuration says.
    """

    def __init__(self, deployment: Deployment, now: float) -> None:
        self.facts = _shared(model_facts(deployment, now))
        self._deployment = deployment
        self._price = price_of(self.facts)
        self._by_wildcard: dict[str, Price] = {}

    def expected(self, call: Call, mean_output: int, now: float) -> Expected | None:
        """What a call is expected to cost; None when its price is unknown."""
        return expected_cost(self.price(call.wildcard, now), call, mean_output, now)

    def charge(self, usage: Usage, wildcard: str | None, now: float) -> float | None:
        """What is charged for a call whose usage is an estimate; None where its price is not known."""
        if not usage.total_tokens:  # never sent, or refused before it cost anything
            return 0.0
        return self.price(wildcard, now)(usage, now)

    def price(self, wildcard: str | None, now: float) -> Price:
        """The function that says what a call costs."""
        if wildcard is None or self.facts.prices is not None:
            return self._price
        price = self._by_wildcard.get(wildcard)
        if price is None:
            if len(self._by_wildcard) >= MAX_WILDCARDS:
                del self._by_wildcard[next(iter(self._by_wildcard))]
            price = self._by_wildcard[wildcard] = price_of(model_facts(self._deployment, now, wildcard))
        return price
