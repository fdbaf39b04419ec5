"""What a caller gets wrong: one clear error at once, and a router that goes on."""

import asyncio
import threading

import pytest

from turnout import (
    BadRequestError,
    CompletionRequest,
    ConfigurationError,
    NotFoundError,
    Router,
    RouterClosedError,
)

GOOD = {
    "model_name": "gpt-4",
    "litellm_params": {"model": "openai/gpt-4o", "api_key": "hush-31415926535", "mock_response": "well"},
}


def params(**changes):
    """The good entry with other parameters; None takes one away."""
    merged = {**GOOD["litellm_params"], **changes}
    return {**GOOD, "litellm_params": {name: value for name, value in merged.items() if value is not None}}


def same_id(*ids):
    return [{**GOOD, "model_info": {"id": name}} for name in ids]


ENTRIES = {
    "no model_name": ([{"litellm_params": GOOD["litellm_params"]}], ["model_list", "0", "model_name"]),
    "an empty model_name": ([{**GOOD, "model_name": ""}], ["model_list", "0", "model_name"]),
    "a model_name that is a number": ([{**GOOD, "model_name": 4}], ["model_list", "0", "model_name"]),
    "no litellm_params": ([{"model_name": "gpt-4"}], ["model_list", "0", "litellm_params"]),
    "no model": ([params(model=None)], ["model_list", "0", "model"]),
    "an unknown provider": ([params(model="opnai/gpt-4o")], ["model_list", "0", "opnai", "openai"]),
    "a name no provider is known for": ([params(model="parrot-9")], ["model_list", "0", "parrot-9"]),
    "a negative rpm": ([params(rpm=-1)], ["model_list", "0", "rpm", "-1"]),
    "rpm of zero": ([params(rpm=0)], ["model_list", "0", "rpm", "0"]),
    "rpm that is text": ([params(rpm="many")], ["model_list", "0", "rpm", "many"]),
    "a negative timeout": ([params(timeout=-2)], ["model_list", "0", "timeout", "-2"]),
    "a negative weight": ([params(weight=-2)], ["model_list", "0", "weight", "-2"]),
    "an api_base that is no URL": ([params(api_base="localhost")], ["model_list", "0", "api_base"]),
    "a key that no header takes": ([params(api_key="two\nlines")], ["model_list", "0", "api_key"]),
    "an entry that is text": (["gpt-4"], ["model_list", "0"]),
    "the second entry": ([GOOD, params(rpm=-1)], ["model_list", "1", "rpm"]),
    "two with one id": (same_id("a", "b", "a"), ["id", "'a'"]),
    "a list that is none": ({"gpt-4": GOOD}, ["model_list"]),
    "an unset environment variable": ([params(api_key="os.environ/NO_SUCH_NAME")], ["NO_SUCH_NAME"]),
}
SETTINGS = {
    "an unknown setting": ({"num_retires": 2}, ["num_retires", "num_retries"]),
    "a negative number": ({"num_retries": -1}, ["num_retries", "-1"]),
    "text for a number": ({"num_retries": "two"}, ["num_retries", "two"]),
    "a timeout of zero": ({"timeout": 0}, ["timeout", "0"]),
    "a timeout without end": ({"timeout": float("inf")}, ["timeout", "inf"]),
    "an unknown strategy": ({"routing_strategy": "least-bussy"}, ["routing_strategy", "least-busy"]),
    "a strategy without pick": ({"routing_strategy": object()}, ["routing_strategy", "pick"]),
    "an unknown argument": ({"routing_strategy_args": {"tl": 1}}, ["routing_strategy_args", "tl", "ttl"]),
    "fallbacks that are text": ({"fallbacks": "gpt-4"}, ["fallbacks"]),
    "an alias of nobody": ({"model_group_alias": {"g": "gpt-5"}}, ["model_group_alias", "g", "gpt-5"]),
    "an unknown way to wait": ({"on_exhausted": "panic"}, ["on_exhausted", "fail", "wait"]),
    "a journal of another kind": ({"journal": "postgres://here"}, ["journal", "sqlite:///"]),
    "a journal in no folder": ({"journal": "sqlite:////no/such/folder/j.db"}, ["journal", "/no/such"]),
    "a clock that is none": ({"clock": 12.5}, ["clock", "FakeClock"]),
}


def refused(**settings):
    with pytest.raises(ConfigurationError) as caught:
        Router(**settings)
    text = str(caught.value)
    assert "\n" not in text.strip()
    assert "hush" not in repr(caught.value)
    assert "turnout" not in {thread.name for thread in threading.enumerate()}
    return text


