"""One endpoint that can answer.

An attrs value and not a pydantic model: a router may hold 10,000 of them, and this way one costs a
fraction of the memory. What a user writes is validated by pydantic, in :mod:`.deployments`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, fields, frozen
from pydantic import SecretStr

from .budgets import BudgetRule, budget_of
from .modes import mode_of
from .redaction import public

if TYPE_CHECKING:
    from .fallbacks import FallbackTarget

__all__ = ["OF_THE_MODEL", "Deployment"]

OF_THE_MODEL = (
    "base_model", "input_cost_per_token", "max_batch_size", "max_input_tokens", "mode",
    "output_cost_per_token",
)  # fmt: skip
"""Fields that say what the model is; written as `model_info`."""


MAX_BATCH = 2048
"""Inputs of one embedding call, where the deployment does not say: what OpenAI and Azure take."""


def _secret(value: SecretStr | str | None) -> SecretStr | None:
    return SecretStr(value) if isinstance(value, str) else value


@frozen(repr=False)
class Deployment:
    """One endpoint that can answer. Its `repr` shows no key, header or parameter.

    What stands below a field is its line in `docs/settings.md`.
    """

    id: str
    """In `model_info`; else made of the group and the parameters other than secrets, so it survives a
    restart and a new key."""
    model_name: str
    """The group; one `*` makes it a wildcard."""
    provider: str
    """Written as `custom_llm_provider` where the prefix does not say it."""
    model: str
    """`provider/model`; the provider may be left out where the name tells it, or with `api_base`. A `*`
    stands for what the group's matched."""
    api_key: SecretStr | None = field(default=None, converter=_secret)
    """Without an `api_base`, else from `<PROVIDER>_API_KEY`."""
    api_base: str | None = None
    """Any OpenAI-compatible server; else from `<PROVIDER>_API_BASE`, else the provider's own."""
    api_version: str | None = None
    """The version of Azure's interface."""
    rpm: int | None = None
    """Requests in any 60 s."""
    tpm: int | None = None
    """Tokens in any 60 s, reserved at the start of a call and settled at its end."""
    weight: float | None = None
    """Its share of the requests under `simple-shuffle`."""
    max_parallel_requests: int | None = None
    """Open calls at one time."""
    order: int | None = None
    """Lower goes first; the next only when no lower one may be used; those without go last."""
    tags: tuple[str, ...] = ()
    """For requests with one of these (`enable_tag_filtering`); `"default"`: for those without."""
    timeout: float | None = None
    """Seconds for one attempt."""
    stream_timeout: float | None = None
    """Seconds to the first chunk and between chunks."""
    region_name: str | None = None
    """Where it is; else what `vertex_location`, `aws_region_name` or a watsonx address says. For requests
    with an `allowed_model_region`."""
    num_retries: int | None = None
    """In place of the router's, after a failure here."""
    fallbacks: tuple[FallbackTarget, ...] = ()
    """Groups to try when it has failed, before those of its group: `["small"]`."""
    context_window_fallbacks: tuple[FallbackTarget, ...] = ()
    """The same for prompts that are too long; written as `context_window_fallback_dict`,
    `{"gpt-3.5-turbo": "gpt-3.5-turbo-16k"}`, under the name of its group or its model."""
    cooldown_time: float | None = None
    """Seconds, in place of the router's."""
    max_budget: float | None = None
    """US dollars that its calls may cost in `budget_duration`; see [Budgets](semantics.md#budgets)."""
    budget_duration: str | None = None
    """`"1h"`, `"1d"`, `"1w"`, `"1mo"`, ...; without one a budget never resets."""
    budget_reset: str | None = None
    """`"calendar"`, as without one: it begins anew at midnight UTC and the like; or `"rolling"`: the time
    just past."""
    mode: str = "chat"
    """What it is for; a well-known name of its `base_model` or `model` tells it as well (`dall-e-3` is
    `"image_generation"`). With `"embedding"` the output price may be missing."""
    base_model: str | None = None
    """`"azure/gpt-4-1106-preview"`: the name to look up prices and the context window under."""
    input_cost_per_token: float | None = None
    """US dollars for one token of the prompt; else from the price data, with the extra `prices`.
    Other kinds of price: see [Cost](semantics.md#cost)."""
    output_cost_per_token: float | None = None
    """US dollars for one token of the answer."""
    max_input_tokens: int | None = None
    """Its context window; else that of its `base_model` or `model` in the price data. Asked before a call
    with `enable_pre_call_checks`, and of a stand-in (`substitutes`)."""
    max_batch_size: int | None = None
    """Inputs of one embedding call, 2048 if not said; a longer list is divided."""
    drop_params: bool = False
    """Leave out of what is sent the parameters that it is known not to support."""
    additional_drop_params: tuple[str, ...] = ()
    """Parameters that are left out of what is sent."""
    mock_response: Any = None
    """Answers without a provider: a text, a dict or `ModelResponse`, an error or its class,
    `"litellm.RateLimitError"`."""
    mock_delay: float = 0.0
    """Seconds before the mock answer."""
    mock_timeout: bool = False
    """Never answer."""
    mock_tool_calls: list[Any] | None = None
    """Tool calls of the mock answer."""
    wire: dict[str, Any] = field(factory=dict)
    """Everything else among the parameters."""
    model_info: dict[str, Any] = field(factory=dict)
    """Everything else in `model_info`."""

    @property
    def batch(self) -> int:
        """Inputs that one call may have."""
        return self.max_batch_size or MAX_BATCH

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<Deployment {self.model_name}/{self.id} · {self.provider}/{self.model}>"

    @property
    def budget(self) -> BudgetRule | None:
        """Its own budget."""
        if self.max_budget is None:
            return None
        return budget_of(self.max_budget, self.budget_duration, self.budget_reset, f"deployment {self.id}")

    def _public_fallbacks(self) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        if self.fallbacks:
            shown["fallbacks"] = [target.public() for target in self.fallbacks]
        if self.context_window_fallbacks:
            larger = [target.public() for target in self.context_window_fallbacks]
            shown["context_window_fallback_dict"] = {self.model_name: larger}
        return shown

    def public_config(self) -> dict[str, Any]:
        """Its `model_list` entry as plain JSON-able data: keys masked, mock answers named by type."""
        params: dict[str, Any] = {"model": f"{self.provider}/{self.model}"}
        for name, unset in _PARAMS:
            value = getattr(self, name)
            if value != unset:
                params[name] = public(value, name)
        params.update(self._public_fallbacks())
        params.update((name, public(value, name)) for name, value in self.wire.items())
        info: dict[str, Any] = {"id": self.id}
        for name, unset in (*_INFO, ("mode", mode_of(self.base_model or self.model))):
            if (value := getattr(self, name)) != unset:
                info[name] = value
        info.update((name, public(value, name)) for name, value in self.model_info.items())
        return {"model_name": self.model_name, "litellm_params": params, "model_info": info}


_IDENTITY = {"id", "model_name", "provider", "model", "wire", "model_info"}
_FALLBACKS = {"fallbacks", "context_window_fallbacks"}
_UNSET = {attribute.name: attribute.default for attribute in fields(Deployment)}
_INFO = tuple((name, _UNSET[name]) for name in OF_THE_MODEL if name != "mode")
_PARAMS = tuple(
    (name, _UNSET[name]) for name in _UNSET if name not in _IDENTITY.union(OF_THE_MODEL, _FALLBACKS)
)
