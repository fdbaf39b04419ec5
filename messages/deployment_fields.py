"""What may stand in a `model_list` entry, where, and of which kind. Pure."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, SecretStr, TypeAdapter
from typing_extensions import TypedDict  # pydantic asks for it below Python 3.12

from .fallbacks import FallbackTable, FallbackTarget, parse_fallback_dict, parse_targets
from .policies import Count, Retries, Seconds

__all__ = [
    "ALIASES",
    "MOCKS",
    "NOT_HERE",
    "OF_A_REQUEST",
    "PARAM_FIELDS",
    "READ_ANYWHERE",
    "SECTIONS",
    "TOP",
    "renamed",
    "validate",
]

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


class Fields(TypedDict, total=False):
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


validate = TypeAdapter(Fields).validate_python

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

OF_A_REQUEST = frozenset({"cache", "caching"})

SECTIONS = frozenset({"litellm_params", "params", "model_info"})
TOP = frozenset({"model_name", *SECTIONS, *READ_ANYWHERE})
PARAM_FIELDS = frozenset(Fields.__annotations__)
MOCKS = frozenset(name for name in PARAM_FIELDS if name.startswith("mock_"))


def renamed(params: dict[str, Any]) -> dict[str, Any]:
    """`params` (changed in place) with other names for our fields replaced; our own name wins."""
    for alias, name in ALIASES.items():
        if alias in params:
            params.setdefault(name, params.pop(alias))
    return params
