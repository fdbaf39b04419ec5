"""What of a deployment's and a request's parameters goes into the body, and what into the headers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
from pydantic import BaseModel

from ...messages.capabilities import dropped
from ...messages.errors import BadRequestError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...messages.deployment import Deployment
    from ...messages.requests import Request

__all__ = [
    "as_json",
    "deployment_defaults",
    "header_pairs",
    "refuse_deployment_params",
    "split_params",
    "without_dropped",
]

_HEADER_PARAMS = frozenset({"extra_headers", "organization"})
_OF_THE_DEPLOYMENT = ("api_base", "api_key", "api_version", "azure_ad_token", "base_url")
"""In a request these would end in the provider's body, and a key with them."""

_NOT_SENT = frozenset({"aws_region_name", "azure_ad_token", "vertex_location", "vertex_project"})
"""Parameters of a deployment that say who and where it is."""

_HEADER_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
_CREDENTIALS = ("azure_password", "azure_username", "client_id", "client_secret", "tenant_id")


def split_params(params: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[bytes, bytes]]]:
    """(what goes into the body, headers). `params` may be changed; None means not given.

    Raises:
        BadRequestError: a header that is none.
    """
    extra = params.pop("extra_body", None)
    headers = [] if _HEADER_PARAMS.isdisjoint(params) else _headers_of(params)
    params = {name: value for name, value in params.items() if value is not None}
    if extra is not None:
        if not isinstance(extra, dict):
            msg = f"extra_body must be a dict of parameters, not {type(extra).__name__}"
            raise BadRequestError(msg)
        params.update(extra)
    return params, headers


def without_dropped(params: dict[str, Any], deployment: Deployment, request: Request) -> dict[str, Any]:
    """`params` without those that the deployment does not take, where that is asked for (`drop_params`)."""
    drops = deployment.drop_params if request.drop_params is None else request.drop_params
    if not drops and not deployment.additional_drop_params:
        return params
    gone = dropped(deployment, params, unsupported=drops)
    return {name: value for name, value in params.items() if name not in gone} if gone else params


def refuse_deployment_params(params: Mapping[str, Any]) -> None:
    """A request may not say where to go or with which key.

    Raises:
        BadRequestError: it does; names the parameter.
    """
    for name in _OF_THE_DEPLOYMENT:
        if name in params:
            msg = f"{name} belongs to a deployment; a request cannot set it"
            raise BadRequestError(msg)


def deployment_defaults(deployment: Deployment) -> tuple[dict[str, Any], list[tuple[bytes, bytes]]]:
    """The same split for the parameters that every call of a deployment starts from.

    Raises:
        ConfigurationError: a wrong header, or a way to sign in that is not built.
    """
    for name in _CREDENTIALS:
        if name in deployment.wire:
            msg = f"deployment {deployment.id}: {name} is not supported; use api_key or azure_ad_token"
            raise ConfigurationError(msg)
    params = {name: value for name, value in deployment.wire.items() if name not in _NOT_SENT}
    try:
        return split_params(params)
    except BadRequestError as error:
        msg = f"deployment {deployment.id}: {error.message}"
        raise ConfigurationError(msg) from None


def _headers_of(params: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    headers: dict[str, Any] = {}
    organization = params.pop("organization", None)
    if organization is not None:
        headers["openai-organization"] = organization
    extra = params.pop("extra_headers", None)
    if extra is not None:
        if not isinstance(extra, dict):
            msg = f"extra_headers must be a dict of names and texts, not {type(extra).__name__}"
            raise BadRequestError(msg)
        headers.update(extra)
    return header_pairs(headers)


def header_pairs(headers: Mapping[Any, Any]) -> list[tuple[bytes, bytes]]:
    """Headers as bytes.

    Raises:
        BadRequestError: a name or value that would break out of its line, or is no text.
    """
    pairs = []
    for name, value in headers.items():
        if not (isinstance(name, str) and _HEADER_NAME.fullmatch(name)):
            msg = "extra_headers: a header name must be letters, digits, '-' and '_'"
            raise BadRequestError(msg)
        if not (isinstance(value, str) and value.isascii() and value.isprintable()):
            msg = f"extra_headers: the value of {name[:60]} must be printable ASCII text"
            raise BadRequestError(msg)
        pairs.append((name.encode(), value.encode()))
    return pairs


def _plain(value: Any) -> Any:
    """What msgspec does not know: pydantic models, as users hand in messages and tools."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True, by_alias=True)
    raise TypeError


_encode = msgspec.json.Encoder(enc_hook=_plain).encode


def as_json(params: dict[str, Any]) -> bytes:
    """The body.

    Raises:
        BadRequestError: a parameter is no JSON; names it.
    """
    try:
        return _encode(params)
    except (TypeError, ValueError, OverflowError, RecursionError):
        msg = f"{_culprit(params)} cannot be written as JSON"
        raise BadRequestError(msg) from None


def _culprit(params: dict[str, Any]) -> str:
    for name, value in params.items():
        try:
            _encode(value)
        except (TypeError, ValueError, OverflowError, RecursionError):
            return f"parameter {name[:60]!r}"
    return "the name of a parameter"
