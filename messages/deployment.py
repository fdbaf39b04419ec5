"""One endpoint that can answer.

An attrs value and not a pydantic model: a router may hold 10,000 of them, and this way one costs a
fraction of the memory. What a user writes is validated by pydantic, in :mod:`.deployments`.
"""

from __future__ import annotations

from typing import Any

from attrs import field, fields, frozen
from pydantic import SecretStr

from .redaction import public

__all__ = ["OF_THE_MODEL", "Deployment"]

OF_THE_MODEL = ("base_model", "input_cost_per_token", "max_input_tokens", "mode", "output_cost_per_token")
"""Fields that say what the model is; written as `model_info`."""


def _secret(value: SecretStr | str | None) -> SecretStr | None:
    return SecretStr(value) if isinstance(value, str) else value


@frozen(repr=False)
class Deployment:
    """One endpoint that can answer. Its `repr` shows no key, header or parameter.

    Attributes:
        id: unique in a router.
        model_name: its model group; at most one `*`, which makes the group a wildcard.
        provider, model: who is asked, for what; a `*` in `model` stands for what the group's matched.
        rpm, tpm: requests and tokens in any 60 s; None is no limit.
        weight: its share under `simple-shuffle`.
        order: lower goes first.
        timeout, stream_timeout: seconds for one attempt, and to the first and between chunks.
        num_retries, cooldown_time: its own, before the router's.
        wire: other parameters (temperature, extra_headers, organization, ...): defaults of every call.
        model_info: what else is known of the model.
    """

    id: str
    model_name: str
    provider: str
    model: str
    api_key: SecretStr | None = field(default=None, converter=_secret)
    api_base: str | None = None
    api_version: str | None = None
    rpm: int | None = None
    tpm: int | None = None
    weight: float | None = None
    max_parallel_requests: int | None = None
    order: int | None = None
    tags: tuple[str, ...] = ()
    timeout: float | None = None
    stream_timeout: float | None = None
    region_name: str | None = None
    num_retries: int | None = None
    cooldown_time: float | None = None
    mode: str = "chat"
    base_model: str | None = None
    input_cost_per_token: float | None = None
    output_cost_per_token: float | None = None
    max_input_tokens: int | None = None
    mock_response: Any = None
    mock_delay: float = 0.0
    mock_timeout: bool = False
    mock_tool_calls: list[Any] | None = None
    wire: dict[str, Any] = field(factory=dict)
    model_info: dict[str, Any] = field(factory=dict)

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<Deployment {self.model_name}/{self.id} · {self.provider}/{self.model}>"

    def public_config(self) -> dict[str, Any]:
        """Its `model_list` entry as plain JSON-able data: keys masked, mock answers named by type."""
        params: dict[str, Any] = {"model": f"{self.provider}/{self.model}"}
        for name, unset in _PARAMS:
            value = getattr(self, name)
            if value != unset:
                params[name] = public(value, name)
        params.update((name, public(value, name)) for name, value in self.wire.items())
        info: dict[str, Any] = {"id": self.id}
        for name, unset in _INFO:
            if (value := getattr(self, name)) != unset:
                info[name] = value
        info.update((name, public(value, name)) for name, value in self.model_info.items())
        return {"model_name": self.model_name, "litellm_params": params, "model_info": info}


_IDENTITY = {"id", "model_name", "provider", "model", "wire", "model_info"}
_UNSET = {attribute.name: attribute.default for attribute in fields(Deployment)}
_INFO = tuple((name, _UNSET[name]) for name in OF_THE_MODEL)
_PARAMS = tuple((name, _UNSET[name]) for name in _UNSET if name not in _IDENTITY.union(OF_THE_MODEL))
