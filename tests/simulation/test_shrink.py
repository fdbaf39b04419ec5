"""How a history that went wrong is made short."""

from __future__ import annotations

import math

from turnout.testing.simulation import shrink as shrinking
from turnout.testing.simulation.chance import Named, PartedChance, SeededChance, TapedChance
from turnout.testing.simulation.marks import Marks
from turnout.testing.simulation.options import ARRIVALS, LEAST_ARRIVALS, MOST_ARRIVALS
from turnout.testing.simulation.run import Outcome, run_seed, run_world
from turnout.testing.simulation.shorter import (
    drawn_for,
    with_one_group,
    without_misfortunes,
    without_requests,
    without_turns,
)
from turnout.testing.simulation.shrink import Effort, shrink
from turnout.testing.simulation.world import COMES

SMALL = 150
"""Requests of a world that is soon run forty times."""


def test_a_turn_that_is_left_out_leaves_every_other_draw_in_its_place():
    def three_turns(chance):
        told = []
        for turn in (1, 2, 3):
            chance.begin(turn)
            told.append((chance.part("how long").below(100), chance.below(100)))
        chance.begin(4)
        return [*told, chance.of("the second's request").below(100)]

    chance = PartedChance(7)
    chance.begin(2)
    chance.of("the second's request")
    told = three_turns(chance)
    shorter = PartedChance(without_turns(chance.parts, 1, 1))
    shorter.begin(1)
    shorter.of("the second's request")
    again = three_turns(shorter)
    assert again[:2] == told[1:3]
    assert again[3] == told[3]
    assert TapedChance(shorter.tape).below(100) == again[0][0]


def test_a_request_that_is_left_out_leaves_its_turn():
    chance = PartedChance(7)
    chance.begin(1)
    drawn = [chance.below(1000), chance.part(COMES).below(1000)]
    again = PartedChance(without_requests(chance.parts, 1, 1))
    again.begin(1)
    assert drawn[1] > 0
    assert [again.below(1000), again.part(COMES).below(1000)] == [drawn[0], 0]


def test_what_is_picked_by_its_name_is_found_whoever_else_is_gone():
    chance = PartedChance(7)
    names = ("a", "b", "c", "d")
    drawn = [chance.pick("name", names), chance.below(1000)]
    assert drawn[0] in names[1:]
    fewer = tuple(name for name in names[1:] if name != drawn[0])
    again = PartedChance(chance.parts)
    assert [again.pick("name", (*fewer, drawn[0])), again.below(1000)] == drawn
    alone = PartedChance(chance.parts)
    assert [alone.pick("name", fewer[:1]), alone.below(1000)] == [fewer[0], drawn[1]]
    assert len(alone.tape) == 1
    taped = TapedChance(again.tape)
    assert [taped.pick("name", (*fewer, drawn[0])), taped.below(1000)] == drawn


def test_a_seed_draws_nothing_for_what_is_sure_and_a_shorter_history_may_do_without():
    seeded, noted = SeededChance(7), PartedChance(7)
    assert [seeded.surely(), seeded.below(1000)] == [noted.surely(), noted.below(1000)]
    first, last = noted.tape
    assert first == 1
    without = PartedChance({(0, ""): [0, last]})
    assert [without.surely(), without.below(1000)] == [False, last]
    assert TapedChance(noted.tape).surely()


def test_a_request_keeps_its_draws_when_another_one_of_its_turn_stays_away():
    def calls(chance, askers):
        chance.begin(1)
        for number in askers:
            with chance.asking(number):
                pass  # the actors are busy, and get to it later
            chance.asked(number, f"id {number}")
        return {number: chance.of(f"id {number}").below(1000) for number in reversed(askers)}

    chance = PartedChance(7)
    drawn = calls(chance, [0, 1, 2])
    assert calls(PartedChance(chance.parts), [0, 2]) == {0: drawn[0], 2: drawn[2]}


def test_a_turn_may_do_without_its_misfortune():
    notes = {(1, "misfortunes"): [11, 3], (2, "misfortunes"): [11, 4], (1, COMES): [5]}
    assert without_misfortunes(notes, 1, 1) == {**notes, (1, "misfortunes"): []}


