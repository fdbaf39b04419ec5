"""One `model_list` entry as it was written, taken apart; all that is wrong with it is told together. Pure."""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING, Any

import msgspec
from pydantic import ValidationError

from .budgets import budget_of
from .deployment import OF_THE_MODEL
from .deployment_fields import (
    MOCKS,
    NOT_HERE,
    OF_A_REQUEST,
    PARAM_FIELDS,
    READ_ANYWHERE,
    SECTIONS,
    TOP,
    renamed,
    validate,
)
from .environment import resolve
from .errors import ConfigurationError
from .health_rules import wrong_health_rules
from .prices import wrong_prices
from .problems import Complaints, configuration_error, did_you_mean, given, nearest, quoted
from .redaction import hide_url_secrets, without_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULTS_PATH", "RawEntry"]

MAX_NAME_CHARS = 512
"""Of a model name, a group or an id: they stand in events, lines and errors."""

DEFAULTS_PATH = "default_litellm_params"

FROM_ENVIRONMENT = (("api_key", "API_KEY"), ("api_base", "API_BASE"), ("api_version", "API_VERSION"))
"""Without an `api_base`, what is not given comes from `OPENAI_API_KEY`, `AZURE_API_BASE` and the like.

With one, nothing does: a provider's own key must not reach whoever stands behind another address.
"""


def _named(value: Any) -> str:
    """What stands in an identity for a live object: its kind, and the text of an exception."""
    if isinstance(value, type):
        return value.__qualname__
    name = type(value).__qualname__
    return f"{name}: {hide_url_secrets(str(value))}" if isinstance(value, BaseException) else name


_IDENTITY = msgspec.json.Encoder(order="deterministic", enc_hook=_named)


class RawEntry:
    """One raw entry, taken apart: `params` and `info` lose what the methods take out of them.

    What is wrong is gathered in `wrong`, for whoever has asked for all of it; only an entry that cannot be
    taken apart is an error at once.
    """

    __slots__ = (
        "_defaults",
        "_env",
        "_own_params",
        "group",
        "info",
        "params",
        "params_path",
        "path",
        "top",
        "wrong",
    )

    def __init__(self, raw: Any, path: str, defaults: Mapping[str, Any], env: Mapping[str, str]) -> None:
        self.path = path
        self.wrong = Complaints()
        self._env = env
        self._defaults = defaults
        self.top = self._section(raw, path, env, SECTIONS)
        self._refuse_unknown()
        self.group, own = "", None
        with self.wrong:
            self.group = self._group()
        name = "params" if "params" in self.top else "litellm_params"
        self.params_path = f"{path}.{name}"
        if name not in self.top:
            self.wrong.add(f"{path}: litellm_params are required (at least their model)")
        else:
            with self.wrong:
                own = renamed(self._section(self.top[name], self.params_path, env))
        self.info: dict[str, Any] = {}
        with self.wrong:
            self.info = self._section(self.top.get("model_info") or {}, f"{path}.model_info", env)
        if own is None:
            self.wrong.tell()
            own = {}
        self._own_params = own  # the identity is made of these: defaults may change around it
        self.params = {**defaults, **own}

    @staticmethod
    def _section(
        raw: Any, path: str, env: Mapping[str, str], untouched: frozenset[str] = MOCKS
    ) -> dict[str, Any]:
        """A new dict without what is None (not given), its references resolved."""
        if not isinstance(raw, dict) or not all(isinstance(name, str) for name in raw):
            msg = f"{path} = {given(raw)}: must be a dict with names as keys"
            raise ConfigurationError(msg)
        return resolve(raw, path, env, untouched)

    def _refuse_unknown(self) -> None:
        for name in self.top:
            if name not in TOP:
                self.wrong.add(f"{self.path}: unknown field {quoted(name)}{did_you_mean(name, TOP)}")
        if "params" in self.top and "litellm_params" in self.top:
            self.wrong.add(
                f"{self.path}: params and litellm_params are two names of one thing; give one of them"
            )

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
        values = {name: self.params.pop(name) for name in PARAM_FIELDS if name in self.params}
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
        if provider and "api_base" not in values:
            prefix = provider.upper().replace("-", "_")
            for name, suffix in FROM_ENVIRONMENT:
                found = self._env.get(f"{prefix}_{suffix}")
                if found:
                    values.setdefault(name, found)
        checked: dict[str, Any] = {}
        with self.wrong:
            try:
                checked = {**validate(values)}
            except ValidationError as error:
                raise configuration_error(error, owner=self._owner) from None
            if checked.get("max_budget") is not None:
                reset = checked.get("budget_reset")
                budget_of(checked["max_budget"], checked.get("budget_duration"), reset, self.params_path)
        self.wrong.add(*wrong_health_rules(self.info, f"{self.path}.model_info"))
        return checked

    def _from_info(self, name: str, values: dict[str, Any]) -> None:
        value = self.info.pop(name, None)
        if value is not None:
            values.setdefault(name, value)

    def _refuse_foreign(self) -> None:
        for name in NOT_HERE.keys() & self.params.keys():
            if self.params.pop(name):
                self.wrong.add(f"{self.params_path}.{name} is nothing this router has: {NOT_HERE[name]}")
        for name in OF_A_REQUEST & self.params.keys():
            if self.params.pop(name):
                self.wrong.add(
                    f"{self.params_path}.{name} is for requests; a router caches with cache_responses"
                )
        for name in self.params:
            if name.startswith("mock_") and name not in MOCKS:
                hint = did_you_mean(name, MOCKS)
                self.wrong.add(f"{self.params_path}: unknown parameter {quoted(name)}{hint}")

    def _move_prices(self) -> None:
        """Prices of any other kind describe the model; no provider is told them."""
        prices = {name: self.params.pop(name) for name in tuple(self.params) if "_cost" in name}
        self.wrong.add(*wrong_prices(self.info, f"{self.path}.model_info"))
        self.wrong.add(*wrong_prices(prices, self.params_path))
        self.info = {**prices, **self.info}

    def _owner(self, field_name: str) -> str:
        """The path of what holds this field."""
        if field_name in self.top:
            return self.path
        if field_name in self._own_params:
            return self.params_path
        if field_name in (self.top.get("model_info") or ()):
            return f"{self.path}.model_info"
        if field_name in self._defaults:
            return DEFAULTS_PATH
        return f"{self.path} (from the environment)"

    def identity(self, taken: Mapping[str, str]) -> str:
        """The given id, or one made of the group and the parameters other than secrets."""
        with self.wrong:
            stated = self.info.pop("id", None)
            if stated is not None:
                where = f"{self.path}.model_info.id"
                name = self._name(str(stated) if type(stated) is int else stated, where)
                if name in taken:
                    self.wrong.add(
                        f"{where} = {quoted(name)}: {taken[name]} has this id already; ids must be unique"
                    )
                return name
            made = self._digest()
            return made if made not in taken else _next_free(made, taken)
        return ""

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
