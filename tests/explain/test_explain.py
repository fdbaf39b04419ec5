"""Any answer, and any error, can be explained: who was considered, who was left out, what was tried."""

from __future__ import annotations

import json
import pickle
import re
from contextlib import suppress

import pytest

from turnout import (
    CompletionRequest,
    ConfigurationError,
    MidStreamError,
    NoDeploymentsAvailable,
    NotFoundError,
    RequestError,
    Router,
    RouterClosedError,
    ServiceUnavailableError,
    Timeout,
    TurnoutError,
)
from turnout.__main__ import main
from turnout.actors.journal.codec import Recorded
from turnout.actors.journal.sqlite import SqliteStore
from turnout.messages.events import RequestAccepted
from turnout.messages.figures import millionths
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders

HELLO = [{"role": "user", "content": "a prompt that nobody but the provider may see"}]


def deployment(name, group="gpt-4", **params):
    return {
        "model_name": group,
        "litellm_params": {"model": "openai/gpt-4o", **params},
        "model_info": {"id": name, "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6},
    }


def router(entries, providers=None, **settings):
    caller = SimulatedProviders(providers or {})
    return Router(entries, clock=FakeClock(), seed=3, caller=caller, **settings)


def says(explanation):
    return [step.says for step in explanation.steps]


def test_the_last_request_is_explained_by_default_and_any_other_by_its_id():
    with router([deployment("eu")]) as one:
        first = one.completion("gpt-4", HELLO).route.request_id
        second = one.completion("gpt-4", HELLO).route.request_id
        assert one.explain().request_id == second
        assert one.explain(first).request_id == first


def test_the_story_tells_who_was_chosen_how_and_what_it_cost():
    with router([deployment("eu"), deployment("us")], routing_strategy="least-busy") as one:
        answer = one.completion("gpt-4", HELLO)
        story = one.explain()
    chosen = answer.route.deployment_id
    assert story.result == "answered"
    assert story.cost == answer.route.cost
    (picked,) = [step for step in story.steps if step.event == "deployment_picked"]
    assert f"{chosen} by least-busy, 2 eligible (eu, us), score 0" in picked.says
    assert picked.facts["decision"]["draw"] is not None
    assert f"drawn with {picked.facts['decision']['draw']:.4f}" in picked.says
    assert story.steps[-1].says == f"answered by {chosen} after 0.000 s, for $0.000020"


def test_where_only_one_is_eligible_chance_had_no_say():
    providers = {name: SimulatedProvider(script=[503], latency=1.0) for name in ("eu", "us")}
    with router([deployment("eu"), deployment("us")], providers, num_retries=1) as one:
        with suppress(RequestError):  # whoever was drawn first, the other one fails as well
            one.completion("gpt-4", HELLO)
        first, second = [s.says for s in one.explain().steps if s.event == "deployment_picked"]
    assert "2 eligible (eu, us), drawn with" in first
    assert "1 eligible; left out: " in second


@pytest.mark.parametrize(
    ("timeout", "told"), [(0.5, "0.5 s"), (2.5, "2.5 s"), (30, "30 s"), (6000, "6000 s")]
)
def test_a_short_deadline_is_told_as_it_is(timeout, told):
    with router([deployment("eu")]) as one:
        one.completion("gpt-4", HELLO, timeout=timeout)
        assert f"due in {told})" in one.explain().steps[0].says


def test_the_story_tells_each_attempt_its_error_its_wait_and_who_was_left_out_until_when():
    providers = {"eu": SimulatedProvider(script=[429, 429], latency=1.0)}
    busy = deployment("us", rpm=1)
    with router([deployment("eu"), busy], providers, num_retries=1, fallbacks=["small"]) as one:
        one.completion("us", HELLO)
        with pytest.raises(RequestError) as caught:
            one.completion("gpt-4", HELLO)
        told = "\n".join(says(one.explain(caught.value.request_id)))
    out = "us (at its limit of requests for 60 s: needs 1, has 0)"
    assert f"eu by simple-shuffle, 1 eligible; left out: {out}" in told
    assert "eu failed: RateLimitError (429) after 1.000 s" in told
    assert re.search(
        r"retry in group 'gpt-4' in 0\.\d\d s because of RateLimitError; left out: .*us \(at its limit", told
    )
    assert "ends in RateLimitError (429) after 2.1" in told


def test_a_fallback_is_told_with_those_who_could_not_serve():
    entries = [deployment("eu", rpm=1), deployment("mini", "small")]
    with router(entries, fallbacks=[{"gpt-4": ["small"]}]) as one:
        one.completion("gpt-4", HELLO)
        one.completion("gpt-4", HELLO)
        told = says(one.explain())
    assert any(
        "falls back from group 'gpt-4' to 'small'" in line and "eu (at its limit" in line for line in told
    )


def test_what_the_deployment_recorded_of_the_request_is_told_too():
    providers = {"eu": SimulatedProvider(script=[500], latency=1.0)}
    with router([deployment("eu")], providers, allowed_fails=0, cooldown_time=7) as one:
        with pytest.raises(RequestError):
            one.completion("gpt-4", HELLO)
        assert "eu: cools down for 7 s because of InternalServerError" in says(one.explain())
        one._dispatcher.clock.advance(7)
        list(one.completion("gpt-4", HELLO, stream=True))
        told = says(one.explain())
    assert any("has its first content after 1.000 s" in line for line in told)
    assert any("10 + 5 tokens" in line for line in told)


def test_other_requests_do_not_stray_into_the_story():
    with router([deployment("eu")], {"eu": SimulatedProvider(latency=1.0)}) as one:
        from turnout import CompletionRequest

        asked = [one.ask(CompletionRequest(model="gpt-4", messages=HELLO), block=False) for _ in range(3)]
        one._dispatcher.clock.advance(2)
        routes = [future.get().route for future in asked]
        for route in routes:
            others = {other.request_id for other in routes} - {route.request_id}
            assert not any(name in line for line in says(one.explain(route.request_id)) for name in others)


def test_an_open_request_is_explained_as_far_as_it_has_come():
    with router([deployment("eu")], {"eu": SimulatedProvider(hang=True)}) as one:
        from turnout import CompletionRequest

        one.ask(CompletionRequest(model="gpt-4", messages=HELLO), block=False)
        assert one.explain().result == "open"


def test_it_is_data_as_well_and_holds_no_content():
    with router([deployment("eu")]) as one:
        one.completion("gpt-4", HELLO)
        explanation = one.explain()
    text = json.dumps(explanation.as_dict())
    assert json.loads(text)["steps"][0]["event"] == "request_accepted"
    assert HELLO[0]["content"] not in text + str(explanation)


def test_what_is_not_there_is_one_clear_error():
    with router([deployment("eu")]) as one:
        with pytest.raises(NotFoundError, match="no request was sent yet"):
            one.explain()
        with pytest.raises(NotFoundError, match="knows no request 'nobody'"):
            one.explain("nobody")


def test_an_error_tells_its_story_itself():
    providers = {"eu": SimulatedProvider(script=[503] * 3, latency=1.0)}
    one = router([deployment("eu")], providers, num_retries=1, retry_after=2)
    with one, pytest.raises(RequestError) as caught:
        one.completion("gpt-4", HELLO)
    assert caught.value.story.splitlines() == [
        "gpt-4/eu: ServiceUnavailableError in 1.000 s",
        "gpt-4/eu after a wait of 2.000 s: ServiceUnavailableError in 1.000 s",
        "ServiceUnavailableError: simulated 503 [eu]",
    ]


def test_on_the_command_line_from_a_journal_that_is_in_use(tmp_path, capsys):
    file = tmp_path / "turnout.db"
    with router([deployment("eu")], journal=f"sqlite:///{file}") as one:
        first = one.completion("gpt-4", HELLO).route.request_id
        one.completion("gpt-4", HELLO)
        story = str(one.explain())
        one._journal.confirm().get()
        assert main(["explain", str(file)]) == 0
        assert capsys.readouterr().out.strip() == story
    assert main(["explain", str(file), first, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["request_id"] == first
    assert main(["explain", str(file), f"request/{first}"]) == 0  # as `events` shows it
    assert capsys.readouterr().out.startswith(f"request {first} ")
    assert main(["explain", str(file), "nobody"]) == 1
    assert capsys.readouterr().err == "turnout: the journal knows no request 'nobody'\n"
    assert main(["explain", str(tmp_path / "none.db")]) == 1
    assert "no such file" in capsys.readouterr().err


def test_the_beginning_of_an_id_is_enough_where_only_one_begins_so(tmp_path, capsys):
    file = tmp_path / "turnout.db"
    store = SqliteStore(file)
    accepted = RequestAccepted("abcd01", "completion", "gpt-4", "gpt-4", False, 9.0, 1)
    names = ["abcd01", "abcd02", "abce", "abce03"]
    store.append([Recorded(n, f"request/{name}", 1, 1.0, accepted) for n, name in enumerate(names, 1)])
    store.close()
    assert main(["explain", str(file), "abcd01"]) == 0
    assert main(["explain", str(file), "abce0"]) == 0
    assert main(["explain", str(file), "abce"]) == 0  # whoever has it for a whole name goes first
    told = capsys.readouterr().out
    assert [line.split()[1] for line in told.splitlines() if line.startswith("request")] == [
        "abcd01",
        "abce03",
        "abce",
    ]
    for words in ("abcd", "request/abcd0"):
        assert main(["explain", str(file), words]) == 1
        assert "more than one request begins with" in (complaint := capsys.readouterr().err)
        assert "abcd01, abcd02\n" in complaint
    assert main(["explain", str(file), "abcdef"]) == 1
    assert "knows no request" in capsys.readouterr().err
    for words in ("", "abc", "request/", ".1"):
        assert main(["explain", str(file), words]) == 1
        assert capsys.readouterr().err.endswith(
            f"{words!r} is too short to mean a request: give 4 characters of its id, or more\n"
        )


@pytest.mark.parametrize("call", ["abcd01.1", "abcd01.12h", "request/abcd01.1", "abcd.1"])
def test_the_name_of_a_call_as_events_prints_it_means_its_request(tmp_path, capsys, call):
    store = SqliteStore(tmp_path / "turnout.db")
    accepted = RequestAccepted("abcd01", "completion", "gpt-4", "gpt-4", False, 9.0, 1)
    store.append([Recorded(1, "request/abcd01", 1, 1.0, accepted)])
    store.close()
    assert main(["explain", str(tmp_path / "turnout.db"), call]) == 0
    assert capsys.readouterr().out.startswith("request abcd01 ")


def test_every_error_that_ends_a_request_tells_its_story():
    def entry(name, group, **params):
        return deployment(name, group, **params)

    providers = {
        "down": SimulatedProvider(script=[503], latency=1.0),
        "hangs": SimulatedProvider(hang=True),
        "cut": SimulatedProvider(cut_after=1, text="one two three"),
    }
    entries = [entry(name, name, rpm=1) for name in ("down", "hangs", "cut", "full", "closed")]
    entries.append(entry("away", "away"))
    providers["closed"] = SimulatedProvider(hang=True)
    providers["away"] = SimulatedProvider(hang=True)
    clock = FakeClock()

    with Router(entries, caller=SimulatedProviders(providers), clock=clock, seed=3) as one:
        futures = [
            one.ask(CompletionRequest(model=model, messages=HELLO, **more), block=False)
            for model, more in (
                ("down", {}),
                ("hangs", {"timeout": 2}),
                ("full", {}),
                ("full", {}),
                ("nobody", {}),
                ("cut", {"stream": True}),
                ("away", {}),
                ("closed", {}),
            )
        ]
        futures[6].cancel()
        clock.advance(3)
    ends = {}
    for future in futures:
        try:
            list(future.get())
        except TurnoutError as error:
            ends[type(error)] = error
    assert {one.explain(error.request_id).result for error in ends.values()} == {"failed", "cancelled"}
    assert set(ends) == {
        ServiceUnavailableError,
        Timeout,
        NoDeploymentsAvailable,
        NotFoundError,
        MidStreamError,
        RequestError,
        RouterClosedError,
    }
    for kind, error in ends.items():
        assert error.story.splitlines()[-1].startswith(f"{kind.__name__}: ")
        assert pickle.loads(pickle.dumps(error)).story == error.story
    assert ends[Timeout].story.splitlines()[0] == "hangs/hangs: Timeout in 2.000 s"
    assert "left out: full (at its limit of requests for" in ends[NoDeploymentsAvailable].story


def test_a_strategy_that_breaks_is_told_with_what_was_tried_before():
    class Broken:
        def pick(self, candidates, request, rng):
            if len(candidates) == 1:
                raise KeyError("no such thing")
            return candidates[0]

    providers = {name: SimulatedProvider(script=[503], latency=1.0) for name in ("eu", "us")}
    one = router([deployment("eu"), deployment("us")], providers, num_retries=1, routing_strategy=Broken())
    with one, pytest.raises(ConfigurationError) as caught:
        one.completion("gpt-4", HELLO)
    first, last = caught.value.story.splitlines()
    assert first.endswith("ServiceUnavailableError in 1.000 s")
    assert last.startswith("ConfigurationError: ")
    assert one.explain(caught.value.request_id).result == "failed"


def test_what_was_tried_before_the_router_was_closed_is_told_in_its_error():
    providers = {"eu": SimulatedProvider(script=[503], latency=1.0), "us": SimulatedProvider(hang=True)}
    entries = [deployment("eu", weight=1), deployment("us", weight=0)]
    with router(entries, providers, num_retries=1) as one:
        future = one.ask(CompletionRequest(model="gpt-4", messages=HELLO), block=False)
        one._dispatcher.clock.advance(5)
    with pytest.raises(RouterClosedError) as caught:
        future.get()
    assert caught.value.request_id == future.request_id
    assert caught.value.story == (
        "gpt-4/eu: ServiceUnavailableError in 1.000 s\nRouterClosedError: the router was closed"
    )
    with pytest.raises(RouterClosedError) as caught:
        one.completion("gpt-4", HELLO)
    assert (caught.value.request_id, caught.value.attempts) == (None, ())
    assert caught.value.story.startswith("RouterClosedError: ")


def test_what_came_to_nothing_is_in_the_cost_and_in_the_words():
    providers = {"slow": SimulatedProvider(hang=True), "fast": SimulatedProvider(latency=0.5)}
    entries = [deployment("slow", weight=1), deployment("fast", weight=0)]
    with router(entries, providers, hedge_after=1, hedge_budget=1.0) as one:
        answer = one.completion("gpt-4", HELLO)
        story = one.explain()
    (given_up,) = [step for step in story.steps if step.event == "call_cancelled"]
    assert given_up.facts["cost"] is None
    assert given_up.facts["charged"] > 0
    assert given_up.says.endswith(f" tokens, about {millionths(given_up.facts['charged'])}")
    assert story.cost == answer.route.cost + given_up.facts["charged"]