def test_a_world_of_one_group_has_its_deployments_by_their_new_names():
    drawn = Named.of(2, "deployment", "mini/b")
    notes = {(0, "mini"): [1], (0, "mini/b"): [7], (0, "gpt-4/b"): [3], (4, "misfortunes"): [11, drawn]}
    shorter = with_one_group(notes, "mini")
    assert shorter[0, "gpt-4/b"] == [7]
    assert shorter[4, "misfortunes"][1].name == "gpt-4/b"


def test_who_came_early_and_waits_in_vain_is_found_among_the_first(monkeypatch):
    """Of 400 who come one a turn the third is not answered, which shows when 350 turns are over."""

    def world(chance, hours, marks, most_requests=None, *, to_the_end=True):
        came = set()
        turns = int(chance.part(ARRIVALS).log_between(LEAST_ARRIVALS, MOST_ARRIVALS))
        for turn in range(1, turns + 1):
            chance.begin(turn)
            if chance.part(COMES).below(16):
                came.add(turn)
            if turn == 350 and 3 in came:
                return outcome(chance, "I1", len(came))
        return outcome(chance, None, len(came))

    def outcome(chance, invariant, requests):
        seed = getattr(chance, "seed", None)
        return Outcome(seed, 0.02, invariant, invariant, "", "", requests, requests, 0)

    monkeypatch.setattr(shrinking, "run_world", world)
    notes = {(0, ARRIVALS): [drawn_for(400)], **{(turn, COMES): [5] for turn in range(1, 401)}}
    monkeypatch.setattr(
        shrinking, "PartedChance", lambda source: PartedChance(notes if source == 7 else source)
    )
    failed = outcome(SeededChance(7), "I1", 350)
    shrunk = shrink(failed, Effort(runs=60, seconds=math.inf))
    assert shrunk.outcome.requests <= 4


def test_a_broken_core_is_caught_and_its_history_made_short(two_probes):
    """I2"""
    worlds = (run_seed(seed) for seed in range(238, 300))
    failed = next(world for world in worlds if not world.ok and world.requests < SMALL)
    assert failed.invariant == "I2"
    shrunk = shrink(failed, Effort(runs=40, seconds=math.inf))
    assert shrunk.ended == "runs"
    assert shrunk.outcome.invariant == "I2"
    assert shrunk.draws < shrunk.draws_before
    assert shrunk.outcome.requests < failed.requests
    assert "probe" in shrunk.outcome.problem
    again = run_world(TapedChance(shrunk.tape), failed.hours, Marks())
    assert (again.problem, again.digest) == (shrunk.outcome.problem, shrunk.outcome.digest)


def test_one_request_is_left_where_one_is_enough(kept_slots):
    """I4"""
    heard = []
    failed = run_seed(5)
    assert failed.requests > 5
    effort = Effort(runs=150, seconds=math.inf, hears=lambda best, runs: heard.append((best.requests, runs)))
    shrunk = shrink(failed, effort)
    assert (shrunk.outcome.requests, shrunk.outcome.invariant) == (1, "I4")
    assert shrunk.outcome.events < 10
    assert "1 groups · 1 deployments" in shrunk.outcome.options
    assert [runs for _, runs in heard] == list(range(1, shrunk.runs + 1))
    assert [requests for requests, _ in heard] == sorted((requests for requests, _ in heard), reverse=True)


def test_a_search_that_is_stopped_has_the_best_so_far(kept_slots):
    runs = []
    stopped = Effort(seconds=math.inf, stopped=lambda: len(runs) >= 12, hears=lambda *_: runs.append(None))
    shrunk = shrink(run_seed(0), stopped)
    assert (shrunk.runs, shrunk.ended, shrunk.outcome.invariant) == (12, "stopped", "I4")


def test_a_search_ends_when_its_time_is_over(kept_slots):
    """Each look at the clock takes a second."""
    seconds = iter(range(1_000_000))
    shrunk = shrink(run_seed(0), Effort(seconds=60.0, clock=lambda: float(next(seconds))))
    assert shrunk.ended == "time"
    assert 0 < shrunk.runs < 60
    assert shrunk.outcome.invariant == "I4"
