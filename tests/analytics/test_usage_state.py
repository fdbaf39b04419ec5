"""The account: each call and each request once, names bounded, the same from every snapshot."""

import json

import pytest

from turnout.actors.journal.codec import Recorded
from turnout.actors.usage.report import usage_report
from turnout.actors.usage.state import MAX_GONE, UsageState
from turnout.actors.usage.tallies import MAX_ERROR_CLASSES, OTHER_ERRORS, count_error
from turnout.messages.events import (
    CacheHit,
    CallFailed,
    CallStarted,
    CallSucceeded,
    DeploymentAdded,
    DeploymentRemoved,
    DeploymentUpdated,
    ModelListSet,
    RequestAccepted,
    RequestFailed,
    RequestSucceeded,
    RouterStarted,
)


class Story:
    """Events with their positions, as a journal would number them."""

    def __init__(self):
        self.events = []
        self.at = 1000.0

    def add(self, stream, event):
        self.events.append(Recorded(len(self.events) + 1, stream, 0, self.at, event))

    def started(self, *deployments):
        self.add("router", RouterStarted(None, {}))
        for name, group in deployments:
            self.joined(name, group)

    def joined(self, name, group):
        self.add("router", DeploymentAdded(name, group, {}))

    def left(self, name, group="gpt-4"):
        self.add("router", DeploymentRemoved(name, group))

    def call(self, deployment, *, error=None, cost=0.5, seconds=1.0, prompt=10, completion=5):
        number = str(len(self.events))
        stream = f"deployment/{deployment}"
        self.add(stream, CallStarted(number, "r", 0))
        if error is None:
            self.add(stream, CallSucceeded(number, "r", prompt, completion, cost, seconds))
        else:
            self.add(stream, CallFailed(number, "r", error, 500, True, seconds))

    def asks(self, name, group="gpt-4"):
        self.add(f"request/{name}", RequestAccepted(name, "completion", group, group, False, 0.0, 1))

    def answered(self, name, group="gpt-4", seconds=1.0):
        self.add(f"request/{name}", RequestSucceeded(name, group, "eu", 1, 0, 0, 0.0, seconds, 0.5))

    def failed(self, name, error="Timeout"):
        self.add(f"request/{name}", RequestFailed(name, error, 408, 2, 1, 1, 0.0, 3.0))


def counted(story):
    state = UsageState()
    state.fold(story.events)
    return state


def report(story):
    return usage_report(counted(story))


@pytest.fixture
def story():
    made = Story()
    made.started(("eu", "gpt-4"), ("mini", "small"))
    return made


def test_a_request_is_one_of_the_group_it_asked_and_its_calls_are_those_of_who_served(story):
    story.asks("1")
    story.call("eu", error="RateLimitError")
    story.call("mini")
    story.answered("1", group="small")
    stats = report(story)
    assert (stats["groups"]["gpt-4"]["requests"], stats["groups"]["small"]["requests"]) == (1, 0)
    assert (stats["groups"]["gpt-4"]["calls"], stats["groups"]["small"]["calls"]) == (1, 1)
    assert stats["groups"]["gpt-4"]["successes"] == 1
    assert stats["groups"]["gpt-4"]["failed_calls_by_class"] == {"RateLimitError": 1}
    assert (stats["total"]["requests"], stats["total"]["calls"]) == (1, 2)
    assert stats["total"]["tokens"]["total"] == stats["groups"]["small"]["tokens"]["total"] == 15


def test_the_groups_add_up_to_the_total(story):
    for number in range(7):
        story.asks(str(number), "gpt-4" if number % 2 else "small")
        story.call("eu" if number % 2 else "mini", seconds=number)
        story.answered(str(number)) if number % 3 else story.failed(str(number))
    stats = report(story)
    for name in ("requests", "successes", "failures", "calls", "retries", "fallbacks", "cost"):
        assert stats["total"][name] == sum(group[name] for group in stats["groups"].values()), name


