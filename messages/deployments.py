"""How a `model_list` entry becomes a deployment, or one clear error."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
)
from typing_extensions import TypedDict  # pydantic asks for it below Python 3.12

from .budgets import budget_of
from .deployment import OF_THE_MODEL, Deployment
from .environment import resolve
from .errors import ConfigurationError
from .fallbacks import FallbackTable, FallbackTarget, parse_fallback_dict, parse_targets
from .health_rules import check_health_rules
from .modes import mode_of
from .policies import Count, Retries, Seconds
from .prices import check_prices
from .problems import configuration_error, did_you_mean, given, nearest, quoted
from .provider_names import split_model
from .redaction import hide_url_secrets, without_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ALIASES",
    "NOT_HERE",
    "READ_ANYWHERE",
    "Deployment",
    "parse_deployment",
    "parse_model_list",
    "renamed",
]

MAX_NAME_CHARS = 512
"""Of a model name, a group or an id: they stand in events, lines and errors."""

DEFAULTS_PATH = "default_litellm_params"

FROM_ENVIRONMENT = (("api_key", "API_KEY"), ("api_base", "API_BASE"), ("api_version", "API_VERSION"))
"""Without an `api_base`, what is not given comes from `OPENAI_API_KEY`, `AZURE_API_BASE` and the like.

With one, nothing does: a provider's own key must not reach whoever stands behind another address.
"""


# -- what may stand where ------------------------------------------------------------------------

Mode = Literal[
    "chat", "completion", "embedding", "responses", "realtime", "batch", "rerank", "search", "ocr",
    "moderation", "image_generation", "image_edit", "video_generation", "audio_transcription", "audio_speech",
]  # fmt: skip


def _fits_a_header(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if not text.isascii() or not text.isprintable() or " " in text:
        msg = "must be printable ASCII without spaces or line ends"
        raise ValueError(msg)
    return key


_ADDRESS = re.compile(r"https?://[^/\s]")
_Key = Annotated[SecretStr, AfterValidator(_fits_a_header)]
_Limit = Annotated[Count, Field(ge=1)]
_Text = Annotated[str, Field(min_length=1)]
_Wait = Annotated[Seconds, Field(gt=0)]
_Price = Annotated[Seconds, Field(ge=0)]


def _fallbacks(raw: Any) -> tuple[FallbackTarget, ...]:
    return parse_targets(raw, "fallbacks")


def _larger_models(raw: Any) -> FallbackTable:
    return parse_fallback_dict(raw, "context_window_fallback_dict")


def _address(text: str) -> str:
    if not _ADDRESS.match(text):
        msg = "must begin with http:// or https:// and name a host"
        raise ValueError(msg)
    return text


class _Fields(TypedDict, total=False):
    """The fields of a deployment that a user may set; everything else is the wire's."""

    __pydantic_config__ = ConfigDict(extra="forbid", arbitrary_types_allowed=True)  # type: ignore[misc]

    api_key: _Key
    api_base: Annotated[str, AfterValidator(_address)]
    api_version: _Text
    rpm: _Limit
    tpm: _Limit
    weight: Annotated[Seconds, Field(ge=0)]
    max_parallel_requests: _Limit
    order: Count
    tags: tuple[str, ...]
    timeout: _Wait
    stream_timeout: _Wait
    region_name: _Text
    num_retries: Retries
    fallbacks: Annotated[tuple[FallbackTarget, ...], BeforeValidator(_fallbacks)]
    context_window_fallback_dict: Annotated[FallbackTable, BeforeValidator(_larger_models)]
    cooldown_time: Annotated[Seconds, Field(ge=0)]
    max_budget: _Price
    budget_duration: _Text
    budget_reset: Literal["calendar", "rolling"]
    mode: Mode
    base_model: _Text
    input_cost_per_token: _Price
    output_cost_per_token: _Price
    max_input_tokens: _Limit
    drop_params: bool
    additional_drop_params: tuple[str, ...]
    max_batch_size: _Limit
    mock_response: Any
    mock_delay: Annotated[Seconds, Field(ge=0)]
    mock_timeout: bool
    mock_tool_calls: list[Any]


_validate = TypeAdapter(_Fields).validate_python

