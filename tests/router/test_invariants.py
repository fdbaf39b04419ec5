"""Busy random runs, held against every invariant; and the same run twice, byte for byte."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from turnout import NoDeploymentsAvailable, RateLimitError, TurnoutError
from turnout.actors.deployment.state import DeploymentState
from turnout.actors.journal.codec import encode_event
from turnout.messages.settings import STRATEGIES
from turnout.supervisor.planning.compile_rules import limits_of
from turnout.supervisor.request_state import RequestState
from turnout.testing import SimulatedProvider, exponential, lognormal

DEPLOYMENTS = {
    "a": {"group": "gpt-4", "rpm": 20, "max_parallel_requests": 4},
    "b": {"group": "gpt-4", "tpm": 3000, "timeout": 3},
    "c": {"group": "gpt-4", "weight": 2, "stream_timeout": 1},
    "d": {"group": "claude", "max_parallel_requests": 2},
    "e": {"group": "claude", "rpm": 10, "tpm": 2000},
    "z": "backup",
}
SETTINGS = {
    "num_retries": 2,
    "fallbacks": [{"gpt-4": ["claude", "backup"]}, {"claude": ["backup"]}],
    "default_max_parallel_requests": 5,
    "allowed_fails": 1,
    "cooldown_time": 4,
    "timeout": 20,
    "max_queue": 5,
    "max_fallbacks": 1,
}


def providers(rng):
    def one(**fields):
        latency = rng.choice([0.2, exponential(0.8), lognormal(0.5, 1.0)])
        return SimulatedProvider(latency=latency, chunk_seconds=exponential(0.1), **fields)

    return {
        "a": one(error_rate=0.3),
        "b": one(error_rate=0.2, error=RateLimitError("slow down", retry_after=3.0)),
        "c": one(error_rate=0.1, error=401, cut_after=rng.choice([None, 2])),
        "d": one(error_rate=0.3, error=400),
        "e": one(hang=rng.random() < 0.3),
        "z": one(error_rate=0.2, error=503),
    }


class BusyRun:
    """Requests of all kinds at random times; some are given up, some streams are left half-read."""

    def __init__(self, town, seed, **more):
        rng = random.Random(seed)
        self.rng = rng
        self.place = town(DEPLOYMENTS, providers(rng), seed=seed, **{**SETTINGS, **more})
        self.futures = []
        self.streams = []

    def go(self, requests=80):
        for _ in range(requests):
            self.one_request()
            self.place.clock.advance(self.rng.expovariate(5.0))
            self.leave_some()
            yield
        self.read_the_rest()
        self.place.clock.advance(30.0)
        self.read_the_rest()
        self.place.clock.advance(30.0)

    def one_request(self):
        rng = self.rng
        fields = {"stream": rng.random() < 0.4}
        if rng.random() < 0.3:
            fields["priority"] = rng.randrange(3)
        if rng.random() < 0.3:
            fields["timeout"] = rng.uniform(0.5, 6.0)
        if rng.random() < 0.7:
            fields["max_tokens"] = rng.randrange(1, 400)
        model = rng.choice(["gpt-4", "gpt-4", "claude", "a", "nonsense"])
        self.futures.append(self.place.send(model, **fields))

    def leave_some(self):
        for future in self.futures:
            if future.done() or self.rng.random() < 0.01:
                self.leave(future)
        self.futures = [future for future in self.futures if not future.done()]
        for stream in tuple(self.streams):
            self.read_one(stream)

    def leave(self, future):
        if future.cancel():
            return
        try:
            answer = future.get(timeout=0)
        except TurnoutError:
            return
        if hasattr(answer, "close"):
            self.streams.append(answer)

    def read_one(self, stream):
        if self.rng.random() < 0.1:
            stream.close()
        try:
            while stream._channel.get_nowait() is not None:
                continue
        except Exception:  # noqa: BLE001  (ended, well or not)
            self.streams.remove(stream)
            stream.close()

    def read_the_rest(self):
        for future in self.futures:
            if future.done():
                self.leave(future)
        for stream in self.streams:
            stream.close()
        self.streams.clear()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32), wait=st.sampled_from(["fail", "wait"]), strategy=st.sampled_from(STRATEGIES)
)
def test_a_busy_run_breaks_no_invariant(town, seed, wait, strategy):
    """I1, I2, I3, I4, I5, I6, I10, I11: the auditor of `town` looks at all that was recorded."""
    run = BusyRun(town, seed, on_exhausted=wait, routing_strategy=strategy)
    for _ in run.go():
        continue
    health = run.place.router.health()
    assert health["ok"]
    assert health["open_requests"] == 0
    assert all(entry["state"]["open"] == {} for entry in health["deployments"].values())
    assert all(future.done() for future in run.futures)
    run.place.audit()


@pytest.mark.parametrize("seed", range(4))
def test_replaying_a_deployment_gives_its_live_state_at_every_step(town, seed):
    """I8, and from a snapshot taken anywhere on the way"""
    run = BusyRun(town, seed)
    place = run.place
    replays = {name: _Replay(place, name) for name in DEPLOYMENTS}
    for number, _ in enumerate(run.go(60)):
        for name, replay in replays.items():
            replay.catch_up()
            if number % 9 == 0:
                replay.by_snapshot()
            assert replay.state.snapshot(place.clock.now()) == place.state(name), name


class _Replay:
    """A second state of a deployment, kept current by its events alone."""

    def __init__(self, place, name):
        self.place, self.name, self.position = place, name, 0
        router = place.router
        self.limits = limits_of(router._wiring.deployments[name], router.settings)
        self.state = DeploymentState(name, self.limits)

    def catch_up(self):
        for recorded in self.place.router.events(f"deployment/{self.name}", self.position):
            self.state.apply(recorded.event, recorded.at)
            self.position = recorded.position

    def by_snapshot(self):
        written = json.loads(json.dumps(self.state.snapshot(self.place.clock.now())))
        self.state = DeploymentState.restore(self.name, self.limits, written)


@pytest.mark.parametrize("seed", range(4))
def test_replaying_a_request_gives_its_live_state_at_every_step(town, seed):
    """I8"""
    run = BusyRun(town, seed, on_exhausted="wait")
    router = run.place.router
    supervisor = router._switchboard.supervisor._actor_weakref()
    compared = 0
    for _ in run.go(60):
        for request_id, entry in supervisor._open.items():
            replayed = RequestState(request_id)
            for recorded in router.events(f"request/{request_id}"):
                replayed.apply(recorded.event, recorded.at)
            assert replayed.snapshot() == entry.state.snapshot()
            compared += 1
    assert compared > 100


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_same_seed_and_inputs_give_the_same_events_byte_for_byte(town, strategy):
    """I9"""
    assert _bytes(town, 5, strategy) == _bytes(town, 5, strategy)


def test_another_seed_gives_another_run(town):
    """I9"""
    assert _bytes(town, 5, "simple-shuffle") != _bytes(town, 6, "simple-shuffle")


def _bytes(town, seed, strategy):
    run = BusyRun(town, seed, routing_strategy=strategy)
    for _ in run.go(60):
        continue
    return [
        (item.position, item.stream, item.version, item.at, item.event.TYPE, encode_event(item.event))
        for item in run.place.router.events()
    ]


def test_no_secret_is_in_any_text_repr_or_log_line(town, caplog, capsys):
    """I11"""
    caplog.set_level(0)
    key = "sk-" + "live0123456789abcdef"
    prompt = "a prompt that nobody but the provider may see"
    answer = "an answer for nobody else"
    place = town(
        {"a": {"group": "gpt-4", "rpm": 2}, "z": "backup"},
        {"a": [500], "z": SimulatedProvider(text=answer)},
        fallbacks=[{"gpt-4": [{"model": "backup", "messages": [{"role": "user", "content": prompt + "!"}]}]}],
    )
    future = place.send()
    texts = [repr(future)]
    texts.append(repr(future.get().route))
    place.ask()
    stream = place.ask("backup", stream=True)
    texts += [repr(stream), repr(place.router), repr(place.router.settings), str(place.router.settings)]
    list(stream)
    error = place.error(disable_fallbacks=True)
    assert isinstance(error, NoDeploymentsAvailable)
    board = place.router._switchboard
    for ref in (board.supervisor, *board.groups.values(), *board.deployments.values()):
        texts += [repr(ref._actor_weakref()), repr(ref)]
    texts += [repr(error), str(error), repr(error.attempts), str(place.router.health()), repr(place.clock)]
    texts += [repr(item) for item in place.router.events()]
    texts += [repr(deployment) for deployment in place.router._wiring.deployments.values()]
    texts += [caplog.text, *capsys.readouterr()]
    everything = "\n".join(texts)
    for secret in (key, prompt, answer):
        assert secret not in everything


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 422, 429, 500, 502, 503])
def test_a_provider_that_quotes_the_key_does_not_get_it_into_an_event(town, status):
    """I11"""
    key = "sk-" + "live0123456789abcdef"
    from turnout.messages.errors import error_class_for_status

    place = town({"a": "gpt-4"}, {"a": [error_class_for_status(status)(f"wrong key {key}")]})
    place.error()
    assert key not in str([item.event for item in place.router.events()])


def test_a_timer_or_two_is_all_that_a_quiet_router_has(town):
    """I12: on a fake clock, no timer outlives its request by more than the one for deadlines."""
    place = town({"a": "gpt-4"}, timeout=5)
    for _ in range(50):
        place.ask()
    place.clock.advance(10.0)
    assert place.clock.next_timer() is None
