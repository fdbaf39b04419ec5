"""Any order of changes, requests and time: the router has what a dict says it has, and keeps its rules."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from turnout import ConfigurationError, NotFoundError
from turnout.testing import SimulatedProvider, exponential

_spec = importlib.util.spec_from_file_location("fleet_conftest", Path(__file__).with_name("conftest.py"))
_conftest = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_conftest)

IDS = st.sampled_from(["a", "b", "c", "d"])
GROUPS = st.sampled_from(["gpt-4", "small"])
LIMITS = st.sampled_from([None, 1, 3, 50])


class FleetMachine(RuleBasedStateMachine):
    """`model` is {id: (group, rpm, parallel)}: what the router must have."""

    def __init__(self):
        super().__init__()
        provider = SimulatedProvider(latency=exponential(1.0), error_rate=0.2)
        self.port = _conftest.Port(
            default=provider,
            fallbacks=[{"gpt-4": ["small"]}],
            on_exhausted="wait",
            timeout=20,
            num_retries=1,
            cooldown_time=2,
        )
        self.router = self.port.router
        self.model = {}
        self.futures = []

    def entry(self, name, group, rpm, parallel):
        limits = {"rpm": rpm, "max_parallel_requests": parallel}
        return _conftest.entry(name, group, **{key: value for key, value in limits.items() if value})

    @rule(name=IDS, group=GROUPS, rpm=LIMITS, parallel=LIMITS)
    def add(self, name, group, rpm, parallel):
        entry = self.entry(name, group, rpm, parallel)
        if name in self.model:
            with pytest.raises(ConfigurationError, match="id already"):
                self.router.add_deployment(entry)
        else:
            assert self.router.add_deployment(entry) == name
            self.model[name] = (group, rpm, parallel)

    @rule(name=IDS, group=GROUPS, rpm=LIMITS, parallel=LIMITS)
    def upsert(self, name, group, rpm, parallel):
        self.router.upsert_deployment(self.entry(name, group, rpm, parallel))
        self.model[name] = (group, rpm, parallel)

    @rule(name=IDS, group=GROUPS, rpm=LIMITS)
    def update(self, name, group, rpm):
        if name in self.model:
            self.router.update_deployment(name, model_name=group, rpm=rpm)
            self.model[name] = (group, rpm, self.model[name][2])
        else:
            with pytest.raises(NotFoundError):
                self.router.update_deployment(name, rpm=rpm)

    @rule(name=IDS)
    def delete(self, name):
        if name in self.model:
            self.router.delete_deployment(name)
            del self.model[name]
        else:
            with pytest.raises(NotFoundError):
                self.router.delete_deployment(name)

    @rule(wanted=st.dictionaries(IDS, st.tuples(GROUPS, LIMITS, LIMITS)), bad=st.booleans())
    def set_model_list(self, wanted, bad):
        entries = [self.entry(name, *fields) for name, fields in wanted.items()]
        if bad:
            with pytest.raises(ConfigurationError):
                self.router.set_model_list([*entries, {"model_name": "x"}])
        else:
            self.router.set_model_list(entries)
            self.model = dict(wanted)

    @rule(model=st.sampled_from(["gpt-4", "gpt-4", "small", "a", "b"]), stream=st.booleans())
    def ask(self, model, stream):
        self.futures.append(self.port.send(model, stream=stream))

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 5.0]))
    def wait(self, seconds):
        self.port.clock.advance(seconds)

    @rule()
    def check_health(self):
        self.router.health_check()

    @invariant()
    def the_router_has_what_the_model_has(self):
        found = {}
        for item in self.router.get_deployments():
            params = item["litellm_params"]
            limits = params.get("rpm"), params.get("max_parallel_requests")
            found[item["model_info"]["id"]] = (item["model_name"], *limits)
        assert found == self.model
        groups = {group for group, _, _ in self.model.values()}
        board = self.router._switchboard
        assert set(board.groups) == groups == set(self.router._wiring.directory.groups)
        for name, (group, _, _) in self.model.items():
            assert board.deployments[name].is_alive()
            assert name in board.groups[group]._actor_weakref()._roster
        members = {g: set(board.groups[g]._actor_weakref()._roster._by_id) for g in groups}
        assert members == {g: {n for n, row in self.model.items() if row[0] == g} for g in groups}

    @invariant()
    def who_was_removed_is_there_only_for_its_open_calls(self):
        """I4, I12"""
        health = self.router.health()
        assert health["ok"], health
        for name, item in health["deployments"].items():
            assert name in self.model or item["state"]["open"], name

    def teardown(self):
        self.port.clock.advance(60.0)
        for future in self.futures:
            assert future.done(), "I1: a request without its reply"
            try:
                answer = future.get()
            except Exception:  # noqa: BLE001  (an error is a reply, too)
                continue
            if hasattr(answer, "close"):
                answer.close()
        self.port.audit()


FleetMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
test_any_order_of_changes_keeps_the_rules = FleetMachine.TestCase
