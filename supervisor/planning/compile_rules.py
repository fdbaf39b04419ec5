"""From the settings a user wrote to the rules the actors go by. Pure."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...actors.deployment.cooldown import CooldownPolicy
from ...actors.deployment.state import Limits
from ...messages.cache_rules import shared_by
from ...messages.encodings import encoding_of
from ...messages.policies import BACKOFF_FIELDS
from ...messages.wishes import reading
from .fallbacks import FallbackRules
from .hedging import HedgeRules
from .plan import Backoff, RetryRules
from .rules import SupervisorRules

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...messages.budgets import BudgetRule
    from ...messages.policies import RetryPolicy
    from ...messages.settings import Deployment, RouterSettings
    from ...messages.wishes import Reading

__all__ = ["group_retry_rules", "limits_of", "reading_of", "shared_budgets", "supervisor_rules"]


def supervisor_rules(settings: RouterSettings) -> SupervisorRules:
    """What the Supervisor goes by."""
    fallbacks = FallbackRules(
        settings.fallbacks,
        settings.context_window_table(),
        settings.content_policy_fallbacks,
        settings.default_fallbacks,
        settings.max_fallbacks,
    )
    return SupervisorRules(
        _retry_rules(settings),
        group_retry_rules(settings),
        fallbacks,
        settings.timeout,
        settings.on_exhausted == "wait",
        settings.default_priority,
        reading_of(settings),
        hedges=HedgeRules(settings.hedge_after, settings.hedge_budget),
        caching_groups=shared_by(settings.caching_groups),
    )


def reading_of(settings: RouterSettings) -> Reading:
    """What is looked for in requests, beside what to ask."""
    return reading(
        tags=settings.enable_tag_filtering,
        session=settings.sticky_sessions != "off",
        user=settings.sticky_sessions == "user",
        prefixes=settings.prompt_cache_affinity,
        region=settings.enable_pre_call_checks,
    )


def _retry_rules(settings: RouterSettings) -> RetryRules:
    policy = settings.retry_policy
    if policy is None:
        return RetryRules(settings.num_retries, retry_after=settings.retry_after)
    most = settings.num_retries if policy.max_retries is None else policy.max_retries
    return RetryRules(most, policy.retries_for, settings.retry_after, _backoff(policy))


def _backoff(policy: RetryPolicy) -> Backoff:
    return Backoff(policy.base_delay, policy.max_delay, policy.backoff_factor, policy.jitter)


def group_retry_rules(settings: RouterSettings) -> dict[str, RetryRules]:
    """The rules of groups that have a policy of their own; what it does not speak of is the router's."""
    router, aliases, rules = _retry_rules(settings), settings.model_group_alias, {}
    for name, policy in settings.model_group_retry_policy.items():
        group = aliases[name].model if name in aliases else name
        rules[group] = RetryRules(
            router.num_retries if policy.max_retries is None else policy.max_retries,
            partial(_first_said, policy.retries_for, router.by_error),
            router.retry_after,
            router.backoff if policy.model_fields_set.isdisjoint(BACKOFF_FIELDS) else _backoff(policy),
        )
    return rules


def _first_said(
    own: Callable[[str], int | None], other: Callable[[str], int | None], error: str
) -> int | None:
    """What the first says of this class of error, else the other."""
    said = own(error)
    return other(error) if said is None else said


def limits_of(deployment: Deployment, settings: RouterSettings) -> Limits:
    """What a deployment admits by."""
    allowed = settings.allowed_fails_policy
    policy = CooldownPolicy(
        settings.allowed_fails,
        settings.cooldown_time if deployment.cooldown_time is None else deployment.cooldown_time,
        settings.disable_cooldowns,
        {} if allowed is None else allowed.by_error(),
    )
    parallel = deployment.max_parallel_requests or settings.default_max_parallel_requests
    return Limits(
        deployment.rpm,
        deployment.tpm,
        parallel,
        policy,
        budget=deployment.budget,
        batch=deployment.batch,
        encoding=None if deployment.tpm is None else encoding_of(deployment),
    )


def shared_budgets(settings: RouterSettings) -> dict[str, BudgetRule]:
    """The budgets that deployments share, by the name the Treasury knows them under."""
    return {
        **{f"provider:{name}": rule for name, rule in settings.provider_budget_config.items()},
        **{f"tag:{name}": rule for name, rule in settings.tag_budget_config.items()},
    }
