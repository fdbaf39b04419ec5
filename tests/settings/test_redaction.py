"""Which names hold secrets, and what is shown instead."""

from __future__ import annotations

import json
from typing import Any

import pytest

from turnout.messages.redaction import HIDDEN, hide_url_secrets, is_secret_name, public, without_secrets


@pytest.mark.parametrize(
    "name",
    [
        "api_key", "apiKey", "apikey", "API_KEY", "APIKey", "x-api-key", "key", "Ocp-Apim-Subscription-Key",
        "azure_ad_token", "accessToken", "Authorization", "Proxy-Authorization", "proxyAuth", "Cookie",
        "aws_secret_access_key", "aws_session_token", "client_secret", "redis_password", "webhook_url",
        "vertex_credentials",
    ],
)  # fmt: skip
def test_a_secret_is_known_by_its_name(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "max_tokens", "max_completion_tokens", "input_cost_per_token", "cache_read_input_token_cost",
        "monkey", "keyboard", "author", "model", "temperature", "api_base", "tokenizer", "token_limit",
    ],
)  # fmt: skip
def test_what_only_sounds_like_a_secret_is_shown(name: str) -> None:
    assert not is_secret_name(name)


def test_a_url_is_shown_without_user_password_and_query() -> None:
    shown = hide_url_secrets("redis://me:hush@h:6379/0?password=hush&ttl=3")
    assert shown == f"redis://{HIDDEN}@h:6379/0?password={HIDDEN}&ttl={HIDDEN}"
    assert hide_url_secrets("a?b=c") == "a?b=c"


def test_public_data_is_plain_whatever_is_inside() -> None:
    loop: dict[str, Any] = {}
    loop["again"] = loop
    value = {"a": object(), "b": (1, {2}), 3: None, "c": RuntimeError, "d": loop, "e": b"x", "token": 5}
    assert json.loads(json.dumps(public(value)))["token"] == HIDDEN


def test_an_identity_holds_everything_but_secrets() -> None:
    value = {"a": [{"api_key": "hush", "b": 1}], "content": "kept", "u": "http://me:hush@h"}
    assert without_secrets(value) == {"a": [{"b": 1}], "content": "kept", "u": f"http://{HIDDEN}@h"}
