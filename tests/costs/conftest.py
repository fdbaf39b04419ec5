import pytest

from turnout.messages.settings import parse_deployment


@pytest.fixture
def deployment():
    """Makes a deployment of `model`; other keywords are its parameters."""

    def make(model="openai/gpt-4o", info=None, **params):
        entry = {"model_name": "g", "litellm_params": {"model": model, **params}, "model_info": info or {}}
        return parse_deployment(entry, "model_list[0]", env={})

    return make
