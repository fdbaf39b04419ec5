"""Which provider speaks what, and where it lives. Pure data.

A provider that is not here has a wire format of its own, which comes with a codec of its own.
"""

from __future__ import annotations

from attrs import frozen

__all__ = ["AZURE", "OPENAI_FORMAT", "Endpoint"]


@frozen
class Endpoint:
    """An OpenAI-compatible provider.

    Attributes:
        base: its URL up to `/chat/completions`; None when only its user knows.
        asks_usage: whether it takes `stream_options`; one that does not tells usage unasked.
    """

    base: str | None = None
    asks_usage: bool = True


AZURE = frozenset({"azure"})

OPENAI_FORMAT: dict[str, Endpoint] = {
    "openai": Endpoint("https://api.openai.com/v1"),
    "cerebras": Endpoint("https://api.cerebras.ai/v1"),
    "dashscope": Endpoint("https://dashscope-intl.aliyuncs.com/compatible-mode/v1"),
    "deepinfra": Endpoint("https://api.deepinfra.com/v1/openai"),
    "deepseek": Endpoint("https://api.deepseek.com/v1"),
    "featherless_ai": Endpoint("https://api.featherless.ai/v1"),
    "fireworks_ai": Endpoint("https://api.fireworks.ai/inference/v1"),
    "groq": Endpoint("https://api.groq.com/openai/v1"),
    "hyperbolic": Endpoint("https://api.hyperbolic.xyz/v1"),
    "lambda_ai": Endpoint("https://api.lambda.ai/v1"),
    "mistral": Endpoint("https://api.mistral.ai/v1", asks_usage=False),
    "moonshot": Endpoint("https://api.moonshot.ai/v1"),
    "nebius": Endpoint("https://api.studio.nebius.ai/v1"),
    "novita": Endpoint("https://api.novita.ai/v3/openai"),
    "nvidia_nim": Endpoint("https://integrate.api.nvidia.com/v1"),
    "openrouter": Endpoint("https://openrouter.ai/api/v1"),
    "perplexity": Endpoint("https://api.perplexity.ai", asks_usage=False),
    "sambanova": Endpoint("https://api.sambanova.ai/v1"),
    "together_ai": Endpoint("https://api.together.xyz/v1"),
    "xai": Endpoint("https://api.x.ai/v1"),
    "ollama": Endpoint("http://localhost:11434/v1"),
    "ollama_chat": Endpoint("http://localhost:11434/v1"),
    "lm_studio": Endpoint("http://localhost:1234/v1"),
    "custom_openai": Endpoint(),
    "databricks": Endpoint(),
    "hosted_vllm": Endpoint(),
    "litellm_proxy": Endpoint(),
    "llamafile": Endpoint(),
    "openai_compatible": Endpoint(),
    "openai_like": Endpoint(),
    "vllm": Endpoint(),
    "xinference": Endpoint(),
}