READ_ANYWHERE = (
    "rpm", "tpm", "weight", "max_parallel_requests", "order", "tags", "timeout", "stream_timeout",
    "region_name",
)  # fmt: skip
"""Read from the top level, the parameters or model_info, first found."""

ALIASES = {"base_url": "api_base", "max_retries": "num_retries"}

NOT_HERE = {
    "configurable_clientside_auth_params": "keys belong to deployments; add_deployment() adds one for a key",
    "litellm_credential_name": 'name the key itself: api_key, or "os.environ/NAME"',
    "merge_reasoning_content_in_choices": "an answer's message has reasoning_content beside content",
    "modify_params": "a request is sent as it was given; drop_params leaves out what a model lacks",
    "use_in_pass_through": "there are no pass-through routes",
    "use_litellm_proxy": 'any OpenAI-compatible server will do: model "openai/<name>" and its api_base',
}
"""Switches of a router of old that are none here, and what to do instead. Off they are accepted."""

_OF_A_REQUEST = frozenset({"cache", "caching"})

_SECTIONS = frozenset({"litellm_params", "params", "model_info"})
_TOP = frozenset({"model_name", *_SECTIONS, *READ_ANYWHERE})
_PARAM_FIELDS = frozenset(_Fields.__annotations__)
_MOCKS = frozenset(name for name in _PARAM_FIELDS if name.startswith("mock_"))


def _named(value: Any) -> str:
    """What stands in an identity for a live object: its kind, and the text of an exception."""
    if isinstance(value, type):
        return value.__qualname__
    name = type(value).__qualname__
    return f"{name}: {hide_url_secrets(str(value))}" if isinstance(value, BaseException) else name


_IDENTITY = msgspec.json.Encoder(order="deterministic", enc_hook=_named)


# -- from entry to deployment --------------------------------------------------------------------


def parse_model_list(
    entries: Any,
    *,
    defaults: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    path: str = "model_list",
) -> tuple[Deployment, ...]:
    """Every entry of a `model_list`, in its order. None is an empty list.

    Entries that are equal but for their keys are deployments of their own: the second and later get
    `-2`, `-3`, ... behind the id they share, in the order of the list.

    Raises:
        ConfigurationError: an entry is wrong, or two were given the same id.
    """
    if entries is None:
        return ()
    if not isinstance(entries, (list, tuple)):
        msg = f"{path} = {given(entries)}: must be a list of deployments"
        raise ConfigurationError(msg)
    env = os.environ if env is None else env
    defaults = _default_params(defaults, env)
    taken: dict[str, str] = {}
    deployments = []
    for position, entry in enumerate(entries):
        where = f"{path}[{position}]"
        deployment = _deployment(_Entry(entry, where, defaults, env), taken)
        taken[deployment.id] = where
        deployments.append(deployment)
    return tuple(deployments)


def parse_deployment(
    raw: Any,
    path: str,
    *,
    defaults: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    taken: Mapping[str, str] | None = None,
) -> Deployment:
    """The deployment for one `model_list` entry.

    Args:
        raw: `{"model_name", "litellm_params" (or "params"), "model_info"}`; it is not changed.
        path: where it stands, for errors.
        defaults: `default_litellm_params`; the entry's own parameters go before them.
        env: what `os.environ/NAME` reads; None is the environment of the process.
        taken: {id: path} of the deployments there are.

    Raises:
        ConfigurationError: something is wrong; names its path, what was given and what is allowed.
    """
    env = os.environ if env is None else env
    return _deployment(_Entry(raw, path, _default_params(defaults, env), env), taken or {})


def _deployment(entry: _Entry, taken: Mapping[str, str]) -> Deployment:
    values = entry.values()
    path = entry.params_path
    written, stated = entry.text("model"), entry.stated_provider()
    provider, model = split_model(written, stated, has_api_base="api_base" in values, path=path)
    if "*" in model and "*" not in entry.group:
        msg = f"{path}.model = {quoted(model)}: a '*' needs one in model_name as well"
        raise ConfigurationError(msg)
    checked = entry.checked(values, provider)
    check_health_rules(entry.info, f"{entry.path}.model_info")
    checked.setdefault("mode", mode_of(checked.get("base_model") or model))
    larger = checked.pop("context_window_fallback_dict", None)
    if larger is not None:
        checked["context_window_fallbacks"] = _larger(larger, entry.group, written, model)
    return Deployment(
        id=entry.identity(taken),
        model_name=entry.group,
        provider=provider,
        model=model,
        wire=entry.params,
        model_info=entry.info,
        **checked,
    )