def test_a_cost_that_is_not_known_is_not_nothing(story):
    story.call("eu", cost=0.25)
    story.call("eu", cost=None)
    story.call("mini", cost=None)
    stats = report(story)
    assert (stats["deployments"]["eu"]["cost"], stats["deployments"]["eu"]["calls_without_cost"]) == (0.25, 1)
    assert (stats["deployments"]["mini"]["cost"], stats["deployments"]["mini"]["calls_without_cost"]) == (
        None,
        1,
    )
    assert (stats["total"]["cost"], stats["total"]["calls_without_cost"]) == (0.25, 2)


def test_an_answer_without_tokens_such_as_an_image_lacks_a_price_as_well(story):
    story.call("eu", prompt=0, completion=0, cost=None)
    row = report(story)["deployments"]["eu"]
    assert (row["cost"], row["calls_without_cost"]) == (None, 1)


def test_a_failure_that_used_nothing_lacks_no_price(story):
    story.call("eu", error="RateLimitError")
    assert report(story)["deployments"]["eu"]["calls_without_cost"] == 0


def test_throughput_is_output_tokens_per_second_of_answering(story):
    story.call("eu", completion=30, seconds=2.0)
    story.call("eu", completion=10, seconds=2.0)
    story.call("eu", error="Timeout", seconds=60.0)
    assert report(story)["deployments"]["eu"]["tokens_per_second"] == 10.0


def test_a_name_that_leads_nowhere_gets_no_line(story):
    for number in range(5):
        story.asks(str(number), f"nonsense-{number}")
        story.failed(str(number), "NotFoundError")
    stats = report(story)
    assert set(stats["groups"]) == {"gpt-4", "small"}
    assert stats["total"]["failures_by_class"] == {"NotFoundError": 5}


def test_what_was_open_when_the_process_died_is_interrupted(story):
    story.asks("1")
    story.asks("2")
    story.answered("1")
    assert report(story)["total"]["open"] == 1
    story.started()
    group = report(story)["groups"]["gpt-4"]
    assert (group["open"], group["interrupted"], group["successes"]) == (0, 1, 1)


def test_a_deployment_that_is_gone_keeps_its_line_and_says_so(story):
    story.call("mini")
    story.left("mini", "small")
    entry = report(story)["deployments"]["mini"]
    assert (entry["removed"], entry["requests"]) == (True, 1)
    story.joined("mini", "small")
    entry = report(story)["deployments"]["mini"]
    assert (entry["removed"], entry["requests"]) == (False, 1)


def test_a_list_that_replaces_all_deployments_counts_as_its_changes(story):
    story.call("mini")
    added, removed = DeploymentAdded("new", "gpt-4", {}), DeploymentRemoved("mini", "small")
    story.add("router", ModelListSet((added,), (DeploymentUpdated("eu", "gpt-4", {}),), (removed,)))
    story.call("new")
    entries = report(story)["deployments"]
    assert {name: entry["removed"] for name, entry in entries.items()} == {
        "eu": False,
        "new": False,
        "mini": True,
    }
    assert (entries["mini"]["requests"], entries["new"]["requests"]) == (1, 1)


def test_what_a_cache_answered_is_a_success_without_a_call(story):
    story.asks("1")
    story.add("request/1", CacheHit("1", "key", "gpt-4", "eu", 3.0))
    story.answered("1")
    group = report(story)["groups"]["gpt-4"]
    assert (group["requests"], group["successes"], group["cache_hits"], group["calls"]) == (1, 1, 1, 0)


def test_a_call_that_ends_after_its_deployment_was_removed_counts(story):
    story.add("deployment/eu", CallStarted("c", "r", 0))
    story.left("eu")
    story.add("deployment/eu", CallSucceeded("c", "r", 1, 1, 0.5, 1.0))
    entry = report(story)["deployments"]["eu"]
    assert (entry["successes"], entry["open"]) == (1, 0)


def test_one_that_moved_to_another_group_leaves_what_it_did_behind(story):
    story.call("eu")
    story.add("router", DeploymentUpdated("eu", "small", {}))
    story.call("eu")
    stats = report(story)
    assert (stats["groups"]["gpt-4"]["calls"], stats["groups"]["small"]["calls"]) == (1, 1)