@pytest.mark.parametrize(("entries", "says"), ENTRIES.values(), ids=ENTRIES)
def test_a_wrong_entry_is_one_error_that_says_where_and_what(entries, says):
    text = refused(model_list=entries)
    assert [word for word in says if word not in text] == [], text


@pytest.mark.parametrize(("settings", "says"), SETTINGS.values(), ids=SETTINGS)
def test_a_wrong_setting_is_one_error_that_says_where_and_what(settings, says):
    text = refused(model_list=[GOOD], **settings)
    assert [word for word in says if word not in text] == [], text


USER = {"role": "user", "content": "x"}
REQUESTS = {
    "no messages": ({"messages": []}, "messages"),
    "messages that are text": ({"messages": "hello"}, "messages"),
    "a message that is text": ({"messages": ["hello"]}, "messages"),
    "a message without a role": ({"messages": [{"content": "hello"}]}, "role"),
    "an empty model": ({"model": ""}, "model"),
    "a model that is a number": ({"model": 4}, "model"),
    "a negative max_tokens": ({"max_tokens": -5}, "max_tokens"),
    "a timeout of zero": ({"timeout": 0}, "timeout"),
    "a negative num_retries": ({"num_retries": -1}, "num_retries"),
    "a priority out of range": ({"priority": 256}, "priority"),
    "stream that is text": ({"stream": "perhaps"}, "stream"),
    "fallbacks that are text": ({"fallbacks": "gpt-4"}, "fallbacks"),
}


@pytest.mark.parametrize(("fields", "names"), REQUESTS.values(), ids=REQUESTS)
def test_a_malformed_request_is_a_bad_request_and_nothing_is_called(kit, fields, names):
    fields = {"model": "gpt-4", "messages": [USER], **fields}
    with Router(model_list=[GOOD]) as router:
        with pytest.raises(BadRequestError, match=names):
            router.completion(**fields)
        kit.assert_nothing_is_open(router)
        assert not [r for r in router.events() if r.stream.startswith("request/")]
        assert router.completion("gpt-4", [USER]).choices[0].message.content == "well"


@pytest.mark.parametrize("thing", [None, "gpt-4", {"model": "gpt-4"}, CompletionRequest])
def test_what_is_no_request_is_a_bad_request(thing):
    with Router(model_list=[GOOD]) as router, pytest.raises(BadRequestError, match="CompletionRequest"):
        router.ask(thing)


@pytest.mark.parametrize("value", [object(), "\ud800", {"deep": [1j]}])
def test_a_parameter_that_no_wire_carries_is_a_bad_request_of_that_deployment(kit, value):
    async def run():
        async with kit.provider() as host:
            entries = [kit.entry("dep-1", api_base=host.api_base)]
            async with Router(model_list=entries) as router:
                with pytest.raises(BadRequestError) as caught:
                    await router.acompletion("gpt-4", kit.MESSAGES, user=value)
                kit.assert_nothing_is_open(router)
                assert not host.requests
                assert (await router.acompletion("gpt-4", kit.MESSAGES)).choices
                return caught.value

    assert asyncio.run(run()).deployment_id == "dep-1"


def test_an_unknown_model_is_told_the_nearest_one():
    with Router(model_list=[GOOD]) as router, pytest.raises(NotFoundError, match="'gpt-4'"):
        router.completion("gtp-4", [USER])


def test_a_blocking_call_on_the_routers_own_loop_is_refused_and_hangs_nothing(kit):
    async def run():
        async with asyncio.timeout(kit.GUARD_SECONDS), Router(model_list=[GOOD]) as router:
            with pytest.raises(RuntimeError, match="await"):
                router.completion("gpt-4", [USER])
            with pytest.raises(RuntimeError, match="aclose"):
                router.close()
            assert (await router.acompletion("gpt-4", [USER])).choices
            kit.assert_nothing_is_open(router)

    asyncio.run(run())


def test_a_closed_router_says_so_whatever_it_is_asked():
    router = Router(model_list=[GOOD])
    router.completion("gpt-4", [USER])
    router.close()
    router.close()
    request = CompletionRequest(model="gpt-4", messages=[USER])
    for use in (
        lambda: router.completion("gpt-4", [USER]),
        lambda: router.ask(request),
        lambda: router.ask(request, block=False),
        lambda: asyncio.run(router.acompletion("gpt-4", [USER])),
        router.health,
    ):
        with pytest.raises(RouterClosedError, match="closed"):
            use()
    assert router.events()[-1].event.TYPE == "router_stopped"  # its memory may still be read
    assert "closed" in repr(router)
