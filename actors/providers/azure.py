"""Azure OpenAI: OpenAI's bodies under other addresses, with another header for the key."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from .openai import CHAT, OpenAICodec, base_url, key_bytes, raw_path, with_path

if TYPE_CHECKING:
    import httpx

__all__ = ["DEFAULT_API_VERSION", "AzureCodec"]

DEFAULT_API_VERSION = "2024-10-21"
"""The newest stable version of the dated API."""

V1 = "/openai/v1"


class AzureCodec(OpenAICodec):
    """Chat completions of one Azure deployment.

    `api_base` may be the resource (`https://x.openai.azure.com`), the deployment's own address
    (`.../openai/deployments/d`) or the undated API (`.../openai/v1`), each with or without a slash
    at its end or `/chat/completions`.
    """

    def url_for(self, model: str) -> httpx.URL:
        url = base_url(self._deployment)
        path = raw_path(url).removesuffix(CHAT)
        version = self._deployment.api_version
        if not path.endswith(V1):
            if "/openai/deployments/" not in path:
                path = f"{path.removesuffix('/openai')}/openai/deployments/{quote(model, safe='')}"
            version = version or url.params.get("api-version") or DEFAULT_API_VERSION
        if version:
            url = url.copy_set_param("api-version", version)
        return with_path(url, path + CHAT)

    def authorization(self) -> tuple[bytes, bytes] | None:
        token = self._deployment.wire.get("azure_ad_token")
        if isinstance(token, str) and token:
            return b"authorization", b"Bearer " + key_bytes(self._deployment, token)
        key = self._deployment.api_key
        if key is None or not key.get_secret_value():
            return None
        return b"api-key", key_bytes(self._deployment, key.get_secret_value())