def test_of_those_that_are_gone_only_so_many_keep_a_line_and_no_sum_is_lost():
    story = Story()
    story.started(("stays", "gpt-4"))
    for number in range(3 * MAX_GONE):
        story.joined(f"d{number}", f"g{number}")
        story.call(f"d{number}")
        story.left(f"d{number}", f"g{number}")
    state = counted(story)
    assert len(state.deployments) <= 2 * MAX_GONE + 1
    assert len(state.groups) <= 3 * MAX_GONE + 1
    stats = usage_report(state)
    assert stats["total"]["calls"] == 3 * MAX_GONE
    assert stats["total"]["cost"] == 0.5 * 3 * MAX_GONE
    assert f"d{3 * MAX_GONE - 1}" in stats["deployments"]
    story.started()
    after = counted(story)
    assert len(after.deployments) <= MAX_GONE + 1
    assert usage_report(after)["total"] == {**stats["total"]}


def test_a_request_that_ends_after_its_group_lost_its_line_is_not_lost():
    story = Story()
    story.started(("stays", "gpt-4"))
    story.joined("d", "early")
    story.asks("late", "early")
    story.left("d", "early")
    for number in range(4 * MAX_GONE):
        story.joined(f"d{number}", f"g{number}")
        story.left(f"d{number}", f"g{number}")
    story.answered("late", "early")
    total = report(story)["total"]
    assert (total["requests"], total["successes"], total["open"]) == (1, 1, 0)


def test_a_restart_with_many_deployments_drops_none_of_them():
    many = [(f"d{number}", "gpt-4") for number in range(2 * MAX_GONE + 10)]
    story = Story()
    story.started(*many)
    story.started()
    state = counted(story)
    assert len(state.deployments) == len(many)


def test_errors_beyond_so_many_classes_are_counted_together():
    errors = {}
    for number in range(MAX_ERROR_CLASSES + 8):
        count_error(errors, f"Error{number}")
    count_error(errors, "Error0")
    assert len(errors) == MAX_ERROR_CLASSES + 1
    assert (errors["Error0"], errors[OTHER_ERRORS]) == (2, 8)


def test_events_that_are_told_twice_count_once(story):
    story.call("eu")
    state = counted(story)
    state.fold(story.events)
    assert usage_report(state)["total"]["calls"] == 1


def test_a_gap_in_the_positions_is_told(story):
    story.call("eu")
    assert counted(story).complete
    del story.events[1]
    assert not counted(story).complete


def test_from_every_snapshot_it_comes_to_the_same(story):
    for number in range(4):
        story.asks(str(number))
        story.call("eu", cost=0.1 * number, seconds=0.3 * number)
        story.at += 1.7
        story.answered(str(number), seconds=0.3 * number) if number % 2 else story.failed(str(number))
    story.left("mini", "small")
    story.asks("open")
    wanted = report(story)
    for cut in range(len(story.events) + 1):
        before = UsageState()
        before.fold(story.events[:cut])
        written = json.loads(json.dumps(before.snapshot()))
        state = UsageState.restore(written, before.position)
        state.fold(story.events)
        assert usage_report(state) == wanted, cut
        assert state.snapshot() == counted(story).snapshot(), cut


def test_the_report_is_plain_json(story):
    story.asks("1")
    story.call("eu", cost=None)
    stats = report(story)
    assert json.loads(json.dumps(stats)) == stats


def test_a_snapshot_of_another_format_is_refused():
    with pytest.raises(ValueError, match="format 99"):
        UsageState.restore({"format": 99}, 5)


def test_a_snapshot_whose_deployment_is_of_no_group_is_refused(story):
    story.call("eu")
    state = counted(story)
    written = state.snapshot()
    (name, _, calls), *_ = written["deployments"]
    written["deployments"] = [[name, "no such group", calls]]
    with pytest.raises(ValueError, match="'no such group' that nobody knows"):
        UsageState.restore(written, state.position)
