"""Azure's addresses and headers; the bodies are OpenAI's."""

from __future__ import annotations

import json

import pytest

from turnout.actors.providers.address import DEFAULT_API_VERSION
from turnout.actors.providers.codecs import codec_for
from turnout.messages.errors import ConfigurationError

RESOURCE = "https://x.openai.azure.com"
DATED = f"{RESOURCE}/openai/deployments/my-gpt/chat/completions?api-version="


def encoded(kit, wildcard=None, **fields):
    deployment = kit.deployment(**{"provider": "azure", "model": "my-gpt", "api_base": RESOURCE, **fields})
    return codec_for(deployment).encode(kit.call(wildcard=wildcard))


@pytest.mark.parametrize(
    ("base", "version", "url"),
    [
        (RESOURCE, None, DATED + DEFAULT_API_VERSION),
        (RESOURCE + "/", "2024-02-01", DATED + "2024-02-01"),
        (f"{RESOURCE}/openai", "2024-02-01", DATED + "2024-02-01"),
        (f"{RESOURCE}?api-version=2023-05-15", None, DATED + "2023-05-15"),
        (f"{RESOURCE}?api-version=2023-05-15", "2024-02-01", DATED + "2024-02-01"),
        (f"{RESOURCE}/openai/deployments/my-gpt", "2024-02-01", DATED + "2024-02-01"),
        (f"{RESOURCE}/openai/deployments/my-gpt/chat/completions", "2024-02-01", DATED + "2024-02-01"),
        (f"{RESOURCE}/openai/v1", None, f"{RESOURCE}/openai/v1/chat/completions"),
        (f"{RESOURCE}/openai/v1/", "preview", f"{RESOURCE}/openai/v1/chat/completions?api-version=preview"),
    ],
)
def test_every_shape_of_an_address_leads_to_the_deployment(kit, base, version, url):
    assert str(encoded(kit, api_base=base, api_version=version).url) == url


def test_a_name_that_would_leave_its_place_in_the_path_is_quoted(kit):
    url = str(encoded(kit, wildcard="../../other?x=", model="*").url)
    assert url.startswith(f"{RESOURCE}/openai/deployments/..%2F..%2Fother%3Fx%3D/chat/completions?")


def test_the_key_has_its_own_header(kit):
    headers = encoded(kit).headers
    assert headers["api-key"] == kit.SECRET
    assert "authorization" not in headers


def test_a_token_is_a_bearer_token_and_stays_out_of_the_body(kit):
    request = encoded(kit, wire={"azure_ad_token": "token"}, api_key=None)
    assert request.headers["authorization"] == "Bearer token"
    assert "api-key" not in request.headers
    assert b"token" not in b"".join(request.stream)


def test_the_body_names_the_deployment(kit):
    assert json.loads(b"".join(encoded(kit).stream))["model"] == "my-gpt"


def test_without_an_address_there_is_no_azure(kit):
    with pytest.raises(ConfigurationError, match="dep-1: provider azure needs an api_base"):
        encoded(kit, api_base=None)
