"""What a simulated world is like, drawn before anything happens in it (as TigerBeetle's VOPR does).

Each seed switches some families of faults on and the others off, so that some worlds are all outages
and others all crashes: what only happens when nothing else does is found, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from ...messages.settings import STRATEGIES
from .particulars import draw_particulars

if TYPE_CHECKING:
    from .chance import Chance

__all__ = [
    "ARRIVALS",
    "FAULTS",
    "FIRST",
    "GROUPS",
    "HOW_MANY_GROUPS",
    "KEY",
    "LEAST_ARRIVALS",
    "MOST_ARRIVALS",
    "PROMPT",
    "PROVIDERS",
    "Options",
    "draw_options",
]

PROMPT = "a prompt that nobody but the provider may see"
KEY = "sk-" + "live0123456789abcdef"

PROVIDERS = ("azure-eu", "azure-us", "openai", "vertex")

FAULTS = (
    "errors",
    "rate limits",
    "slow",
    "hang",
    "broken streams",
    "late answers",
    "flapping",
    "outages",
    "leaving",
    "clock",
    "busy",
    "crashes",
    "kills",
    "journal",
    "bounds",
    "fleet",
    "checks",
)
"""The families of faults a world may have."""

ARRIVALS, HOW_MANY_GROUPS = "arrivals", "groups"
"""For what it is drawn how many there are; of deployments it is their group's name."""

LEAST_ARRIVALS, MOST_ARRIVALS = (50, 3000)
"""How often somebody comes with requests in a world of faults: many worlds are short, and an hour would never
end else."""

_ERRORS_WITH_RETRIES = ("TimeoutErrorRetries", "RateLimitErrorRetries", "InternalServerErrorRetries")
GROUPS = ("gpt-4", "claude", "mini", "backup")
_NAMES = "abcde"
FIRST = f"{GROUPS[0]}/{_NAMES[0]}"
"""The deployment that every world has."""

_PARAMS = frozenset(
    {
        "rpm",
        "tpm",
        "max_parallel_requests",
        "weight",
        "order",
        "tags",
        "timeout",
        "stream_timeout",
        "num_retries",
        "cooldown_time",
    }
)


@frozen
class Options:
    """Everything about a world that does not change while it lives.

    Attributes:
        start: router time at the beginning, in seconds since the epoch.
        seconds: how long faults may happen; after that the world heals.
        router_seed: of the router's own chance.
        model_list, settings: what the router is made with.
        faults: the families of faults that happen here.
        gap: mean seconds between two requests.
        burst: one in so many arrivals brings several requests at once.
        strange: percent of the calls that a fault befalls while its provider is well.
        provider_of: whose each deployment is.
        journal: "memory" or "disk".
        max_queued: events that may wait for the disk.
        commit_every: seconds between two writes to it.
        particulars: what else there is in this world: budgets, for one.
        arrivals: after so many the world's faults stop, if its time is not over before.
    """

    start: float
    seconds: float
    router_seed: int
    model_list: list[dict[str, Any]]
    settings: dict[str, Any]
    faults: frozenset[str]
    gap: float
    burst: int
    strange: float
    provider_of: dict[str, str]
    journal: str = "memory"
    max_queued: int = 50_000
    commit_every: float = 0.05
    groups: tuple[str, ...] = field(default=())
    arrivals: int = 0
    particulars: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        faults = ", ".join(sorted(self.faults)) or "none"
        strategy = self.settings.get("routing_strategy", "simple-shuffle")
        faults += "".join(f", {each}" for each in sorted(self.particulars))
        return (
            f"<Options {len(self.groups)} groups · {len(self.model_list)} deployments · {strategy} · "
            f"{self.seconds:.0f} s · a request every {self.gap:.3g} s · faults: {faults}>"
        )


def draw_options(chance: Chance, hours: float) -> Options:
    """Draw a world that lives for `hours` of its own time."""
    faults = frozenset(chance.subset(FAULTS))
    groups = GROUPS[: chance.part(HOW_MANY_GROUPS).whole(1, len(GROUPS))]
    model_list: list[dict[str, Any]] = []
    provider_of: dict[str, str] = {}
    for group in groups:
        for name in _NAMES[: chance.part(group).whole(1, len(_NAMES))]:
            deployment_id = f"{group}/{name}"
            its = chance.part(deployment_id)
            provider_of[deployment_id] = its.choice(PROVIDERS)
            model_list.append(_deployment(its, deployment_id, group))
    seconds = hours * 3600.0
    settings = _settings(chance.part("settings"), groups)
    options = Options(
        chance.choice((0.0, 1_700_000_000.25)),
        seconds,
        chance.below(1 << 16),
        model_list,
        settings,
        faults,
        chance.log_between(0.02, 5.0),
        chance.choice((0, 10, 3)),
        chance.choice((0.0, 2.0, 10.0, 40.0)),
        provider_of,
        "disk" if faults & {"journal", "kills"} else "memory",
        chance.choice((50_000, 20, 200)) if "journal" in faults else 50_000,
        chance.choice((0.05, 1.0, 15.0)),
        groups,
        int(chance.part(ARRIVALS).log_between(LEAST_ARRIVALS, MOST_ARRIVALS)),
    )
    return evolve(options, particulars=draw_particulars(chance, model_list, settings))


