"""What a router is told once: its settings. Its deployments are in :mod:`.deployments`.

Every setting has its default here, its bounds, and one clear error when it is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from attrs import frozen
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    ValidationError,
    ValidationInfo,
)

from .budgets import BudgetRule, parse_budgets, public_budgets
from .cache_rules import cache_rules
from .deployment import Deployment
from .deployments import NOT_HERE, parse_deployment, parse_model_list
from .errors import ConfigurationError
from .fallbacks import FallbackTable, FallbackTarget, parse_fallback_dict, parse_fallbacks, parse_targets
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
from .requests import HedgeAfter  # noqa: TC001  (pydantic resolves it)
from .sizes import HOW_BYTES, HOW_SECONDS, bytes_in, seconds_in

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

MIN_JOURNAL_BYTES = 1_000_000
"""A journal that may be smaller holds next to nothing: snapshots are kept whatever the limit."""

_HANDLED_BY_THE_ROUTER = ("clock", "journal", "model_list", "seed", "transport")
_ALIASES = {"enable_pre_call_check": "enable_pre_call_checks", "tag_filtering": "enable_tag_filtering"}


@frozen
class GroupAlias:
    """Another name of a model group. A hidden one works and is not listed."""

    model: str
    hidden: bool = False

    def public(self) -> str | dict[str, Any]:
        """As it was written."""
        return {"model": self.model, "hidden": True} if self.hidden else self.model


class _StrategyArgs(BaseModel):
    """What the built-in strategies can be told."""

    model_config = ConfigDict(extra="forbid")

    ttl: Seconds = Field(default=3600.0, gt=0)
    lowest_latency_buffer: Seconds = Field(default=0.0, ge=0)
    substitutes: dict[str, tuple[str, ...]] = {}


def _aliases(raw: Any) -> dict[str, GroupAlias]:
    if not isinstance(raw, dict):
        msg = "must be a dict {alias: group}"
        raise ValueError(msg)
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
    msg = f'alias {given(name)} must be the name of a group or {{"model": name, "hidden": true or false}}'
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


def _table(raw: Any, info: ValidationInfo) -> FallbackTable:
    return raw if isinstance(raw, FallbackTable) else parse_fallbacks(raw, info.field_name or "")


def _default_targets(raw: Any, info: ValidationInfo) -> tuple[FallbackTarget, ...]:
    return parse_targets(raw, info.field_name or "")


def _callbacks(raw: Any) -> tuple[Any, ...]:
    if not isinstance(raw, (list, tuple)):
        msg = "must be a list of functions and CustomLogger objects"
        raise ValueError(msg)
    for position, callback in enumerate(raw):
        if isinstance(callback, type) or not (callable(callback) or _is_logger(callback)):
            what = "must be a function or an object with a method of CustomLogger's"
            msg = f"[{position}] = {given(callback)}: {what}"
            raise ValueError(msg)
    return tuple(raw)


def _is_logger(value: Any) -> bool:
    return any(name.startswith(("log_", "async_log_")) for name in dir(value))


_Callbacks = Annotated[
    tuple[Any, ...],
    BeforeValidator(_callbacks),
    PlainSerializer(lambda callbacks: [f"<{type(callback).__name__}>" for callback in callbacks]),
]


def _budgets(raw: Any, info: ValidationInfo) -> dict[str, BudgetRule]:
    return parse_budgets(raw, info.field_name or "")


_Budgets = Annotated[dict[str, Any], BeforeValidator(_budgets), PlainSerializer(public_budgets)]
_Params = Annotated[dict[str, Any], PlainSerializer(public)]
_GroupAliases = Annotated[
    dict[str, GroupAlias],
    BeforeValidator(_aliases),
    PlainSerializer(lambda aliases: {name: alias.public() for name, alias in aliases.items()}),
]
_Table = Annotated[FallbackTable, BeforeValidator(_table), PlainSerializer(FallbackTable.public)]
_Targets = Annotated[
    tuple[FallbackTarget, ...],
    BeforeValidator(_default_targets),
    PlainSerializer(lambda targets: [target.public() for target in targets]),
]
_Strategy = Annotated[
    Any,
    BeforeValidator(_strategy),
    PlainSerializer(lambda value: value if isinstance(value, str) else f"<{type(value).__name__}>"),
]


def _age(raw: Any) -> Any:
    if not isinstance(raw, str):
        return raw
    seconds = seconds_in(raw)
    if seconds is None:
        msg = f"must be seconds, or like {HOW_SECONDS}"
        raise ValueError(msg)
    return seconds


def _amount(raw: Any) -> Any:
    if not isinstance(raw, str):
        return raw
    amount = bytes_in(raw)
    if amount is None:
        msg = f"must be a number of bytes, or like {HOW_BYTES}"
        raise ValueError(msg)
    return amount


_Age = Annotated[Seconds, BeforeValidator(_age), Field(gt=0)]
_Bytes = Annotated[Count, BeforeValidator(_amount), Field(ge=MIN_JOURNAL_BYTES)]
_Positive = Annotated[Seconds, Field(gt=0)]
_Wait = Annotated[Seconds, Field(ge=0)]
_AtLeastOne = Annotated[Count, Field(ge=1)]


class RouterSettings(Settings):
    """Every setting of a router; times are seconds. `docs/settings.md` is made from what follows.

    Raises:
        ConfigurationError: a setting is wrong or unknown.
    """

    # -- Choosing a deployment

    routing_strategy: _Strategy = "simple-shuffle"
    """How a deployment of the group is chosen; see [the strategies](../README.md#routing-strategies)."""
    routing_strategy_args: _Params = {}
    """`ttl` and `lowest_latency_buffer` of `latency-based-routing`; `substitutes` of
    `cost-based-routing`: `{group: [cheaper groups that may stand in]}`."""

    # -- Retries and time

    num_retries: Retries = 0
    """Attempts in a group after the first, where neither the request nor the deployment says."""
    retry_policy: RetryPolicy | None = None
    """Retries by class of error, and the back-off after a 429; see [RetryPolicy](#retrypolicy)."""
    model_group_retry_policy: dict[str, RetryPolicy] = {}
    """Retry policies by group: `{"gpt-4": RetryPolicy(...)}`; what one does not speak of is the router's."""
    retry_after: _Wait = 0.0
    """Least pause in seconds before the same deployment is tried again."""
    max_retry_after: _Wait = 3600.0
    """A provider's Retry-After of more seconds is not believed."""
    timeout: _Positive | None = None
    """Seconds for the whole request: retries, waits and fallbacks included; none is 6000 s."""
    stream_timeout: _Positive | None = None
    """Seconds to the first chunk and between chunks, where neither request nor deployment says."""

    # -- Fallbacks

    fallbacks: _Table = FallbackTable()
    """Groups to try next: `[{"gpt-4": ["small"]}]`, or `["small"]` for every group."""
    context_window_fallbacks: _Table = FallbackTable()
    """`fallbacks` for prompts that are too long."""
    content_policy_fallbacks: _Table = FallbackTable()
    """`fallbacks` for what a content filter refused."""
    default_fallbacks: _Targets = ()
    """`["small"]`: for groups that have no fallbacks of their own, and for names that lead nowhere."""
    max_fallbacks: Annotated[Count, Field(ge=0)] = 5
    """Groups tried after the first, at most."""

    # -- Cooldowns

    allowed_fails: Annotated[Count, Field(ge=0, le=MAX_ALLOWED_FAILS)] = 3
    """Counted failures in a minute that are no reason to cool down."""
    allowed_fails_policy: AllowedFailsPolicy | None = None
    """Failures by class of error; see [AllowedFailsPolicy](#allowedfailspolicy)."""
    cooldown_time: _Wait = 1.0
    """Seconds that a cooldown lasts; doubled by each failed probe; 0 is none."""
    disable_cooldowns: bool = False
    """No cooldowns at all."""
    health_check_interval: _Positive | None = None
    """Seconds between [health checks](guide.md#health-checks) in the background; none are made
    without it."""

    # -- Waiting and hedging

    on_exhausted: Literal["fail", "wait"] = "fail"
    """What a request does when no deployment of its group may take it: fail at once, or wait in the
    group."""
    max_queue: _AtLeastOne = 1000
    """Requests that may wait in one group."""
    default_priority: Annotated[Count, Field(ge=0, le=MAX_PRIORITY)] | None = None
    """Priority of requests that name none, 0 goes first; with one set, all of them wait."""
    default_max_parallel_requests: _AtLeastOne | None = None
    """`max_parallel_requests` of deployments that set none."""
    hedge_after: HedgeAfter | None = None
    """A second attempt starts beside one that takes longer to its first token (a whole answer: to its
    end); seconds, or `"p95"` of the group's own times."""
    hedge_budget: Annotated[Seconds, Field(ge=0, le=1)] = 0.05
    """Such second attempts are at most this share of the requests."""

    # -- Deployments, names and logging

    default_litellm_params: _Params = {}
    """Parameters of every deployment that does not set them itself. `context_window_fallback_dict`,
    `{"gpt-3.5-turbo": "gpt-3.5-turbo-16k"}`, adds to `context_window_fallbacks`."""
    model_group_alias: _GroupAliases = {}
    """Other names of groups: `{"name": "group"}`, or `{"name": {"model": "group", "hidden": True}}`,
    which is not listed."""
    client_ttl: _Positive = 3600.0
    """Connections are opened anew after this many seconds."""
    set_verbose: bool = False
    """Log, under `turnout`, what goes wrong and what is done about it. `turnout.set_verbose = True` does
    the same for every router made after it."""
    debug_level: Literal["DEBUG", "INFO"] = "INFO"
    """With `set_verbose`: `"DEBUG"` logs every decision, one line each, and with `turnout.set_verbose`
    each call's books as well."""

    # -- Cache

    redis_url: SecretStr | None = None
    """Where answers are cached: `redis://`, `rediss://`, `redis+sentinel://` and `redis+cluster://`. Limits
    are each router's own: nothing else is shared over Redis, and without `cache_responses` it is not used."""
    redis_host: str | None = None
    """Where Redis is, in place of `redis_url`."""
    redis_port: Annotated[Count, Field(ge=1, le=65535)] | None = None
    """The port of Redis."""
    redis_username: str | None = None
    """The user of Redis."""
    redis_password: SecretStr | None = None
    """The password of Redis."""
    cache_responses: bool = False
    """Answer identical requests from a cache: in memory, or in Redis where one is named."""
    cache_kwargs: _Params = {}
    """`ttl` (600 seconds) and `namespace`; in memory `max_entries` (10,000) and `max_bytes` (64 MiB); for
    Redis any option of redis-py, such as `socket_timeout` and `max_connections`."""
    caching_groups: tuple[tuple[str, ...], ...] = ()
    """Groups that share their cached answers: `[("gpt-4", "azure-gpt-4")]`."""

    # -- Checks before a call

    enable_pre_call_checks: bool = False
    """Leave out deployments whose context window the prompt exceeds, that are not in the request's
    `allowed_model_region`, or that are known to lack what it needs."""
    enable_tag_filtering: bool = False
    """Only deployments with the request's tags; `tag_filtering` is another name."""
    tag_filtering_match_any: bool = True
    """One of the request's tags is enough; `False`: all of them must be there."""

    # -- Sessions and warm prompts

    sticky_sessions: Literal["session_id", "user", "off"] = "session_id"
    """Requests of one `session_id` go to the same deployment; `"user"`: those without one by their
    `user`."""
    prompt_cache_affinity: bool = False
    """A long prompt goes where its beginning was seen in the last minutes."""

    # -- The journal

    journal_max_age: _Age | None = None
    """Events of the journal are kept so many seconds (or `"30d"`), and longer only where they are still
    needed; see [Retention](semantics.md#retention)."""
    journal_max_bytes: _Bytes | None = None
    """What the journal's file may hold, in bytes (or `"1G"`): the oldest events go first. Without either
    setting all is kept, in a file; a journal in memory has a bound of its own."""

    # -- Budgets, alerts and callbacks

    provider_budget_config: _Budgets = {}
    """A budget for each provider: `{"openai": {"max_budget": 100, "budget_duration": "1d"}}`; see
    [Budgets](semantics.md#budgets)."""
    tag_budget_config: _Budgets = {}
    """A budget for each tag of requests: `{"team-a": {"max_budget": 5, "budget_duration": "1mo"}}`."""
    alerting_config: AlertingConfig | None = None
    """A webhook that is told of failing, slow and hanging calls, cooldowns and spent budgets; see
    [AlertingConfig](#alertingconfig)."""
    callbacks: _Callbacks = ()
    """Functions and `CustomLogger` objects that are told of every attempt; see
    [Callbacks](guide.md#callbacks)."""

    def __init__(self, **data: Any) -> None:
        fields = type(self).model_fields
        for alias, name in _ALIASES.items():
            if alias in data:
                data.setdefault(name, data.pop(alias))
        # None is how the documents write "not set"; an unknown name stays to be refused.
        try:
            BaseModel.__init__(self, **{k: v for k, v in data.items() if v is not None or k not in fields})
        except ValidationError as error:
            known = (*fields, *_ALIASES, *_HANDLED_BY_THE_ROUTER)
            raise configuration_error(error, known=known) from None
        self._check_strategy_args()
        cache_rules(self)
        self._check_defaults()

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        yield from self.changed().items()

    __str__ = BaseModel.__repr__

    def changed(self) -> dict[str, Any]:
        """The settings that differ from their defaults: plain JSON-able data without secrets."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def retries_for(self, error_class_name: str) -> int | None:
        """What `retry_policy` says of this class of error; None when it has no say."""
        return None if self.retry_policy is None else self.retry_policy.retries_for(error_class_name)

    @property
    def default_retries(self) -> int:
        """Retries where neither class of error, request nor deployment says."""
        policy = self.retry_policy
        return self.num_retries if policy is None or policy.max_retries is None else policy.max_retries

    def allowed_fails_by_error(self) -> dict[str, int]:
        """{error class name: failures allowed in a minute}, for classes with a limit of their own."""
        return {} if self.allowed_fails_policy is None else self.allowed_fails_policy.by_error()

    def check_groups(self, knows: Callable[[str], bool], names: Iterable[str]) -> None:
        """Raise ConfigurationError for a setting that speaks of a group there is none of (fallbacks: below).

        Args:
            knows: whether a name leads somewhere (a group, an alias, a wildcard's match).
            names: the groups there are, for the error.
        """
        problem = next(_unknown(self._groups_needed(), knows, names), None)
        if problem is not None:
            raise ConfigurationError(problem)

    def unknown_fallbacks(self, knows: Callable[[str], bool], names: Iterable[str]) -> list[str]:
        """What to say of each fallback that speaks of a group there is none of; see `check_groups`.

        That is no error: it is passed over until a deployment of that group is added.
        """
        return list(_unknown(self._fallbacks_mentioned(), knows, names))

    def mentions(self, group: str) -> list[str]:
        """The settings that speak of this group."""
        mentioned = (*self._groups_needed(), *self._fallbacks_mentioned())
        return list(dict.fromkeys(path for path, name in mentioned if name == group))

    def _groups_needed(self) -> Iterator[tuple[str, str]]:
        for alias, target in self.model_group_alias.items():
            yield f"model_group_alias.{alias}", target.model
        for group, others in self.routing_strategy_args.get("substitutes", {}).items():
            yield from (("routing_strategy_args.substitutes", name) for name in (group, *others))
        yield from (("caching_groups", name) for groups in self.caching_groups for name in groups)

    def _fallbacks_mentioned(self) -> Iterator[tuple[str, str]]:
        tables = {
            "fallbacks": self.fallbacks,
            "context_window_fallbacks": self.context_window_fallbacks,
            "content_policy_fallbacks": self.content_policy_fallbacks,
        }
        for path, table in tables.items():
            yield from ((path, name) for name in table.mentioned())
        yield from (("model_group_retry_policy", name) for name in self.model_group_retry_policy)
        yield from (("default_fallbacks", target.model) for target in self.default_fallbacks)

    def context_window_table(self) -> FallbackTable:
        """`context_window_fallbacks`, and what the `context_window_fallback_dict` of the defaults adds."""
        larger, table = (
            self.default_litellm_params.get("context_window_fallback_dict"),
            self.context_window_fallbacks,
        )
        if not larger:
            return table
        more = parse_fallback_dict(larger, "default_litellm_params.context_window_fallback_dict")
        return FallbackTable({**more.by_group, **table.by_group}, table.every or more.every)

    def _check_defaults(self) -> None:
        """Parameters of every deployment that are wrong whatever the deployment."""
        self.context_window_table()
        for name in NOT_HERE.keys() & self.default_litellm_params.keys():
            if self.default_litellm_params[name]:
                msg = f"default_litellm_params.{name} is nothing this router has: {NOT_HERE[name]}"
                raise ConfigurationError(msg)

    def _check_strategy_args(self) -> None:
        """The arguments of a built-in strategy. One of the user's own was made with its arguments."""
        if not isinstance(self.routing_strategy, str):
            if self.routing_strategy_args:
                msg = "routing_strategy_args: a strategy object is given its arguments by its maker"
                raise ConfigurationError(msg)
            return
        try:
            _StrategyArgs.model_validate(self.routing_strategy_args)
        except ValidationError as error:
            known = _StrategyArgs.model_fields
            raise configuration_error(error, known=known, owner="routing_strategy_args") from None


def _unknown(
    mentioned: Iterable[tuple[str, str]], knows: Callable[[str], bool], names: Iterable[str]
) -> Iterator[str]:
    for path, name in mentioned:
        if not knows(name):
            known = list(names)
            hint = did_you_mean(name, known)
            yield f"{path}: no model group {quoted(name)}{hint} (known: {listed(known)})"
