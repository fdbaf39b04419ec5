"""Bugs that are planted in the core, for the simulator to find."""

from __future__ import annotations

import pytest

from turnout.actors.deployment.state import DeploymentState


@pytest.fixture
def two_probes(monkeypatch):
    """A core that forgets the half-open rule: any number of probes."""
    real = DeploymentState.admit

    def admit(state, call, now, *cost):
        probe, state.breaker.probe = state.breaker.probe, None
        try:
            return real(state, call, now, *cost)
        finally:
            state.breaker.probe = probe

    monkeypatch.setattr(DeploymentState, "admit", admit)


@pytest.fixture
def kept_slots(monkeypatch):
    """A core that takes no call that ended off its books."""
    monkeypatch.setattr(DeploymentState, "_close", lambda state, call_id: state.open.get(call_id))
