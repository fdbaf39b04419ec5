"""What a router is told once: its settings and its deployments.

(Being filled in: parsing and validation. The fields of `Deployment` are fixed.)
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SecretStr

__all__ = ["Deployment"]


class Deployment(BaseModel):
    """One endpoint that can answer. Frozen; its key is a `SecretStr` and never printed."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, protected_namespaces=())

    id: str
    model_name: str
    provider: str
    model: str
    api_key: SecretStr | None = None
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
    mode: Literal["chat", "completion", "embedding"] | str = "chat"
    base_model: str | None = None
    input_cost_per_token: float | None = None
    output_cost_per_token: float | None = None
    max_input_tokens: int | None = None
    mock_response: Any = None
    mock_delay: float = 0.0
    mock_timeout: bool = False
    mock_tool_calls: list[Any] | None = None
    wire: dict[str, Any] = {}
    """Other `litellm_params` (temperature, extra_headers, organization, ...): defaults of every call."""
    model_info: dict[str, Any] = {}
