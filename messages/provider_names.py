"""Which provider a deployment's `model` speaks of.

`azure/my-deployment` names it; `gpt-4o` implies it; `my-org/my-model` with an `api_base` is a model
of some OpenAI-compatible server. Knowing a provider's name is not yet speaking its wire format:
that is asked of the codecs when a router starts.
"""

from __future__ import annotations

import sys

from .errors import ConfigurationError
from .problems import did_you_mean, quoted

__all__ = ["KNOWN_PROVIDERS", "OPENAI_COMPATIBLE", "split_model"]

OPENAI_COMPATIBLE = "openai_compatible"
"""The provider of a deployment that has an `api_base` and no provider of its own."""

KNOWN_PROVIDERS = frozenset(
    f"""
    {OPENAI_COMPATIBLE} custom_openai openai_like text-completion-openai openai azure azure_ai azure_text
    anthropic anthropic_text gemini vertex_ai palm bedrock sagemaker sagemaker_chat cohere cohere_chat mistral
    codestral text-completion-codestral groq together_ai deepseek xai openrouter perplexity fireworks_ai
    ollama ollama_chat hosted_vllm vllm lm_studio llamafile xinference oobabooga petals triton infinity
    huggingface replicate deepinfra anyscale ai21 ai21_chat aleph_alpha baseten cerebras clarifai cloudflare
    cometapi dashscope databricks datarobot deepgram elevenlabs empower featherless_ai friendliai galadriel
    github github_copilot gradient_ai heroku hyperbolic jina_ai lambda_ai lemonade litellm_proxy maritalk
    meta_llama moonshot morph nebius nlp_cloud novita nscale nvidia_nim oci ovhcloud predibase
    sambanova snowflake topaz v0 vercel_ai_gateway volcengine voyage wandb watsonx watsonx_text zai
    """.split()
)
"""Prefixes that name a provider, as users of such routers write them."""

_IMPLIED = (
    (("gpt-", "o1", "o3", "text-embedding-", "dall-e", "whisper", "tts-"), "openai"),
    (("omni-moderation-", "text-moderation-"), "openai"),
    (("claude-",), "anthropic"),
    (("gemini-",), "gemini"),
    (("command-",), "cohere"),
    (("mistral-",), "mistral"),
)
_LIST = ", ".join(sorted(KNOWN_PROVIDERS))


def split_model(model: str, stated: str | None, *, has_api_base: bool, path: str) -> tuple[str, str]:
    """(provider, the provider's own name of the model).

    `stated` is `custom_llm_provider`: it is the user's plain word and so wins over a prefix. A
    prefix that is no provider belongs to the name, which only makes sense with an `api_base`.

    Raises:
        ConfigurationError: no provider can be told; lists those there are.
    """
    prefix, slash, rest = model.partition("/")
    if stated is not None:
        provider = _known(stated, f"{path}.custom_llm_provider")
        name = rest if slash and prefix == stated else model
    elif slash and prefix in KNOWN_PROVIDERS:
        provider, name = prefix, rest
    else:
        provider, name = _implied(model) or _compatible(model, path, has_api_base=has_api_base), model
    if not name:
        msg = f"{path}.model = {quoted(model)}: a model name must follow the provider"
        raise ConfigurationError(msg)
    return sys.intern(provider), sys.intern(name)


def _known(provider: str, path: str) -> str:
    if provider in KNOWN_PROVIDERS:
        return provider
    hint = did_you_mean(provider, KNOWN_PROVIDERS)
    msg = f"{path} = {quoted(provider)}: unknown provider{hint} (known: {_LIST})"
    raise ConfigurationError(msg)


def _implied(model: str) -> str | None:
    name = model.removeprefix("ft:")  # a fine-tuned model is named after its base
    for beginnings, provider in _IMPLIED:
        if name.startswith(beginnings):
            return provider
    return None


def _compatible(model: str, path: str, *, has_api_base: bool) -> str:
    if has_api_base:
        return OPENAI_COMPATIBLE
    prefix, slash, _ = model.partition("/")
    if slash:
        hint = did_you_mean(prefix, KNOWN_PROVIDERS)
        msg = (
            f"{path}.model = {quoted(model)}: unknown provider {quoted(prefix)}{hint} "
            f"(known: {_LIST}; any other server needs an api_base)"
        )
    else:
        msg = (
            f"{path}.model = {quoted(model)}: the provider cannot be told; write provider/model, "
            f"set custom_llm_provider or give an api_base (known: {_LIST})"
        )
    raise ConfigurationError(msg)
