"""`print_deployment_metrics()`: a table with counts, rates, times, tokens, money and errors."""

import io
import sys

import pytest

from turnout.messages.figures import dollars
from turnout.supervisor.face.metrics_table import Table, deployment_table, plain, print_table, seconds


@pytest.fixture
def router(make_router, ask, deployment):
    made = make_router(
        [deployment("eu"), deployment("mini", "small")],
        {"eu": {"script": [500], "latency": 0.5}},
        fallbacks=["small"],
    )
    for _ in range(3):
        ask(made)
    list(ask(made, "small", stream=True))
    return made


def cells(router):
    table = deployment_table(router.get_usage_stats())
    return {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}


def test_every_column_of_the_documents_is_there(router):
    row = cells(router)["gpt-4/eu"]
    assert (row["requests"], row["success"]) == ("3", "66.7 %")
    assert (row["latency"], row["p95"]) == ("500 ms", "500 ms")
    assert row["tokens/s"] != "–"
    assert (int(row["tokens"]) > 0, row["cost"].startswith("$")) == (True, True)
    assert row["errors"] == "33.3 %: 1 InternalServerError"


def test_the_last_row_is_the_total(router):
    row = cells(router)["total"]
    assert (row["requests"], row["success"], row["errors"]) == ("4", "100.0 %", "0.0 %")
    assert row["ttft"] == "500 ms"


def test_with_rich_it_is_drawn_and_no_row_is_broken_in_a_pipe(router, capsys):
    router.print_deployment_metrics()
    out = capsys.readouterr().out
    assert "Deployments" in out
    assert [line.split()[0] for line in out.splitlines()[2:]] == ["gpt-4/eu", "small/mini", "total"]


def test_without_rich_it_is_plain_text(router, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "rich"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "rich", None)
    router.print_deployment_metrics()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Deployments"
    assert lines[1].split()[:3] == ["deployment", "requests", "success"]
    assert [line.split()[0] for line in lines[2:]] == ["gpt-4/eu", "small/mini", "total"]


def test_a_sum_that_leaves_calls_out_says_so_and_one_that_is_not_known_is_no_zero(
    make_router, ask, deployment
):
    odd = deployment("odd", model="openai/nobody-knows-this", input_cost_per_token=None)
    del odd["litellm_params"]["output_cost_per_token"]
    router = make_router([odd, deployment("mini", "small")])
    ask(router)
    ask(router, "small")
    table = cells(router)
    assert table["gpt-4/odd"]["cost"] == "–"
    assert table["total"]["cost"].endswith("+")


def test_who_used_nothing_has_no_cost_beside_a_total_that_nobody_knows(make_router, ask, deployment):
    odd = deployment("odd", model="openai/nobody-knows-this", input_cost_per_token=None)
    del odd["litellm_params"]["output_cost_per_token"]
    router = make_router([odd, deployment("mini", "small")])
    ask(router)
    assert [row["cost"] for row in cells(router).values()] == ["–", "–", "–"]


def test_a_name_with_marks_of_rich_is_shown_as_it_is():
    out = io.StringIO()
    print_table(Table("", ("name", "n"), [("[red]x[/red]", "1")]), out)
    assert "[red]x[/red]" in out.getvalue()


def test_plain_columns_are_as_wide_as_they_need_to_be():
    assert plain(Table("", ("a", "number", "last"), [("long name", "7", "x")])) == [
        "a          number  last",
        "long name       7  x",
    ]


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "$0.00"),
        (12.345, "$12.35"),
        (1234.5, "$1,234.50"),
        (0.01234, "$0.0123"),
        (0.000055, "$0.000055"),
        (0.0000123, "$0.000012"),
        (4e-8, "$0.000000040"),
        (2e-12, "$2.0e-12"),
        (-1e-5, "-$0.000010"),
    ],
)
def test_small_sums_can_be_seen(amount, text):
    assert dollars(amount) == text


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (0.0421, "42 ms"), (1.5, "1.50 s")])
def test_seconds_below_one_are_milliseconds(value, text):
    assert seconds(value) == text
