"""Loggers that remember, and routers that answer from mocks."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import turnout
from turnout import Router
from turnout.integrations.custom_logger import CustomLogger

KEY = "sk-" + "live0123456789abcdef"
PROMPT = "a prompt that is nobody's business"
MESSAGES = [{"role": "user", "content": PROMPT}]


class Sync(CustomLogger):
    """Remembers (event, kwargs, response, start, end) of everything."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, Any], Any, Any, Any]] = []

    def log_pre_api_call(self, model, messages, kwargs):
        self.seen.append(("pre", kwargs, messages, kwargs["start_time"], None))

    def log_post_api_call(self, kwargs, response_obj, start_time, end_time):
        self.seen.append(("post", kwargs, response_obj, start_time, end_time))

    def log_stream_event(self, kwargs, response_obj, start_time, end_time):
        self.seen.append(("stream", kwargs, response_obj, start_time, end_time))

    def log_success_event(self, kwargs, response_obj, start_time, end_time):
        self.seen.append(("success", kwargs, response_obj, start_time, end_time))

    def log_failure_event(self, kwargs, response_obj, start_time, end_time):
        self.seen.append(("failure", kwargs, response_obj, start_time, end_time))

    @property
    def story(self) -> list[str]:
        return [row[0] for row in self.seen]

    def of(self, event: str) -> list[tuple[str, dict[str, Any], Any, Any, Any]]:
        return [row for row in self.seen if row[0] == event]


class Both(CustomLogger):
    """Has both methods, and remembers which was called."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def log_success_event(self, kwargs, response_obj, start_time, end_time):
        self.seen.append("sync")

    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        self.seen.append("async")


def entry(name: str = "eu", group: str = "gpt-4", **params: Any) -> dict[str, Any]:
    info = {key: params.pop(key) for key in tuple(params) if key.endswith("_cost_per_token")}
    params = {"model": "openai/gpt-4o", "api_key": KEY, "mock_response": "Hello there", **params}
    return {"model_name": group, "litellm_params": params, "model_info": {"id": name, **info}}


@pytest.fixture(autouse=True)
def _nothing_stays_behind():
    yield
    turnout.callbacks = []
    turnout.success_callback = []
    turnout.failure_callback = []


@pytest.fixture
def make_router():
    """Routers that are closed at the end, on real time unless a clock is given."""
    made: list[Router] = []

    def make(*entries: dict[str, Any], **settings: Any) -> Router:
        made.append(Router(list(entries) or [entry()], **settings))
        return made[-1]

    yield make
    for router in made:
        router.close()


@pytest.fixture
def kit():
    """What is in this module."""
    return sys.modules[__name__]
