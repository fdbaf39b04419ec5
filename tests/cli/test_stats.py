"""`stats`: what was used, from a journal, and nothing of it is changed."""

import json

import pytest

from turnout import RequestError, Router
from turnout.actors.journal.sqlite_reader import SqliteReader
from turnout.cli.main import main
from turnout.cli.sparkline import BARS, sparkline
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders

MESSAGES = [{"role": "user", "content": "Hello"}]


def entry(name, group="gpt-4"):
    return {"model_name": group, "litellm_params": {"model": "openai/gpt-4o"}, "model_info": {"id": name}}


def router_on(file):
    providers = SimulatedProviders(
        {"us": SimulatedProvider(script=[500] * 3)}, default=SimulatedProvider(latency=0.5)
    )
    return Router(
        [entry("eu"), entry("us"), entry("mini", "small")],
        journal=f"sqlite:///{file}",
        clock=FakeClock(start=1_700_000_000),
        caller=providers,
        seed=1,
        disable_cooldowns=True,
    )


def use(router, times=12):
    for _ in range(times):
        try:
            router.completion("gpt-4", MESSAGES)
        except RequestError:
            continue
        finally:
            router._dispatcher.clock.advance(7)


@pytest.fixture
def journal(tmp_path):
    """The file of a router that was closed, and what it said it used."""
    file = tmp_path / "j.db"
    with router_on(file) as router:
        use(router)
        said = router.get_usage_stats()
    return file, said


@pytest.fixture
def stats(capsys):
    def run(*arguments):
        code = main(["stats", *map(str, arguments)])
        return code, *capsys.readouterr()

    return run


def test_it_is_what_the_router_itself_says(journal, stats):
    file, said = journal
    code, out, complaint = stats(file, "--json")
    found = json.loads(out)
    assert (code, complaint) == (0, "")
    for name in ("total", "groups", "deployments", "timeline", "complete"):
        assert found[name] == said[name], name


def test_the_tables_have_groups_deployments_and_lines_over_time(journal, stats):
    code, out, _ = stats(journal[0])
    assert code == 0
    assert out.startswith("from 2023-11-14 22:13:20 UTC to ")
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "InternalServerError" in lines["gpt-4/us"]
    assert "InternalServerError" in lines["gpt-4"]
    assert any(bar in lines["requests"] for bar in BARS)
    assert "each step is" in out


def test_it_can_be_read_while_a_router_has_it(tmp_path, stats):
    file = tmp_path / "j.db"
    with router_on(file) as router:
        use(router)
        router._journal.confirm().get()
        found = json.loads(stats(file, "--json")[1])
        assert found["total"] == router.get_usage_stats()["total"]
        use(router)


def test_the_file_is_neither_changed_nor_locked_and_none_is_left_beside_it(journal, stats):
    file, _ = journal
    before = file.read_bytes()
    names = sorted(path.name for path in file.parent.iterdir())
    assert stats(file)[0] == 0
    assert file.read_bytes() == before
    assert sorted(path.name for path in file.parent.iterdir()) == names
    router_on(file).close()


def test_the_address_of_a_journal_will_do_as_well(journal, stats):
    assert stats(f"sqlite:///{journal[0]}")[0] == 0


def test_without_a_snapshot_everything_is_counted(tmp_path, stats, monkeypatch):
    monkeypatch.setattr("turnout.actors.usage.actor.UsageActor.save_snapshot", lambda self: None)
    file = tmp_path / "j.db"
    with router_on(file) as router:
        use(router)
        said = router.get_usage_stats()["total"]
    assert json.loads(stats(file, "--json")[1])["total"] == said


def test_a_journal_in_which_nothing_happened_says_so(tmp_path, stats):
    from turnout.actors.journal.sqlite import SqliteStore

    SqliteStore(tmp_path / "j.db").close()
    assert stats(tmp_path / "j.db") == (0, "nothing was recorded yet\n", "")


@pytest.mark.parametrize("content", [None, b"", b"no database at all" * 100])
def test_what_is_no_journal_is_one_clear_line_and_is_not_made(tmp_path, stats, content):
    file = tmp_path / "j.db"
    if content is not None:
        file.write_bytes(content)
    code, out, complaint = stats(file)
    assert (code, out) == (1, "")
    assert str(file) in complaint
    assert complaint.count("\n") == 1
    assert file.exists() == (content is not None)


@pytest.mark.parametrize(
    ("values", "line"),
    [([], ""), ([0, 0], "  "), ([1, 2, 4, 8], "▂▃▅█"), ([5, 5, 0, 5], "██ █"), ([0.001, 1], "▁█")],
)
def test_a_line_over_time_has_its_highest_bar_at_the_largest_value(values, line):
    assert sparkline(values) == line


def test_only_what_came_after_the_last_snapshot_is_read(journal, stats, monkeypatch):
    asked = []
    read = SqliteReader.read

    def watched(self, stream=None, after=0, limit=None):
        asked.append(after)
        return read(self, stream, after, limit)

    monkeypatch.setattr(SqliteReader, "read", watched)
    assert stats(journal[0])[0] == 0
    assert len(asked) == 1
    assert asked[0] > 50
