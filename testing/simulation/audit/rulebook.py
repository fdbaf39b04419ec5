"""What the options promise, read once more and apart from the code under test.

The router compiles its settings to rules; here the same settings are read by other eyes, straight
from what the user wrote, so that a wrong reading on either side shows.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from .pots import Terms, read_terms

if TYPE_CHECKING:
    from ..options import Options

__all__ = ["CALLS_FOR_ANOTHER", "DeploymentRules", "Rulebook"]

CALLS_FOR_ANOTHER = frozenset({"AuthenticationError", "PermissionDeniedError", "NotFoundError"})
"""Errors that the same deployment would only repeat."""

_COUNTED = CALLS_FOR_ANOTHER | {
    "Timeout",
    "RateLimitError",
    "InternalServerError",
    "BadGatewayError",
    "ServiceUnavailableError",
    "APIError",
    "APIConnectionError",
}
_NEVER_RETRIED = frozenset(
    {
        "BadRequestError",
        "UnprocessableEntityError",
        "ContextWindowExceededError",
        "ContentPolicyViolationError",
        "NoDeploymentsAvailable",
    }
)
_LONGEST_COOLDOWN = 300.0
_POLICY_WORD = {
    "BadRequestError": "BadRequestError",
    "ContextWindowExceededError": "BadRequestError",
    "AuthenticationError": "AuthenticationError",
    "Timeout": "TimeoutError",
    "RateLimitError": "RateLimitError",
    "ContentPolicyViolationError": "ContentPolicyViolationError",
    "InternalServerError": "InternalServerError",
}

_NEEDS = ("function_calling", "response_schema", "vision")
_IS_IN: dict[str | None, tuple[str, ...]] = {
    "eu": ("eu",),
    "eu-west-1": ("eu", "eu-west-1"),
    "eu-west-2": ("eu-west-2",),  # London
    "us": ("us",),
    "eastus": ("us", "eastus"),
}
"""What a request may ask for to be served there."""


@frozen
class DeploymentRules:
    """What one deployment admits by and rests by."""

    id: str
    group: str
    rpm: int | None
    tpm: int | None
    parallel: int | None
    num_retries: int | None
    timeout: float | None
    stream_timeout: float | None
    weight: float | None
    prices: tuple[float, float] | None
    cooldown_time: float
    allowed_fails: int
    allowed_by_error: dict[str, int]
    never_cools: bool
    order: float
    tags: frozenset[str]
    provider: str = ""
    budget: Terms | None = None
    prompt_price: float | None = None
    region: str | None = None
    lacks: frozenset[str] = frozenset()
    is_checked: bool = True

    def counted(self, error: str) -> bool:
        """Whether a failure speaks against the deployment."""
        return error in _COUNTED or error in self.allowed_by_error

    def rest(
        self, error: str, retry_after: float | None, trips: int, recent: int, *, probe: bool
    ) -> float | None:
        """Seconds to rest after a counted failure, None for not at all (SEMANTICS, "Cooldown")."""
        if self.never_cools or not self.counted(error):
            return None
        if error == "RateLimitError" and retry_after is not None:
            return retry_after
        own = self.allowed_by_error.get(error)
        at_once = own is None and error in CALLS_FOR_ANOTHER
        if not (probe or at_once or recent > (self.allowed_fails if own is None else own)):
            return None
        if retry_after is not None:
            return retry_after
        doublings = trips if probe else max(0, trips - 1)
        return min(max(_LONGEST_COOLDOWN, self.cooldown_time), self.cooldown_time * 2.0**doublings)


@frozen
class Rulebook:
    """The rules of a whole world."""

    deployments: dict[str, DeploymentRules]
    groups: tuple[str, ...]
    settings: dict[str, Any]
    substitutes: dict[str, list[str]] = field(factory=dict)
    shared_budgets: dict[str, Terms] = field(factory=dict)

    @classmethod
    def of(cls, options: Options) -> Rulebook:
        settings = options.settings
        args = settings.get("routing_strategy_args") or {}
        rules = {
            entry["model_info"]["id"]: _deployment_rules(entry, settings) for entry in options.model_list
        }
        substitutes = args.get("substitutes", {})
        return cls(rules, options.groups, settings, substitutes, _shared_budgets(settings))

    def learn(self, deployment_id: str, entry: dict[str, Any]) -> DeploymentRules:
        """A deployment was added while the router runs, or goes on under another configuration."""
        info = {**entry.get("model_info", {}), "id": deployment_id}
        rules = _deployment_rules({**entry, "model_info": info}, self.settings)
        self.deployments[deployment_id] = rules
        return rules

    def group_of(self, name: str) -> str | None:
        """Where a name leads: a group's own, or a deployment's id."""
        if name in self.groups:
            return name
        rules = self.deployments.get(name)
        return None if rules is None else rules.group

    def may_serve(self, group: str, deployment_id: str) -> bool:
        """Whether a deployment belongs to a group, or stands in for it."""
        home = self.deployments[deployment_id].group
        return home == group or home in self.substitutes.get(group, ())

    def may_serve_this(self, group: str, fields: dict[str, Any], deployment_id: str) -> bool:
        """The same of one request: who stands in must be known to do tools and pictures, and nobody is."""
        at_home = self.deployments[deployment_id].group == group
        hard = not _needs(fields).isdisjoint({"function_calling", "vision"})
        return self.may_serve(group, deployment_id) and (at_home or not hard)

    def able(self, fields: dict[str, Any], deployment_id: str) -> bool:
        """Whether it is where the request may go, and can do what is asked for ("Checks before a call")."""
        if not self.settings.get("enable_pre_call_checks"):
            return True
        rules, wanted = self.deployments[deployment_id], fields.get("allowed_model_region")
        if wanted is not None and wanted not in _IS_IN.get(rules.region, ()):
            return False
        return rules.lacks.isdisjoint(_needs(fields))

    def suits(self, fields: dict[str, Any], deployment_id: str) -> int | None:
        """How far a deployment's tags are from those a request asks for: only the nearest of a group serve.

        0: it has them; 1: it is for those whom nobody else is for; 2: it has none of either and none are
        asked for; None: it may not serve (SEMANTICS, "Tags").
        """
        if not self.able(fields, deployment_id):
            return None
        if not self.settings.get("enable_tag_filtering"):
            return 0
        asked, has = fields.get("tags", ()), self.deployments[deployment_id].tags
        if any(tag.startswith("!") and tag[1:] in has for tag in asked):
            return None
        wanted = {tag for tag in asked if not tag.startswith("!")}
        met = wanted & has
        if met and (met == wanted or self.settings.get("tag_filtering_match_any", True)):
            return 0
        if "default" in has:
            return 1
        return None if wanted else 2

    def waits(self, fields: dict[str, Any]) -> bool:
        """Whether a request queues when nobody is eligible."""
        settings = self.settings
        priority = fields.get("priority", settings.get("default_priority"))
        return priority is not None or settings.get("on_exhausted") == "wait"

    def rank(self, fields: dict[str, Any], deadline: float) -> tuple[int, float]:
        """Of those who wait, the one of the lowest goes first."""
        return int(fields.get("priority", self.settings.get("default_priority", 0))), deadline

    def pause(self, error: str, retry_after: float | None, failed: int) -> tuple[float, float]:
        """The least and the most that the same deployment is left alone after so many attempts failed."""
        least = max(float(self.settings.get("retry_after", 0.0)), retry_after or 0.0)
        if error != "RateLimitError":
            return least, least
        policy = self.settings.get("retry_policy") or {}
        base, most = policy.get("base_delay", 0.5), policy.get("max_delay", 8.0)
        ceiling = min(most, base * policy.get("backoff_factor", 2.0) ** max(0, failed - 1))
        return (least if policy.get("jitter", True) else max(least, ceiling)), max(least, ceiling)

    def seconds(self, fields: dict[str, Any]) -> float:
        """The time a request has."""
        return float(fields.get("timeout") or self.settings.get("timeout") or 6000.0)

    def retries(self, error: str, fields: dict[str, Any], deployment_id: str | None) -> int:
        """Retries after the first attempt of a group, for this error (SEMANTICS, "Retries")."""
        asked = fields.get("num_retries")
        if asked == 0:
            return 0
        policy = self.settings.get("retry_policy") or {}
        word = _POLICY_WORD.get(error)
        named = policy.get(f"{word}Retries")
        if named is not None:
            return int(named)
        if error in _NEVER_RETRIED:
            return 0
        if asked is not None:
            return int(asked)
        own = self.deployments[deployment_id].num_retries if deployment_id in self.deployments else None
        if own is not None:
            return own
        most = policy.get("max_retries")
        return int(self.settings.get("num_retries", 0) if most is None else most)

    @property
    def max_fallbacks(self) -> int:
        return int(self.settings.get("max_fallbacks", 5))

    def fallbacks(
        self, fields: dict[str, Any], history: list[tuple[str, str]], tried: list[str]
    ) -> str | None:
        """The name that must be tried next after these (group, error), None when there is none."""
        if fields.get("disable_fallbacks") or len(tried) > self.max_fallbacks:
            return None
        slip = history[0][0] not in self.groups and "fallbacks" not in fields
        for position, (group, error) in enumerate(history):
            # no list was meant for a slip of the pen, save the one for all that have none
            targets = [] if slip else self._targets(fields, group, error)
            if position == 0 and not targets:
                targets = self.settings.get("default_fallbacks", [])
            for name in targets:
                if self.group_of(name) not in (None, *tried):
                    return name
        return None

    def _targets(self, fields: dict[str, Any], group: str, error: str) -> list[str]:
        own = fields.get("fallbacks")
        if own is not None:  # a list for every group; it goes before everything of the router's
            return [name for name in own if name not in (group, fields["model"])]
        kind = {
            "ContextWindowExceededError": "context_window_fallbacks",
            "ContentPolicyViolationError": "content_policy_fallbacks",
        }.get(error)
        if kind is not None and (special := self._table(kind).get(group)):
            return special
        return self._table("fallbacks").get(group, [])

    def _table(self, name: str) -> dict[str, list[str]]:
        return {group: targets for row in self.settings.get(name, []) for group, targets in row.items()}


def _is_lacking(need: str, params: dict[str, Any], info: dict[str, Any]) -> bool:
    """Whether it cannot do that, and does not leave it out of what it is sent either."""
    may_leave_out = bool(params.get("drop_params")) and need != "vision"
    return info.get(f"supports_{need}") is False and not may_leave_out


def _needs(fields: dict[str, Any]) -> set[str]:
    """What a request cannot do without."""
    needs = set()
    if "tools" in fields:
        needs.add("function_calling")
    if fields.get("response_format", {}).get("type") == "json_schema":
        needs.add("response_schema")
    if "image_url" in str(fields["messages"]):
        needs.add("vision")
    return needs


def _shared_budgets(settings: dict[str, Any]) -> dict[str, Terms]:
    """Those of providers and of tags, by the names they have in the journal."""
    found = {}
    for kind in ("provider", "tag"):
        for name, budget in settings.get(f"{kind}_budget_config", {}).items():
            terms = read_terms(budget["max_budget"], budget.get("budget_duration"), budget.get("reset"))
            if terms is not None:
                found[f"{kind}:{name}"] = terms
    return found


def _deployment_rules(entry: dict[str, Any], settings: dict[str, Any]) -> DeploymentRules:
    params, info = entry["litellm_params"], entry["model_info"]
    names = ("input_cost_per_token", "output_cost_per_token")
    prices = tuple(params.get(name, info.get(name)) for name in names)
    cooldown_time = params.get("cooldown_time", settings.get("cooldown_time", 1.0))
    policy = settings.get("allowed_fails_policy") or {}
    allowed = {
        error: policy[f"{word}AllowedFails"]
        for error, word in _POLICY_WORD.items()
        if f"{word}AllowedFails" in policy
    }
    return DeploymentRules(
        info["id"],
        entry["model_name"],
        params.get("rpm"),
        params.get("tpm"),
        params.get("max_parallel_requests", settings.get("default_max_parallel_requests")),
        params.get("num_retries"),
        params.get("timeout"),
        params.get("stream_timeout"),
        params.get("weight"),
        None if None in prices else prices,
        cooldown_time,
        settings.get("allowed_fails", 3),
        allowed,
        bool(settings.get("disable_cooldowns")) or cooldown_time <= 0,
        params.get("order", math.inf),
        frozenset(params.get("tags", ())),
        params["model"].partition("/")[0],
        read_terms(params.get("max_budget"), params.get("budget_duration"), params.get("budget_reset")),
        prices[0],
        params.get("region_name"),
        frozenset(need for need in _NEEDS if _is_lacking(need, params, info)),
        "health_check" not in info,
    )
