"""A request drawn as bars on a time line."""

import xml.etree.ElementTree as ET

import pytest

from turnout import CompletionRequest, RateLimitError, RequestError, Router
from turnout.cli.main import main
from turnout.history.drawing import nice, screen, ticks
from turnout.history.waterfall import COLOURS, LEFT, bars, waterfall
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders

HELLO = [{"role": "user", "content": "Hello"}]
SVG = "{http://www.w3.org/2000/svg}"


def entry(name, group="gpt-4", **params):
    litellm = {"model": "openai/gpt-4o", **params}
    return {"model_name": group, "litellm_params": litellm, "model_info": {"id": name}}


def router(entries, providers, **settings):
    return Router(entries, clock=FakeClock(), seed=1, caller=SimulatedProviders(providers), **settings)


def shown(explanation):
    return [(bar.name, bar.how, bar.start, bar.end, bar.note) for bar in bars(explanation)]


def test_attempts_pauses_and_the_answer_are_bars_one_after_the_other():
    failing = SimulatedProvider(script=[500, 503], latency=0.5)
    with router([entry("eu")], {"eu": failing}, num_retries=2, retry_after=2) as one:
        one.completion("gpt-4", HELLO)
        story = one.explain()
    assert shown(story) == [
        ("attempt 1 · eu", "failed", 0.0, 0.5, "InternalServerError (500)"),
        ("before a retry", "pauses", 0.5, 2.5, ""),
        ("attempt 2 · eu", "failed", 2.5, 3.0, "ServiceUnavailableError (503)"),
        ("before a retry", "pauses", 3.0, 5.0, ""),
        ("attempt 3 · eu", "answered", 5.0, 5.5, ""),
    ]


def test_a_wait_ends_where_the_attempt_begins():
    with router([entry("eu", rpm=1)], {}, on_exhausted="wait") as one:
        one.completion("gpt-4", HELLO)
        one.completion("gpt-4", HELLO)
        wait, attempt = shown(one.explain())
    assert wait == ("nobody is eligible", "waits", 0.0, 60.0, "")
    assert attempt[:3] == ("attempt 1 · eu", "answered", 60.0)


def test_of_two_side_by_side_the_slower_is_given_up():
    slow = {"eu": SimulatedProvider(latency=5), "us": SimulatedProvider(latency=5)}
    with router([entry("eu"), entry("us")], slow, hedge_after=1, hedge_budget=1) as one:
        one.completion("gpt-4", HELLO)
        first, second = bars(one.explain())
    assert (first.how, first.start, first.end) == ("answered", 0.0, 5.0)
    assert (second.how, second.start, second.end, second.note) == (
        "given up",
        1.0,
        5.0,
        "the other was faster",
    )


def test_a_stream_that_breaks_off_has_its_first_content_and_its_error():
    with router([entry("eu")], {"eu": SimulatedProvider(latency=1, chunk_seconds=0.5, cut_after=2)}) as one:
        stream = one.completion("gpt-4", HELLO, stream=True)
        with pytest.raises(RequestError):
            list(stream)
        (bar,) = bars(one.explain())
    assert (bar.how, bar.first, bar.end, bar.note) == ("failed", 1.0, 2.0, "APIConnectionError (500)")


def test_a_caller_who_left_and_an_answer_from_the_cache_are_told():
    with router([entry("eu")], {"eu": SimulatedProvider(latency=5)}, cache_responses=True) as one:
        asked = one.ask(CompletionRequest(model="gpt-4", messages=HELLO), block=False)
        one._dispatcher.clock.advance(2)
        asked.cancel()
        assert shown(one.explain()) == [("attempt 1 · eu", "given up", 0.0, 2.0, "its caller left")]
        one.completion("gpt-4", HELLO)
        one.completion("gpt-4", HELLO)
        ((name, how, *_),) = shown(one.explain())
    assert (name, how) == ("cache", "answered")


def test_what_has_no_end_yet_goes_on_to_the_edge():
    with router([entry("eu")], {"eu": SimulatedProvider(hang=True)}) as one:
        one.ask(CompletionRequest(model="gpt-4", messages=HELLO), block=False)
        one._dispatcher.clock.advance(2)
        story = one.explain()
    (bar,) = bars(story)
    assert (bar.how, bar.end) == ("open", None)
    assert ET.fromstring(waterfall(story)) is not None


def test_the_chart_is_svg_with_a_bar_for_each_and_no_name_breaks_it():
    busy = SimulatedProvider(script=[RateLimitError("no")], latency=1)
    names = ['<eu> & "co"', "mini"]
    entries = [entry(names[0]), entry(names[1], "small")]
    with router(entries, {names[0]: busy}, fallbacks=["small"]) as one:
        one.completion("gpt-4", HELLO)
        drawn = ET.fromstring(waterfall(one.explain()))
    fills = [rect.get("fill") for rect in drawn.iter(f"{SVG}rect")]
    assert fills == ["white", COLOURS["failed"], COLOURS["answered"]]
    failed = drawn.findall(f"{SVG}rect")[1]
    assert float(failed.get("x")) == LEFT
    words = [text.text for text in drawn.iter(f"{SVG}text")]
    assert 'attempt 1 · <eu> & "co"' in words
    assert "falls back to small" in words


@pytest.mark.parametrize(
    ("most", "round_"), [(0.3, 0.5), (1, 1), (1.01, 2), (5, 5), (7, 10), (101, 200), (0.0042, 0.005)]
)
def test_an_axis_ends_at_a_round_number_and_has_a_few_ticks(most, round_):
    assert nice(most) == pytest.approx(round_)
    places = ticks(most)
    assert 4 <= len(places) <= 8
    assert places[0] == 0
    assert places[-1] <= most * (1 + 1e-9)


def test_a_screen_has_the_command_and_every_line_with_its_tint():
    lines = ["all: cooling", "a <b> cooling", "well"]
    drawn = ET.fromstring(screen("turnout x", lines, {"cooling": "#fbbf24"}))
    texts = {text.text: text.get("fill") for text in drawn.iter(f"{SVG}text")}
    assert list(texts) == ["$ turnout x", *lines]
    assert [text for text, fill in texts.items() if fill == "#fbbf24"] == ["a <b> cooling"]


def test_the_commands_draw_what_they_print(lives, tmp_path, capsys):
    assert main(["replay", str(lives), "--svg", str(tmp_path / "moment.svg")]) == 0
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    drawn = ET.fromstring((tmp_path / "moment.svg").read_text(encoding="utf-8"))
    lines = [text.text.rstrip() for text in drawn.iter(f"{SVG}text")][1:]
    assert lines == [line for line in printed if line]
    assert main(["explain", str(lives), "--json", "--svg", str(tmp_path / "request.svg")]) == 0
    assert "chart" not in capsys.readouterr().out
    assert ET.fromstring((tmp_path / "request.svg").read_text(encoding="utf-8")) is not None


@pytest.mark.parametrize("arguments", [["--diff", "#1", "#2"], ["--follow"]])
def test_a_picture_is_of_one_moment(lives, tmp_path, capsys, arguments):
    assert main(["replay", str(lives), *arguments, "--svg", str(tmp_path / "x.svg")]) == 1
    assert "--svg draws one moment" in capsys.readouterr().err


def test_a_picture_that_cannot_be_written_is_one_line(lives, tmp_path, capsys):
    assert main(["explain", str(lives), "--svg", str(tmp_path / "no" / "x.svg")]) == 1
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert "No such file or directory" in complaint
