"""What every contender is asked: the same model group, the same message."""

from __future__ import annotations

from typing import Any

__all__ = ["ANSWER", "DEPLOYMENTS", "GROUP", "MESSAGES", "WIDTH", "http_list", "mock_list"]

GROUP = "bench"
DEPLOYMENTS = 4
WIDTH = 64
"""Calls in flight in the figures over HTTP."""

MESSAGES = [{"role": "user", "content": "Say hello."}]
ANSWER = "Hello! How can I help you today?"


def mock_list(deployments: int = DEPLOYMENTS) -> list[dict[str, Any]]:
    """A `model_list` whose deployments answer by themselves."""
    return [entry(index, mock_response=ANSWER) for index in range(deployments)]


def http_list(base_url: str, deployments: int = DEPLOYMENTS) -> list[dict[str, Any]]:
    """A `model_list` whose deployments are all one upstream."""
    return [entry(index, api_base=base_url) for index in range(deployments)]


def entry(index: int, **params: Any) -> dict[str, Any]:
    """One deployment; `model_list` has the same shape for Turnout and for LiteLLM."""
    return {
        "model_name": GROUP,
        "litellm_params": {"model": "openai/gpt-4o-mini", "api_key": "none", **params},
        "model_info": {"id": f"bench-{index}"},
    }
