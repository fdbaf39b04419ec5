"""The parts of the simulator: its chance, its disk, its books, its marks."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.actors.journal.ports import JournalError
from turnout.actors.providers.ports import ProviderCall
from turnout.actors.runtime.dispatcher import ManualDispatcher
from turnout.messages.commands import Call
from turnout.messages.deployment import Deployment
from turnout.messages.events import (
    CacheHit,
    CallStarted,
    CallSucceeded,
    CheckStarted,
    CooldownStarted,
    HealthChecked,
    RequestSucceeded,
)
from turnout.messages.requests import CompletionRequest
from turnout.testing.fake_clock import FakeClock
from turnout.testing.journal_spec import JournalSpec
from turnout.testing.simulation.audit.cache_book import CacheBook
from turnout.testing.simulation.audit.deployment_book import DeploymentBook
from turnout.testing.simulation.audit.rulebook import Rulebook
from turnout.testing.simulation.audit.violation import INVARIANTS, Violation
from turnout.testing.simulation.chance import DrawnChance, PartedChance, SeededChance, TapedChance
from turnout.testing.simulation.disk import SimulatedDisk
from turnout.testing.simulation.marks import MARKS, Marks
from turnout.testing.simulation.options import draw_options
from turnout.testing.simulation.upstream import SimulatedUpstream


def rulebook(settings=None, **params):
    """The rules of a world with one deployment."""
    entry = {"model_name": "g", "litellm_params": {"model": "m", **params}, "model_info": {"id": "a"}}
    options = draw_options(SeededChance(1), 0.01)
    return Rulebook.of(evolve(options, model_list=[entry], settings=settings or {}, groups=("g",)))


@pytest.fixture
def book():
    """The books of one deployment, with the limits a test wants."""
    return lambda **params: DeploymentBook(rulebook(**params).deployments["a"], Marks())


def started(number, reserved=10, **more):
    return CallStarted(f"r{number}.1", f"r{number}", reserved, **more)


def test_a_seed_decides_every_draw_and_its_tape_repeats_them():
    first, noted = SeededChance(7), PartedChance(7)
    drawn = [first.below(n) for n in (2, 10, 1, 65536, 3)]
    assert [noted.below(n) for n in (2, 10, 1, 65536, 3)] == drawn
    again = TapedChance(noted.tape)
    assert [again.below(n) for n in (2, 10, 1, 65536, 3)] == drawn
    assert [again.below(9), again.fraction()] == [0, 0.0]


@given(st.data())
def test_hypothesis_draws_from_the_same_source(data):
    chance = DrawnChance(data)
    assert 0 <= chance.below(10) < 10
    assert chance.choice("abc") in "abc"
    assert 2.0 <= chance.between(2.0, 3.0) < 3.0
    assert len(chance.tape) == 3


def test_a_mark_that_nobody_knows_is_an_error_and_an_unreached_one_is_told():
    marks = Marks()
    with pytest.raises(KeyError):
        marks.sometimes("no such mark")
    marks.sometimes("unknown model")
    assert set(marks.missing) == set(MARKS) - {"unknown model"}


def test_the_books_count_starts_in_any_minute(book):
    """I3"""
    kept = book(rpm=2)
    kept.apply(started(1), 0.0, None)
    kept.apply(started(2), 59.0, None)
    with pytest.raises(Violation, match="I3"):
        kept.apply(started(3), 59.9, None)
    kept = book(rpm=2)
    for number, at in enumerate((0.0, 59.0, 60.0)):
        kept.apply(started(number), at, None)


def test_the_books_foretell_a_cooldown_and_nothing_else_will_do(book):
    kept = book()
    kept.apply(started(1), 0.0, None)
    with pytest.raises(Violation, match="foretold: None"):
        kept.apply(CooldownStarted(9.0, 1.0, "Timeout", 1), 1.0, None)


def test_the_books_know_a_call_that_ends_twice(book):
    """I4"""
    kept = book()
    ended = CallSucceeded("r1.1", "r1", 1, 1, None, 1.0)
    kept.apply(started(1), 0.0, None)
    kept.apply(ended, 1.0, None)
    with pytest.raises(Violation, match="I4"):
        kept.apply(ended, 2.0, None)


@pytest.mark.parametrize(
    ("asked", "has", "every", "rank"),
    [
        (["paid"], ["paid", "fast"], False, 0),
        (["paid", "fast"], ["paid"], False, 0),
        (["paid", "fast"], ["paid"], True, None),
        (["paid"], ["default"], False, 1),
        (["!fast"], ["paid", "fast"], False, None),
        (["!fast"], ["paid"], False, 2),
        (None, ["default"], False, 1),
        (None, ["paid"], False, 2),
    ],
)
def test_the_rules_say_how_near_a_deployment_is_to_what_was_asked_for(asked, has, every, rank):
    rules = rulebook({"enable_tag_filtering": True, "tag_filtering_match_any": not every}, tags=has)
    assert rules.suits({} if asked is None else {"tags": asked}, "a") == rank
    assert rulebook(tags=has).suits({"tags": asked or ()}, "a") == 0


def test_a_provider_that_has_answered_cannot_be_aborted_and_told_nothing_if_nobody_heard():
    options = draw_options(SeededChance(1), 0.01)
    upstream = SimulatedUpstream(SeededChance(1), options, Marks())
    upstream.calm = True
    clock = FakeClock()
    upstream.connect(ManualDispatcher(clock))
    asked = CompletionRequest(model="g", messages=[{"role": "user", "content": "Hi"}])
    call = Call("r.1", "r", 1, asked, asked.demand(), 100.0, False)
    heard = []
    begun = upstream.start(ProviderCall(call, Deployment("a", "g", "m", "openai"), False), heard.append)
    clock.advance(10.0)
    assert [message.call_id for message in heard] == ["r.1"]
    assert begun.cancel() is None
    assert upstream.told["r.1"] is None
    clock.advance(100.0)
    assert len(heard) == 1


@pytest.mark.parametrize(
    ("asked", "age", "wrong"),
    [
        ({}, 1.0, None),
        ({}, 3.0, "nobody was given"),
        ({"max_tokens": 5}, 1.0, "nobody was given"),
        ({"stream": True}, 1.0, "nobody was given"),
        ({"caching": False}, 1.0, "was not to be answered"),
        ({"cache": {"no-cache": True}}, 1.0, "was not to be answered"),
        ({"cache": {"s-maxage": 0.5}}, 1.0, "as old as"),
        ({}, 9.0, "was to be forgotten"),
    ],
)
def test_the_books_know_which_answers_a_cache_may_give(asked, age, wrong):
    cache = CacheBook(rulebook({"cache_responses": True, "cache_kwargs": {"ttl": 8.0}}), Marks())
    plain = {"model": "g", "messages": []}
    answered = RequestSucceeded("r1", "g", "a", 1, 0, 0, 0.0, 1.0, None)
    for at in (10.0, 18.0):
        cache.answered(plain, answered, at)
    hit = CacheHit("r2", "k", "g", "a", age)
    if wrong is None:
        cache.hit({**plain, **asked}, hit, 19.0)
        assert cache.marks.counts["answered from the cache"] == 1
    else:
        with pytest.raises(Violation, match=wrong):
            cache.hit({**plain, **asked}, hit, 19.0)


def test_the_books_hold_a_health_check_against_the_windows_and_whoever_fails_it_to_be_unwell(book):
    """I3"""
    kept = book(rpm=1)
    kept.apply(CheckStarted("a.check1", 10), 0.0, None)
    kept.apply(HealthChecked("a.check1", False, 1.0, 1, 0, None, True, "Timeout", 408), 1.0, None)
    assert not kept.idle_at(70.0, 1)
    kept.apply(CheckStarted("a.check2", 10), 70.0, None)
    kept.apply(HealthChecked("a.check2", True, 1.0, 1, 1, None), 71.0, None)
    assert not kept.idle_at(80.0, 1)
    with pytest.raises(Violation, match="I3"):
        kept.apply(started(1), 80.0, None)
    assert not kept.idle_at(130.0, 1)
    assert kept.idle_at(140.0, 1)


def test_every_violation_says_which_invariant_in_words():
    for number, words in INVARIANTS.items():
        assert words in str(Violation(number, "so it was"))


class TestDisk(JournalSpec):
    forgets = False

    def open(self, folder):
        return _DISKS.setdefault(folder, SimulatedDisk(Marks()))

    def test_a_store_opened_again_goes_on_where_it_ended(self, tmp_path):
        self._filled(tmp_path).close()
        assert self.open(tmp_path).last_position() == 5


_DISKS: dict = {}


def test_a_power_cut_takes_the_last_writes_and_no_others(tmp_path):
    disk = TestDisk()._filled(tmp_path)
    disk.power_cut(2)
    assert disk.last_position() == 3


def test_a_disk_fails_and_is_unsure_when_told_to(tmp_path):
    disk = TestDisk().open(tmp_path)
    event = next(iter(TestDisk()._filled(tmp_path / "other").read()))
    disk.fault = "failing"
    with pytest.raises(JournalError):
        disk.append([event])
    assert disk.last_position() == 0
    disk.fault = "unknown"
    with pytest.raises(JournalError):
        disk.append([event])
    assert disk.last_position() == 1


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32))
def test_a_world_is_drawn_whole_from_its_seed(seed):
    one, other = (draw_options(SeededChance(seed), 0.02) for _ in range(2))
    assert one == other
