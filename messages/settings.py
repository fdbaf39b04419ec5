"""What a router is told once: its settings. Its deployments are in :mod:`.deployments`.

Every setting has its default here, its bounds, and one clear error when it is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from attrs import frozen
from pydantic import (
    AliasChoices,
    BeforeValidator,
    Field,
    PlainSerializer,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
)

from .deployments import Deployment, parse_deployment, parse_model_list
from .errors import ConfigurationError
from .fallbacks import FallbackTable, FallbackTarget, parse_fallbacks, parse_targets
from .policies import (
    MAX_ALLOWED_FAILS,
    AlertingConfig,
    AllowedFailsPolicy,
    Count,
    Retries,
    RetryPolicy,
    Seconds,
    Settings,
)
from .problems import configuration_error, did_you_mean, given, listed, quoted
from .redaction import public

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = [
    "STRATEGIES",
    "AlertingConfig",
    "AllowedFailsPolicy",
    "Deployment",
    "FallbackTable",
    "FallbackTarget",
    "GroupAlias",
    "RetryPolicy",
    "RouterSettings",
    "parse_deployment",
    "parse_fallbacks",
    "parse_model_list",
    "parse_targets",
]

STRATEGIES = (
    "simple-shuffle",
    "least-busy",
    "usage-based-routing",
    "usage-based-routing-v2",
    "latency-based-routing",
    "cost-based-routing",
    "adaptive",
)
MAX_PRIORITY = 255

_HANDLED_BY_THE_ROUTER = ("clock", "journal", "model_list", "seed", "transport")
_PRE_CALL_CHECKS = ("enable_pre_call_checks", "enable_pre_call_check")

_LATER = (
    "redis_url",
    "redis_host",
    "redis_port",
    "redis_password",
    "cache_responses",
    "cache_kwargs",
    "caching_groups",
    "enable_pre_call_checks",
    "enable_tag_filtering",
    "provider_budget_config",
    "alerting_config",
)
"""Settings whose feature is not built yet: validated, and refused when switched on."""


@frozen
class GroupAlias:
    """Another name of a model group. A hidden one works and is not listed."""

    model: str
    hidden: bool = False

    def public(self) -> str | dict[str, Any]:
        """As it was written."""
        return {"model": self.model, "hidden": True} if self.hidden else self.model


class _StrategyArgs(Settings):
    """What the built-in strategies can be told."""

    ttl: Seconds = Field(default=3600.0, gt=0)
    lowest_latency_buffer: Seconds = Field(default=0.0, ge=0)
    substitutes: dict[str, tuple[str, ...]] = {}


def _aliases(raw: Any) -> dict[str, GroupAlias]:
    if not isinstance(raw, dict):
        msg = "must be a dict {alias: group}"
        raise ValueError(msg)  # noqa: TRY004  (pydantic turns ValueError into one error)
    return {name: _alias(name, target) for name, target in raw.items()}


def _alias(name: Any, target: Any) -> GroupAlias:
    if isinstance(target, GroupAlias):
        return target
    if isinstance(target, str):
        target = {"model": target}
    if isinstance(name, str) and name and isinstance(target, dict) and target.keys() <= {"model", "hidden"}:
        model, hidden = target.get("model"), target.get("hidden", False)
        if isinstance(model, str) and model and isinstance(hidden, bool):
            return GroupAlias(model, hidden)
    msg = f'the alias {given(name)} must be a group\'s name or {{"model": name, "hidden": true or false}}'
    raise ValueError(msg)


def _strategy(value: Any) -> Any:
    if isinstance(value, str):
        if value not in STRATEGIES:
            hint = did_you_mean(value, STRATEGIES)
            msg = f"must be one of {listed(STRATEGIES)}, or an object with a pick method{hint}"
            raise ValueError(msg)
    elif isinstance(value, type) or not callable(getattr(value, "pick", None)):
        msg = f"must be one of {listed(STRATEGIES)}, or an object with a pick method"
        raise ValueError(msg)
    return value


def _table(raw: Any) -> FallbackTable:
    return raw if isinstance(raw, FallbackTable) else parse_fallbacks(raw, "")


_Shown = PlainSerializer(public, when_used="always")
_Params = Annotated[dict[str, Any], _Shown]
_Aliases = Annotated[
    dict[str, GroupAlias],
    BeforeValidator(_aliases),
    PlainSerializer(lambda aliases: {name: alias.public() for name, alias in aliases.items()}),
]
_Table = Annotated[FallbackTable, PlainSerializer(lambda table: table.public())]
_Strategy = Annotated[
    Any,
    BeforeValidator(_strategy),
    PlainSerializer(lambda value: value if isinstance(value, str) else f"<{type(value).__name__}>"),
]
_Positive = Annotated[Seconds, Field(gt=0)]
_Wait = Annotated[Seconds, Field(ge=0)]
_AtLeastOne = Annotated[Count, Field(ge=1)]


class RouterSettings(Settings):
    """Every setting of a router; times are seconds.

    Attributes:
        timeout: for the whole request, retries, waits and fallbacks included; None is no limit of its own.
        stream_timeout: to the first chunk and between chunks, where a deployment has none.
        num_retries: after the first attempt in a group, where neither deployment nor request says.
        max_fallbacks: groups tried after the first.
        retry_after: least pause before the same deployment is tried again.
        max_retry_after: a provider's Retry-After above this is nonsense.
        allowed_fails: counted failures in a minute before a cooldown.
        cooldown_time: how long that is; 0 is none.
        on_exhausted: what a request does when no deployment of its group is eligible.
        max_queue: requests that may wait in one group.
        default_priority: priority of requests that name none; with one set, they wait.
        client_ttl: connections are renewed after this.

    Raises:
        ConfigurationError: a setting is wrong or unknown.
        NotImplementedError: a setting switches on what is not built yet.
    """

    routing_strategy: _Strategy = "simple-shuffle"
    routing_strategy_args: _Params = {}

    num_retries: Retries = 0
    retry_policy: RetryPolicy | None = None
    model_group_retry_policy: dict[str, RetryPolicy] = {}
    retry_after: _Wait = 0.0
    max_retry_after: _Wait = 3600.0
    timeout: _Positive | None = None
    stream_timeout: _Positive | None = None

    fallbacks: _Table = FallbackTable()
    context_window_fallbacks: _Table = FallbackTable()
    content_policy_fallbacks: _Table = FallbackTable()
    default_fallbacks: _Table = FallbackTable()
    max_fallbacks: Annotated[Count, Field(ge=0)] = 5

    allowed_fails: Annotated[Count, Field(ge=0, le=MAX_ALLOWED_FAILS)] = 3
    allowed_fails_policy: AllowedFailsPolicy | None = None
    cooldown_time: _Wait = 1.0
    disable_cooldowns: bool = False

    on_exhausted: Literal["fail", "wait"] = "fail"
    max_queue: _AtLeastOne = 1000
    default_priority: Annotated[Count, Field(ge=0, le=MAX_PRIORITY)] | None = None
    default_max_parallel_requests: _AtLeastOne | None = None

    default_litellm_params: _Params = {}
    model_group_alias: _Aliases = {}
    client_ttl: _Positive = 3600.0
    set_verbose: bool = False
    debug_level: Literal["DEBUG", "INFO"] = "INFO"

    redis_url: SecretStr | None = None
    redis_host: str | None = None
    redis_port: Annotated[Count, Field(ge=1, le=65535)] | None = None
    redis_password: SecretStr | None = None
    cache_responses: bool = False
    cache_kwargs: _Params = {}
    caching_groups: tuple[tuple[str, ...], ...] = ()
    enable_pre_call_checks: bool = Field(default=False, validation_alias=AliasChoices(*_PRE_CALL_CHECKS))
    enable_tag_filtering: bool = False
    provider_budget_config: dict[str, Any] = {}
    alerting_config: AlertingConfig | None = None

    def __init__(self, **data: Any) -> None:
        ...
