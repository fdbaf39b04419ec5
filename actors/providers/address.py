"""Where a deployment is asked, and with which key: OpenAI's addresses and Azure's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

import httpx

from ...messages.errors import ConfigurationError
from .endpoints import OPENAI_FORMAT

if TYPE_CHECKING:
    from ...messages.deployment import Deployment

__all__ = ["CHAT", "DEFAULT_API_VERSION", "Address", "AzureAddress", "OpenAIAddress"]

CHAT = "/chat/completions"
MODERATIONS = "/moderations"

DEFAULT_API_VERSION = "2024-10-21"
"""The newest stable version of Azure's dated API."""

V1 = "/openai/v1"


class Address(Protocol):
    """Where one deployment is reached."""

    def url(self, path: str, model: str) -> httpx.URL:
        """Where this model is asked for what is at `path`, such as `/embeddings`.

        Raises:
            ConfigurationError: there is no address, or it is no HTTP address.
        """

    def authorization(self) -> tuple[bytes, bytes] | None:
        """The header that holds the key; None without a key, as local servers have it."""


class OpenAIAddress:
    """That of OpenAI or of somebody compatible.

    `api_base` may end in the path of the very endpoint that is asked, or of chat completions.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    def url(self, path: str, model: str) -> httpx.URL:
        url = _base_url(self._deployment)
        return _with_path(url, _bare(_raw_path(url), path) + path)

    def authorization(self) -> tuple[bytes, bytes] | None:
        key = self._deployment.api_key
        if key is None or not key.get_secret_value():
            return None
        return b"authorization", b"Bearer " + _key_bytes(self._deployment, key.get_secret_value())


class AzureAddress:
    """That of an Azure resource: the model in the path, the version in the query, a header for the key.

    `api_base` may be the resource (`https://x.openai.azure.com`), the deployment's own address
    (`.../openai/deployments/d`) or the undated API (`.../openai/v1`), each with or without a slash
    at its end or the endpoint's path.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    def url(self, path: str, model: str) -> httpx.URL:
        url = _base_url(self._deployment)
        base = _bare(_raw_path(url), path)
        version = self._deployment.api_version
        if not base.endswith(V1):
            if path == MODERATIONS:  # it has no deployments of these
                base = f"{base.partition('/openai')[0]}/openai"
            elif "/openai/deployments/" not in base:
                base = f"{base.removesuffix('/openai')}/openai/deployments/{quote(model, safe='')}"
            version = version or url.params.get("api-version") or DEFAULT_API_VERSION
        if version:
            url = url.copy_set_param("api-version", version)
        return _with_path(url, base + path)

    def authorization(self) -> tuple[bytes, bytes] | None:
        token = self._deployment.wire.get("azure_ad_token")
        if isinstance(token, str) and token:
            return b"authorization", b"Bearer " + _key_bytes(self._deployment, token)
        key = self._deployment.api_key
        if key is None or not key.get_secret_value():
            return None
        return b"api-key", _key_bytes(self._deployment, key.get_secret_value())


def _base_url(deployment: Deployment) -> httpx.URL:
    """A deployment's `api_base`, else its provider's own address."""
    endpoint = OPENAI_FORMAT.get(deployment.provider)
    base = deployment.api_base or (endpoint.base if endpoint is not None else None)
    where = f"deployment {deployment.id}"
    if base is None:
        which = f"{deployment.model!r} in {deployment.model_name!r}"
        msg = f"{where}: provider {deployment.provider} needs an api_base ({which})"
        raise ConfigurationError(msg)
    try:
        url = httpx.URL(base.strip())
    except httpx.InvalidURL:
        msg = f"{where}: api_base is not a URL"
        raise ConfigurationError(msg) from None
    if url.scheme not in ("http", "https") or not url.host:
        msg = f"{where}: api_base must begin with http:// or https:// and name a host"
        raise ConfigurationError(msg)
    if url.userinfo:
        msg = f"{where}: api_base may hold no user or password; use api_key or extra_headers"
        raise ConfigurationError(msg)
    return url.copy_with(fragment=None)


def _bare(base: str, path: str) -> str:
    """The base without the endpoint that somebody copied along with it."""
    return base.removesuffix(CHAT if base.endswith(CHAT) else path)


def _with_path(url: httpx.URL, path: str) -> httpx.URL:
    """The URL with this (already quoted) path, its query kept."""
    query = f"?{url.query.decode()}" if url.query else ""
    return url.copy_with(raw_path=f"{path}{query}".encode())


def _raw_path(url: httpx.URL) -> str:
    """The path as it is written, without a slash at its end and without the query."""
    return url.raw_path.partition(b"?")[0].decode().rstrip("/")


def _key_bytes(deployment: Deployment, key: str) -> bytes:
    """A key as it stands in a header.

    Raises:
        ConfigurationError: it would break out of its line. The text does not show it.
    """
    if not (key.isascii() and key.isprintable()):
        msg = f"deployment {deployment.id}: the api_key must be printable ASCII"
        raise ConfigurationError(msg)
    return key.encode()
