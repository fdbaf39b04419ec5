"""kill -9 under load, and what the next router on the same journal knows."""

import importlib.util
import json
import random
import sqlite3
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from turnout import (
    ConfigurationError,
    MidStreamError,
    ModelResponse,
    NoDeploymentsAvailable,
    RateLimitError,
    RequestError,
    Router,
)
from turnout.messages.events import (
    CallAbandoned,
    CallCancelled,
    CallFailed,
    CallStarted,
    CallSucceeded,
    RequestSucceeded,
    RouterStarted,
)
from turnout.testing.upstream import Behaviour, Span, run_upstream

HERE = Path(__file__).parent
ENDS = (CallSucceeded, CallFailed, CallCancelled, CallAbandoned)
MODELS = {
    "flaky": Behaviour(error_rate=0.5, cut_streams=0.3, words=4),
    "steady": Behaviour(latency=Span(0.004), words=4),
    "slow": Behaviour(latency=Span(0.05, 0.03), chunk_delay=0.005, words=6),
}


@pytest.fixture(scope="module", name="upstream")
def upstream_():
    with run_upstream(models=MODELS, seed=3) as running:
        yield running


@pytest.fixture(scope="module", name="load")
def load_():
    spec = importlib.util.spec_from_file_location("load", HERE / "load.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_and_kill(path, api_base, lines):
    """Let it work until it has reported so often, kill it; the last durable position, and all answers."""
    command = [sys.executable, str(HERE / "load.py"), str(path), api_base]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with process, process.stdout as output:
        reports = [output.readline() for _ in range(lines)]
        process.kill()
        reports += output.read().split("\n")[:-1]  # the last line may be cut off
    assert process.returncode == -9
    parsed = [json.loads(line) for line in reports]
    return parsed[-1][0], [tuple(answer) for _, answers in parsed for answer in answers]


def open_calls(events):
    """The calls that have begun and not ended, by stream."""
    found = defaultdict(set)
    for recorded in events:
        event = recorded.event
        if isinstance(event, CallStarted):
            found[recorded.stream].add(event.call_id)
        elif isinstance(event, ENDS):
            found[recorded.stream].discard(event.call_id)
    return {stream: calls for stream, calls in found.items() if calls}


def assert_whole(events):
    """I10: nothing is missing, in the journal as a whole or in any stream."""
    assert [recorded.position for recorded in events] == list(range(1, len(events) + 1))
    versions = Counter()
    for recorded in events:
        versions[recorded.stream] += 1
        assert recorded.version == versions[recorded.stream], recorded


def assert_totals(health, events):
    """What a router knows of its deployments is what its journal tells."""
    for name, item in health["deployments"].items():
        own = [r.event for r in events if r.stream == f"deployment/{name}"]
        ended = [event for event in own if isinstance(event, (CallSucceeded, CallFailed, CallCancelled))]
        totals = item["state"]["totals"]
        assert item["state"]["open"] == {}
        assert totals["started"] == sum(isinstance(event, CallStarted) for event in own)
        assert totals["abandoned"] == sum(isinstance(event, CallAbandoned) for event in own)
        costs = [event.charged if event.cost is None else event.cost for event in ended]
        assert totals["cost"] == pytest.approx(sum(cost or 0.0 for cost in costs))
        assert totals["completion_tokens"] == sum(event.completion_tokens for event in ended)


def text_of(answer):
    if isinstance(answer, ModelResponse):
        return answer.choices[0].message.content
    try:
        return "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
    except MidStreamError as broken:  # the upstream cuts streams on purpose; what came before counts
        return broken.text


def test_after_kill_9_under_load_nothing_durable_is_lost_and_no_call_is_left_open(tmp_path, upstream, load):
    path = tmp_path / "j.db"
    chance = random.Random(5)
    abandoned = 0
    for _ in range(3):  # each life goes on in the journal of the ones before
        durable, answered = run_and_kill(path, upstream.api_base, chance.randint(3, 30))
        with load.make_router(path, upstream.api_base) as router:
            events = router.events()
            born = max(r.position for r in events if isinstance(r.event, RouterStarted))
            before, after = events[: born - 1], events[born - 1 :]
            assert_whole(events)
            assert len(before) >= durable
            succeeded = {
                r.event.request_id: r.event.cost for r in before if isinstance(r.event, RequestSucceeded)
            }
            assert succeeded.items() >= set(answered)
            left = open_calls(before)
            closed = defaultdict(set)
            for recorded in after:
                if isinstance(recorded.event, CallAbandoned):
                    closed[recorded.stream].add(recorded.event.call_id)
            assert closed == left
            abandoned += sum(map(len, left.values()))
            assert_totals(router.health(), events)
            for number in range(10):
                assert text_of(router.ask(load.request(number)))
            assert router.health()["ok"]
    with load.make_router(path, upstream.api_base) as router:
        events = router.events()
        requests = [r.event.request_id for r in events if r.event.TYPE == "request_accepted"]
        assert len(requests) == len(set(requests))  # the same seed, and yet no name twice
        assert open_calls(events) == {}
    assert abandoned > 0, "no call was open at any of the kills: this test has shown nothing"
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()


# -- what is known goes on

SCENE = """
import sys
from turnout import RequestError, Router
from turnout.messages.requests import CompletionRequest

def say(model, **fields):
    return CompletionRequest(model=model, messages=[{"role": "user", "content": "hello there"}], **fields)

def scene(router):
    for _ in range(3):
        router.ask(say("limited"))
    for model in ("locked", "told-to-wait"):
        try:
            router.ask(say(model))
        except RequestError:
            pass
    future = router.ask(say("limited", mock_delay=3600), block=False)
    router.health()
    return future

if __name__ == "__main__":
    import json
    router = Router(**json.loads(sys.argv[1]))
    future = scene(router)
    router._journal.confirm().get(timeout=20)
    print(json.dumps(router.health()["deployments"]), flush=True)
    sys.stdin.read()
"""


def mocked(group, answer, **info):
    params = {"model": "openai/gpt-4o", "api_key": "k", "mock_response": answer, "rpm": 5, "tpm": 10_000}
    info = {"id": group, "input_cost_per_token": 0.01, "output_cost_per_token": 0.02}
    return {"model_name": group, "litellm_params": params, "model_info": info}


def scenery(path):
    return {
        "model_list": [
            mocked("limited", "fine words"),
            mocked("locked", "litellm.AuthenticationError"),
            mocked("told-to-wait", "litellm.RateLimitError"),
        ],
        "cooldown_time": 300.0,
        "allowed_fails": 0,
        "journal": f"sqlite:///{path}",
    }


def scene_module():
    module = {"__name__": "scene"}
    exec(SCENE, module)
    return module


def timeless(health):
    """All that must be the same in the next life; the rest of a state are its open calls."""
    kept = ("window", "breaker", "latency", "correction")
    return {
        name: {key: item["state"][key] for key in kept}
        | {"cost": item["state"]["totals"]["cost"], "started": item["state"]["totals"]["started"]}
        for name, item in health.items()
    }


def assert_the_scene_goes_on(router, starts_left):
    """The cooldown is still in force and the window still counts, for requests and not only in the books."""
    say = scene_module()["say"]
    for model in ("locked", "told-to-wait"):
        with pytest.raises(NoDeploymentsAvailable) as caught:
            router.ask(say(model))
        assert [left.reason for left in caught.value.left_out] == ["cooling_down"]
        assert 200 < caught.value.retry_after <= 300
    for _ in range(starts_left):
        assert router.ask(say("limited")).choices[0].message.content == "fine words"
    with pytest.raises(NoDeploymentsAvailable) as caught:
        router.ask(say("limited"))
    assert [left.reason for left in caught.value.left_out] == ["rpm"]
    assert 0 < caught.value.retry_after <= 60


def test_after_kill_9_cooldowns_windows_and_costs_go_on(tmp_path):
    settings = scenery(tmp_path / "j.db")
    process = subprocess.Popen(
        [sys.executable, "-c", SCENE, json.dumps(settings)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        before = json.loads(process.stdout.readline())
        with pytest.raises(ConfigurationError, match=f"in use by another router .process {process.pid}"):
            Router(**settings)
        process.kill()
    assert len(before["limited"]["state"]["open"]) == 1
    with Router(**settings) as router:
        after = router.health()["deployments"]
        assert timeless(after) == timeless(before)
        assert after["limited"]["state"]["totals"]["abandoned"] == 1
        assert after["limited"]["state"]["totals"]["cost"] > 0
        assert all(item["state"]["open"] == {} for item in after.values())
        assert_the_scene_goes_on(router, starts_left=1)


def test_after_a_good_end_cooldowns_windows_and_costs_go_on(tmp_path):
    settings = scenery(tmp_path / "j.db")
    with Router(**settings) as router:
        future = scene_module()["scene"](router)
        future.cancel()
        with pytest.raises(RequestError, match="cancelled"):
            future.get(timeout=20)
        before = router.health()["deployments"]
    with Router(**settings) as router:
        after = router.health()["deployments"]
        assert timeless(after) == timeless(before)
        assert after["limited"]["state"]["totals"]["cancelled"] == 1
        assert after["limited"]["state"]["totals"]["abandoned"] == 0
        assert_the_scene_goes_on(router, starts_left=1)
        events = router.events()
    assert_whole(events)
    assert [r.event.TYPE for r in events if r.stream == "router" and "router" in r.event.TYPE] == [
        "router_started",
        "router_stopped",
        "router_started",
    ]


def test_a_second_router_on_the_same_journal_is_refused_and_the_first_goes_on(tmp_path):
    settings = scenery(tmp_path / "j.db")
    say = scene_module()["say"]
    with Router(**settings) as router:
        with pytest.raises(ConfigurationError, match=r"j\.db' is in use by another router"):
            Router(**settings)
        assert router.ask(say("limited")).choices
        with pytest.raises(RateLimitError):
            router.ask(say("told-to-wait"))
        assert router.health()["ok"]
    with Router(**settings) as router:
        assert router.health()["deployments"]["limited"]["state"]["totals"]["succeeded"] == 1
