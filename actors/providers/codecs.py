"""The codec for a deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...messages.errors import ConfigurationError
from .azure import AzureCodec
from .endpoints import AZURE, OPENAI_FORMAT
from .openai import OpenAICodec

if TYPE_CHECKING:
    from ...messages.deployment import Deployment
    from .wire import Codec

__all__ = ["codec_for"]


def codec_for(deployment: Deployment) -> Codec:
    """The codec of a deployment's provider, built for it.

    Raises:
        ConfigurationError: its provider's wire format is not built yet, or the deployment lacks
            what the provider needs.
    """
    provider = deployment.provider
    if provider in AZURE:
        return AzureCodec(deployment)
    if provider in OPENAI_FORMAT:
        return OpenAICodec(deployment)
    speaks = ", ".join(sorted([*OPENAI_FORMAT, *AZURE]))
    msg = (
        f"deployment {deployment.id}: provider {provider!r} has a wire format that is not built yet; "
        f"until then it can only be mocked (built: {speaks})"
    )
    raise ConfigurationError(msg)
