"""Alerts over real HTTP: a webhook that answers, fails, hangs or is not there."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from turnout import AlertingConfig, RateLimitError, RequestError, Router
from turnout.actors.alerting import actor
from turnout.supervisor.face import alerting

KEY = "sk-" + "live0123456789abcdef"
PROMPT = "a prompt that is nobody's business"
MESSAGES = [{"role": "user", "content": PROMPT}]
FAILS = {"mock_response": RateLimitError(f"slow down, {PROMPT}, {KEY}")}


def router_for(hook, threshold=300, **settings):
    entry = {
        "model_name": "gpt-4",
        "litellm_params": {"model": "openai/gpt-4o", "api_key": KEY, "mock_response": "Hi"},
        "model_info": {"id": "eu"},
    }
    url = hook if isinstance(hook, str) else hook.url
    config = AlertingConfig(webhook_url=url, alerting_threshold=threshold)
    return Router([entry], alerting_config=config, disable_cooldowns=True, **settings)


def fail(router, **fields):
    with pytest.raises(RequestError):
        router.completion("gpt-4", MESSAGES, **{**FAILS, **fields})


def test_a_failing_call_is_told_in_slacks_shape(hasty, make_hook):
    hook = make_hook()
    with router_for(hook) as router:
        fail(router)
        hook.wait_for(1)
    assert hook.requests[0].keys() == {"text"}
    assert hook.texts[0].startswith("*Turnout*\n• gpt-4/eu failed: RateLimitError (429) after ")
    assert hook.paths == ["/services/T000/B000/the-secret-of-the-hook"]


def test_the_example_of_the_documents_sends_an_alert(hasty, make_hook):
    """A wrong key, a router on the caller's loop, and the exception swallowed."""
    hook = make_hook()

    async def main():
        async with router_for(hook, threshold=10) as router:
            with pytest.raises(RequestError):
                await router.acompletion("gpt-4", MESSAGES, mock_response="litellm.AuthenticationError")

    asyncio.run(main())
    assert "AuthenticationError (401)" in hook.texts[0]


@pytest.mark.parametrize("trouble", [500, 503, 429, "cut"])
def test_a_webhook_that_fails_is_tried_again(hasty, make_hook, trouble):
    hook = make_hook(trouble, trouble)
    with router_for(hook) as router:
        fail(router)
        hook.wait_for(3)
    assert len(set(hook.texts)) == 1
    assert len(hook.texts) == 3


def test_after_so_many_tries_an_alert_is_lost_and_counted(hasty, make_hook, caplog):
    hook = make_hook(*[500] * actor.MAX_TRIES)
    with router_for(hook) as router:
        fail(router)
        hook.wait_for(actor.MAX_TRIES)
    lines = [record.getMessage() for record in caplog.records if record.name == "turnout.alerting"]
    assert lines == ["an alert could not be delivered (HTTP 500); 1 so far"]
    assert len(hook.texts) == actor.MAX_TRIES


def test_a_webhook_that_refuses_is_not_asked_again(hasty, make_hook, caplog):
    hook = make_hook(404)
    with router_for(hook) as router:
        fail(router)
        hook.wait_for(1)
    assert len(hook.texts) == 1
    assert "HTTP 404" in caplog.text


def test_a_webhook_that_hangs_holds_up_no_request_and_is_tried_again(hasty, make_hook, monkeypatch):
    monkeypatch.setattr(actor, "POST_SECONDS", 0.05)
    hook = make_hook("hang", "hang")
    with router_for(hook) as router:
        fail(router)
        hook.wait_for(1)
        for _ in range(20):
            assert router.completion("gpt-4", MESSAGES).choices[0].message.content == "Hi"
        hook.wait_for(3)


def test_close_sends_what_is_due(make_hook):
    hook = make_hook()
    with router_for(hook) as router:
        for _ in range(3):
            fail(router)
    assert "and 2 more like it" in hook.texts[0]


def test_close_waits_for_a_webhook_no_longer_than_it_says(hasty, make_hook, monkeypatch, caplog):
    monkeypatch.setattr(alerting, "CLOSE_SECONDS", 0.1)
    hook = make_hook("hang", "hang")
    router = router_for(hook)
    fail(router)
    hook.wait_for(1)
    router.close()
    assert any("could not be delivered in 0.1 s" in record.getMessage() for record in caplog.records)
    assert "turnout" not in {thread.name for thread in threading.enumerate()}


def test_a_webhook_that_is_not_there_hurts_nothing(hasty, caplog):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: whoever connects is refused
        with router_for(f"http://127.0.0.1:{taken.getsockname()[1]}/the-secret-of-the-hook") as router:
            fail(router)
            assert router.completion("gpt-4", MESSAGES)
    assert "an alert could not be delivered (ConnectError)" in caplog.text
    assert "secret" not in caplog.text
    assert router.settings.changed()["alerting_config"]["webhook_url"] == "**********"


def test_nothing_secret_is_sent_logged_or_journalled(hasty, make_hook, caplog):
    caplog.set_level("DEBUG")
    hook = make_hook(500)
    with router_for(hook) as router:
        fail(router)
        hook.wait_for(2)
        shown = repr(router.events()) + repr(router) + repr(router.health()) + repr(router.settings)
        shown += repr(router._lifecycle.alerts._webhook)
    shown += caplog.text + "".join(hook.texts)
    for secret in (KEY, PROMPT, "the-secret-of-the-hook"):
        assert secret not in shown


def test_a_router_without_alerts_has_no_such_actor(make_hook):
    with Router([]) as router:
        assert "alerts" not in router._switchboard.services
        assert router.health()["alerts"] is None


def test_a_hanging_call_is_told_while_it_hangs(hasty, make_hook):
    hook = make_hook()
    with router_for(hook, threshold=0.05) as router:
        from turnout import CompletionRequest

        request = CompletionRequest(model="gpt-4", messages=MESSAGES, mock_timeout=True)
        future = router.ask(request, block=False)
        hook.wait_for(1)
        assert not future.done()
        future.cancel()
    assert hook.texts[0] == "*Turnout*\n• gpt-4/eu has not answered for 0.05 s"
