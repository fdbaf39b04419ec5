"""How fast a deployment has been: what is kept of it."""

from __future__ import annotations

from turnout.actors.deployment.latency import SAMPLES, LatencyStats


def filled(count):
    stats = LatencyStats()
    for number in range(count):
        stats.succeeded(float(number), 2.0, None, 1)
    return stats


def test_so_many_of_the_latest_calls_are_kept_and_no_more():
    assert len(filled(SAMPLES).samples) == SAMPLES
    stats = filled(SAMPLES + 1)
    stats.timed_out(50.0, 9.0)
    assert [at for at, _ in stats.samples] == [*map(float, range(2, SAMPLES + 1)), 50.0]


def test_a_state_that_is_restored_has_the_latest_of_what_was_saved():
    saved = filled(SAMPLES).snapshot()
    saved["samples"] = [[-1.0, 1.0], *saved["samples"]]
    assert LatencyStats.restore(saved).samples == filled(SAMPLES).samples


def test_who_was_told_of_the_samples_keeps_what_he_was_told():
    stats = filled(2)
    told = stats.samples
    stats.succeeded(7.0, 1.0, None, 1)
    assert told == filled(2).samples
