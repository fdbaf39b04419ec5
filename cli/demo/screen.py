"""How the board is shown: live with rich on a terminal, as a line now and then anywhere else."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, Self

from ..failure import Failure
from .scene import NOTES

if TYPE_CHECKING:
    from .board import Board, Row

__all__ = ["PlainScreen", "Screen", "make_screen"]

LINE_EVERY = 20
"""The plain screen writes a line whenever so many more requests are done."""


class Screen(AbstractContextManager["Screen"], Protocol):
    """Where the board is shown while requests run."""

    def show(self, board: Board) -> None:
        """Show how things are now."""


def make_screen(requests: int, *, plain: bool) -> Screen:
    """The live one on a terminal, unless `plain`.

    Raises:
        Failure: rich is not installed.
    """
    if plain or not sys.stdout.isatty():
        return PlainScreen(requests)
    try:
        return LiveScreen(requests)
    except ImportError:
        msg = 'the live view needs rich: pip install rich (the extra "cli" brings it), or use --plain'
        raise Failure(msg) from None


def summary_line(board: Board) -> str:
    """The totals in one line."""
    return (
        f"{board.retries} retries · {board.fallbacks} fallbacks · {board.waits} waits · "
        f"{board.cache_hits} from cache · {board.errors} errors · {board.tokens} tokens · ${board.cost:.4f}"
    )


class PlainScreen:
    """Lines, for pipes and logs."""

    def __init__(self, requests: int) -> None:
        self._requests = requests
        self._shown = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        """Nothing to take down."""

    def show(self, board: Board) -> None:
        """A line, when enough has happened since the last one."""
        done = board.done - board.done % LINE_EVERY
        if done > self._shown:
            self._shown = done
            under_way = board.accepted - board.done
            print(
                f"{board.done:4}/{self._requests} done · {under_way} under way · {summary_line(board)}",
                flush=True,
            )


class LiveScreen:
    """A progress bar and a table that move."""

    def __init__(self, requests: int) -> None:
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("requests"), BarColumn(bar_width=None), MofNCompleteColumn(), TimeElapsedColumn()
        )
        self._task = self._progress.add_task("requests", total=requests)
        self._live = Live(self._progress, refresh_per_second=8)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._live.stop()

    def show(self, board: Board) -> None:
        """Draw the board anew."""
        from rich.console import Group
        from rich.text import Text

        self._progress.update(self._task, completed=board.done)
        line = Text(summary_line(board), style="dim")
        self._live.update(Group(self._progress, _table(board), line))


def _table(board: Board) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, expand=True)
    table.add_column("group")
    table.add_column("deployment")
    table.add_column("which", style="dim", ratio=1)
    table.add_column("state")
    for name in ("open", "served", "failed", "latency", "cost"):
        table.add_column(name, justify="right")
    group = ""
    for row in board.rows.values():
        table.add_row("" if row.group == group else row.group, *_cells(row, board.now))
        group = row.group
    return table


def _cells(row: Row, now: float) -> tuple[str, ...]:
    state = row.state(now)
    colour = {"ready": "green", "half-open": "yellow"}.get(state, "red")
    latency = "–" if row.latency is None else f"{row.latency * 1000:.0f} ms"
    calls = ("●" * row.open, str(row.served), str(row.failed))
    return row.id, NOTES.get(row.id, ""), f"[{colour}]{state}[/]", *calls, latency, f"${row.cost:.4f}"
