"""What happened when: at most so many steps, whatever the length of the story, and nothing lost."""

import json

from hypothesis import given
from hypothesis import strategies as st

from turnout.actors.usage.timeline import MAX_STEPS, SERIES, Timeline

PAUSES = st.lists(
    st.one_of(st.sampled_from([0.0, 0.1, 1.0, 5.0]), st.floats(0, 100), st.floats(0, 1e7)),
    min_size=1,
    max_size=200,
)


@given(st.floats(0, 2e9), PAUSES)
def test_every_event_is_in_the_step_of_its_time(start, pauses):
    timeline, at, times = Timeline(), start, []
    for pause in pauses:
        at += pause
        times.append(at)
        timeline.add("requests", 1, at)
    series = timeline.series()
    wanted = [0] * timeline.steps
    for time in times:
        wanted[int((time - timeline.start) / timeline.step)] += 1
    assert series["requests"] == wanted
    assert timeline.steps <= MAX_STEPS
    assert {len(values) for values in series.values()} == {timeline.steps}


@given(st.floats(0, 2e9), PAUSES)
def test_one_that_was_written_down_goes_on_as_if_nothing_had_been(start, pauses):
    straight, at = Timeline(), start
    broken = Timeline()
    for pause in pauses:
        at += pause
        straight.add("tokens", 7, at)
        broken = Timeline.restore(json.loads(json.dumps(broken.snapshot())))
        broken.add("tokens", 7, at)
    assert broken.series() == straight.series()
    assert broken.step == straight.step


def test_a_step_doubles_when_there_are_too_many():
    timeline = Timeline()
    for second in range(MAX_STEPS):
        timeline.add("requests", 1, second)
    assert (timeline.step, timeline.steps) == (1.0, MAX_STEPS)
    timeline.add("requests", 1, MAX_STEPS)
    assert (timeline.step, timeline.steps) == (2.0, MAX_STEPS // 2 + 1)
    assert sum(timeline.series()["requests"]) == MAX_STEPS + 1


def test_a_year_of_silence_is_no_trouble():
    timeline = Timeline()
    timeline.add("requests", 1, 0.0)
    timeline.add("requests", 1, 365 * 86400.0)
    assert timeline.steps <= MAX_STEPS
    assert sum(timeline.series()["requests"]) == 2


def test_before_anything_happened_there_is_no_step():
    assert Timeline().series() == {name: [] for name in SERIES}


def test_a_clock_that_went_back_loses_nothing():
    timeline = Timeline()
    timeline.add("requests", 1, 100.0)
    timeline.add("requests", 1, 50.0)
    assert timeline.series()["requests"] == [2.0]


def test_money_can_be_forgotten_alone():
    timeline = Timeline()
    for second in range(5):
        timeline.add("cost", 1.0, second)
        timeline.add("tokens", 2, second)
    timeline.reset_cost()
    series = timeline.series()
    assert series["cost"] == [0.0] * 5
    assert series["tokens"] == [2.0] * 5
