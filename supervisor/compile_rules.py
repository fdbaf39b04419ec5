"""From the settings a user wrote to the rules the actors go by. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..actors.deployment.cooldown import CooldownPolicy
from ..actors.deployment.state import Limits
from ..messages.cache_rules import shared_by
from ..messages.wishes import reading
from .fallbacks import FallbackRules
from .hedging import HedgeRules
from .plan import Backoff, RetryRules
from .rules import SupervisorRules

if TYPE_CHECKING:
    from ..messages.budgets import BudgetRule
    from ..messages.settings import Deployment, RouterSettings
    from ..messages.wishes import Reading

__all__ = ["limits_of", "reading_of", "shared_budgets", "supervisor_rules"]


def supervisor_rules(settings: RouterSettings) -> SupervisorRules:
    """What the Supervisor goes by."""
    fallbacks = FallbackRules(
        settings.fallbacks,
        settings.context_window_fallbacks,
        settings.content_policy_fallbacks,
        settings.default_fallbacks,
        settings.max_fallbacks,
    )
    return SupervisorRules(
        _retry_rules(settings),
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
    backoff = Backoff(policy.base_delay, policy.max_delay, policy.backoff_factor, policy.jitter)
    return RetryRules(most, policy.retries_for, settings.retry_after, backoff)


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
    return Limits(deployment.rpm, deployment.tpm, parallel, policy, budget=deployment.budget)


def shared_budgets(settings: RouterSettings) -> dict[str, BudgetRule]:
    """The budgets that deployments share, by the name the Treasury knows them under."""
    return {
        **{f"provider:{name}": rule for name, rule in settings.provider_budget_config.items()},
        **{f"tag:{name}": rule for name, rule in settings.tag_budget_config.items()},
    }