def _larger(table: FallbackTable, *names: str) -> tuple[FallbackTarget, ...]:
    """What the table says of the deployment: under its group's name, or its model's."""
    return next((found for name in names if (found := table.by_group.get(name))), table.every)


def _default_params(defaults: Mapping[str, Any] | None, env: Mapping[str, str]) -> dict[str, Any]:
    return renamed(resolve(defaults or {}, DEFAULTS_PATH, env, _MOCKS))


def renamed(params: dict[str, Any]) -> dict[str, Any]:
    """`params` (changed in place) with other names for our fields replaced; our own name wins."""
    for alias, name in ALIASES.items():
        if alias in params:
            params.setdefault(name, params.pop(alias))
    return params


class _Entry:
    """One raw entry, taken apart: `params` and `info` lose what the methods take out of them."""

    __slots__ = ("_defaults", "_env", "_own_params", "group", "info", "params", "params_path", "path", "top")

    def __init__(self, raw: Any, path: str, defaults: Mapping[str, Any], env: Mapping[str, str]) -> None:
        self.path = path
        self._env = env
        self._defaults = defaults
        self.top = self._section(raw, path, env, _SECTIONS)
        self._refuse_unknown()
        self.group = self._group()
        name = "params" if "params" in self.top else "litellm_params"
        self.params_path = f"{path}.{name}"
        if name not in self.top:
            msg = f"{path}: litellm_params are required (at least their model)"
            raise ConfigurationError(msg)
        own = renamed(self._section(self.top[name], self.params_path, env))
        self.info = self._section(self.top.get("model_info") or {}, f"{path}.model_info", env)
        self._own_params = own  # the identity is made of these: defaults may change around it
        self.params = {**defaults, **own}

    @staticmethod
    def _section(
        raw: Any, path: str, env: Mapping[str, str], untouched: frozenset[str] = _MOCKS
    ) -> dict[str, Any]:
        """A new dict without what is None (not given), its references resolved."""
        if not isinstance(raw, dict) or not all(isinstance(name, str) for name in raw):
            msg = f"{path} = {given(raw)}: must be a dict with names as keys"
            raise ConfigurationError(msg)
        return resolve(raw, path, env, untouched)

    def _refuse_unknown(self) -> None:
        for name in self.top:
            if name not in _TOP:
                msg = f"{self.path}: unknown field {quoted(name)}{did_you_mean(name, _TOP)}"
                raise ConfigurationError(msg)
        if "params" in self.top and "litellm_params" in self.top:
            msg = f"{self.path}: params and litellm_params are two names of one thing; give one of them"
            raise ConfigurationError(msg)

    def _group(self) -> str:
        group = self._name(self.top.get("model_name"), f"{self.path}.model_name")
        if group.count("*") > 1:
            msg = f"{self.path}.model_name = {quoted(group)}: at most one '*' may stand in a name"
            raise ConfigurationError(msg)
        return group

    @staticmethod
    def _name(value: Any, path: str) -> str:
        if value is None:
            msg = f"{path}: required"
            raise ConfigurationError(msg)
        if not _is_name(value):
            msg = f"{path} = {given(value)}: must be a printable text of 1 to {MAX_NAME_CHARS} characters"
            raise ConfigurationError(msg)
        return sys.intern(str(value))

    def text(self, name: str) -> str:
        """A required text among the parameters; taken out."""
        value = self.params.pop(name, None)
        close = nearest(name, self._own_params) if value is None else None
        if close is not None:
            msg = f"{self.params_path}.{name}: required; did you mean it by {quoted(close)}?"
            raise ConfigurationError(msg)
        return self._name(value, f"{self.params_path}.{name}")

    def stated_provider(self) -> str | None:
        stated = self.params.pop("custom_llm_provider", None)
        return None if stated is None else self._name(stated, f"{self.params_path}.custom_llm_provider")

    def values(self) -> dict[str, Any]:
        """The given values of the fields, unchecked; taken out of `params` and `info`."""
        self._refuse_foreign()
        values = {name: self.params.pop(name) for name in _PARAM_FIELDS if name in self.params}
        for name in READ_ANYWHERE:
            if name in self.top:
                values[name] = self.top[name]
            self._from_info(name, values)
        for name in OF_THE_MODEL:
            self._from_info(name, values)
        if values.get("api_key") == "":
            del values["api_key"]
        self._move_prices()
        return values

    def checked(self, values: dict[str, Any], provider: str) -> dict[str, Any]:
        """The values of the fields as they are to be, completed from the environment."""
        if "api_base" not in values:
            prefix = provider.upper().replace("-", "_")
            for name, suffix in FROM_ENVIRONMENT:
                found = self._env.get(f"{prefix}_{suffix}")
                if found:
                    values.setdefault(name, found)
        try:
            checked = {**_validate(values)}
        except ValidationError as error:
            raise self._wrong(error) from None
        if checked.get("max_budget") is not None:
            reset = checked.get("budget_reset")
            budget_of(checked["max_budget"], checked.get("budget_duration"), reset, self.params_path)
        return checked

    def _from_info(self, name: str, values: dict[str, Any]) -> None:
        value = self.info.pop(name, None)
        if value is not None:
            values.setdefault(name, value)

    def _refuse_foreign(self) -> None:
        for name in NOT_HERE.keys() & self.params.keys():
            if self.params.pop(name):
                msg = f"{self.params_path}.{name} is nothing this router has: {NOT_HERE[name]}"
                raise ConfigurationError(msg)
        for name in _OF_A_REQUEST & self.params.keys():
            if self.params.pop(name):
                msg = f"{self.params_path}.{name} is for requests; a router caches with cache_responses"
                raise ConfigurationError(msg)
        for name in self.params:
            if name.startswith("mock_") and name not in _MOCKS:
                hint = did_you_mean(name, _MOCKS)
                msg = f"{self.params_path}: unknown parameter {quoted(name)}{hint}"
                raise ConfigurationError(msg)

    def _move_prices(self) -> None:
        """Prices of any other kind describe the model; no provider is told them."""
        prices = {name: self.params.pop(name) for name in tuple(self.params) if "_cost" in name}
        check_prices(self.info, f"{self.path}.model_info")
        check_prices(prices, self.params_path)
        self.info = {**prices, **self.info}

    def _wrong(self, error: ValidationError) -> ConfigurationError:
        """The error under the path where the value stood."""
        field_name = str(error.errors(include_url=False, include_input=False)[0]["loc"][0])
        if field_name in self.top:
            owner = self.path
        elif field_name in self._own_params:
            owner = self.params_path
        elif field_name in (self.top.get("model_info") or ()):
            owner = f"{self.path}.model_info"
        elif field_name in self._defaults:
            owner = DEFAULTS_PATH
        else:
            owner = f"{self.path} (from the environment)"
        return configuration_error(error, owner=owner)

    def identity(self, taken: Mapping[str, str]) -> str:
        """The given id, or one made of the group and the parameters other than secrets."""
        stated = self.info.pop("id", None)
        if stated is not None:
            where = f"{self.path}.model_info.id"
            name = self._name(str(stated) if type(stated) is int else stated, where)
            if name in taken:
                msg = f"{where} = {quoted(name)}: {taken[name]} has this id already; ids must be unique"
                raise ConfigurationError(msg)
            return name
        made = self._digest()
        return made if made not in taken else _next_free(made, taken)

    def _digest(self) -> str:
        try:
            text = _IDENTITY.encode([self.group, without_secrets(self._own_params)])
        except (TypeError, ValueError, OverflowError, RecursionError):
            msg = f"{self.params_path}: must hold plain data (texts, numbers, lists, dicts with text keys)"
            raise ConfigurationError(msg) from None
        return hashlib.blake2b(text, digest_size=8).hexdigest()


def _is_name(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    return len(value) <= MAX_NAME_CHARS and value.isprintable() and bool(value.strip())


def _next_free(made: str, taken: Mapping[str, str]) -> str:
    """`made-N` for a free N: the lowest when none was freed in between; in logarithmic time."""
    low, high = 1, 2
    while f"{made}-{high}" in taken:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if f"{made}-{middle}" in taken:
            low = middle
        else:
            high = middle
    return f"{made}-{high}"
