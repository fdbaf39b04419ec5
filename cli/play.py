"""Plays a scenario for `python -m turnout simulate SCENARIO.yaml`, and shows what it came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..messages.errors import ConfigurationError, TurnoutError
from ..testing.scenarios import chart, load_scenario, located, play, table
from .failure import Failure
from .once import told_once
from .pictures import check_place, write_picture
from .progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

    from ..testing.scenarios import Figures, Scenario

__all__ = ["SCENARIO_SEEDS", "play_scenario"]

SCENARIO_SEEDS = 3


def play_scenario(path: Path, seeds: int, svg: Path | None) -> int:
    """Play it with and without its incidents, with several seeds, and print the table."""
    scenario = _load(path)
    if svg is not None:
        check_place(svg)
    heads = ["without", "with incidents"] if scenario.happens else ["as it is"]
    minutes = int(-(-scenario.lasts // 60.0)) * seeds * (2 if scenario.happens else 1)
    usual: list[Figures] = []
    real: list[Figures] = []
    try:
        with told_once(), Progress("minutes", minutes) as progress:
            for seed in range(1, seeds + 1):
                if scenario.happens:
                    usual.append(play(scenario, seed, calm=True, tick=lambda _: progress.step("without")))
                real.append(play(scenario, seed, tick=lambda _: progress.step(heads[-1])))
    except ConfigurationError as error:
        raise Failure(located(path, str(error))) from None
    columns = [usual, real] if usual else [real]
    if svg is not None:  # first: whoever reads the table may have read enough
        write_picture(svg, chart(scenario, (usual or real)[0], real[0]))
    of = "1 seed" if seeds == 1 else f"{seeds} seeds (mean ± half the range)"
    print(f"{scenario.name}: {scenario.lasts / 60:g} min, {of}\n")
    print(table(heads, columns))
    if svg is not None:
        print(f"\nchart: {svg}")
    return 0


def _load(path: Path) -> Scenario:
    try:
        return load_scenario(path)
    except TurnoutError as error:
        raise Failure(str(error)) from None
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise Failure(msg) from None
    except ImportError:
        msg = "scenarios are YAML: install turnout[cli], or PyYAML"
        raise Failure(msg) from None