def _deployment(chance: Chance, deployment_id: str, group: str) -> dict[str, Any]:
    """A `model_list` entry, most of its limits unset."""
    drawn = {
        "rpm": _maybe(chance, (1, 3, 10, 40)),
        "tpm": _maybe(chance, (600, 2_000, 20_000)),
        "max_parallel_requests": _maybe(chance, (1, 2, 8)),
        "weight": _maybe(chance, (1, 2, 0)),
        "order": _maybe(chance, (1, 2)),
        "tags": _maybe(chance, (["paid"], ["default"], ["paid", "fast"])),
        "timeout": _maybe(chance, (0.5, 3.0, 20.0)),
        "stream_timeout": _maybe(chance, (0.2, 2.0, 20.0)),
        "num_retries": _maybe(chance, (0, 1, 4)),
        "cooldown_time": _maybe(chance, (0.0, 0.5, 30.0)),
        "input_cost_per_token": _maybe(chance, (1e-6, 3e-5)),
        "output_cost_per_token": _maybe(chance, (2e-6, 6e-5)),
    }
    given = {name: value for name, value in drawn.items() if value is not None}
    params = {name: value for name, value in given.items() if name in _PARAMS}
    info = {name: value for name, value in given.items() if name not in params}
    return {
        "model_name": group,
        "litellm_params": {"model": "openai/simulated", "api_key": KEY, **params},
        "model_info": {"id": deployment_id, **info},
    }


def _maybe(chance: Chance, values: tuple[Any, ...]) -> Any:
    """None two times in three."""
    drawn = chance.below(3 * len(values))
    return values[drawn - 2 * len(values)] if drawn >= 2 * len(values) else None


def _settings(chance: Chance, groups: tuple[str, ...]) -> dict[str, Any]:
    strategy = chance.choice(STRATEGIES)
    drawn = {
        "routing_strategy": strategy,
        "routing_strategy_args": _strategy_args(chance, strategy, groups),
        "num_retries": chance.choice((0, 1, 2, 5)),
        "retry_policy": _retry_policy(chance),
        "retry_after": _maybe(chance, (0.1, 2.0)),
        "timeout": _maybe(chance, (2.0, 10.0, 60.0)) or 30.0,
        "stream_timeout": _maybe(chance, (0.5, 5.0)),
        "max_fallbacks": _maybe(chance, (0, 1, 2)),
        "allowed_fails": _maybe(chance, (0, 1)),
        "allowed_fails_policy": _maybe(
            chance, ({"TimeoutErrorAllowedFails": 1}, {"RateLimitErrorAllowedFails": 2})
        ),
        "cooldown_time": _maybe(chance, (0.2, 5.0, 60.0)),
        "disable_cooldowns": True if chance.one_in(12) else None,
        "on_exhausted": chance.choice(("fail", "wait")),
        "max_queue": chance.choice((20, 3, 1, 8, 40, None)),
        "enable_tag_filtering": True if chance.one_in(3) else None,
        "tag_filtering_match_any": False if chance.one_in(3) else None,
        "default_priority": _maybe(chance, (5,)),
        "default_max_parallel_requests": _maybe(chance, (1, 4)),
        "hedge_after": _maybe(chance, (0.5, "p95")),
        **_cache(chance),
        **_fallbacks(chance.part("fallbacks"), groups),
    }
    return {name: value for name, value in drawn.items() if value is not None}


def _strategy_args(chance: Chance, strategy: str, groups: tuple[str, ...]) -> dict[str, Any] | None:
    if strategy == "latency-based-routing" and chance.below(2):
        return {"ttl": chance.choice((3600.0, 10.0)), "lowest_latency_buffer": chance.choice((0.0, 0.5))}
    if strategy == "cost-based-routing" and len(groups) > 1 and chance.below(2):
        return {"substitutes": {groups[0]: list(groups[1:2])}}
    return None


def _retry_policy(chance: Chance) -> dict[str, Any] | None:
    kind = chance.below(6)
    if kind < 4:
        return None
    if kind == 4:
        return {name: chance.below(4) for name in chance.subset(_ERRORS_WITH_RETRIES)} or None
    return {
        "max_retries": chance.below(4),
        "base_delay": chance.choice((0.5, 0.1)),
        "max_delay": chance.choice((8.0, 1.0)),
        "backoff_factor": chance.choice((2.0, 1.0)),
        "jitter": chance.below(2) == 0,
    }


def _cache(chance: Chance) -> dict[str, Any]:
    """One router in six has a cache; most answers are soon too old."""
    if not chance.one_in(6):
        return {}
    return {"cache_responses": True, "cache_kwargs": {"ttl": chance.choice((2.0, 0.1, 600.0))}}


def _fallbacks(chance: Chance, groups: tuple[str, ...]) -> dict[str, Any]:
    """A graph of fallbacks; it may well hold circles."""
    tables: dict[str, Any] = {}
    for name in ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks"):
        rows = []
        for group in groups:
            targets = [other for other in chance.subset(groups) if other != group]
            if targets and chance.below(2):
                rows.append({group: targets[::-1] if chance.below(2) else targets})
        if rows:
            tables[name] = rows
    if chance.one_in(4):
        tables["default_fallbacks"] = [groups[-1]]
    return tables
