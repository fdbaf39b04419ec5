"""How fast simulated time is played: actor messages a second, and an hour at ten requests a second.

A message is one that is left in an actor's mailbox: from another actor, from a provider, a timer or a caller
(`Inbox.post`). Timers, callbacks, recorded events and what an auditor looks at are none. The same seed
plays the same, so messages are counted in one play and the seconds are taken from others, in which nothing
is counted. All seconds are of the process's own CPU time: this is one thread, which waits for nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from turnout.actors.runtime.actor import Inbox
from turnout.testing.scenarios import Scenario, play
from turnout.testing.simulation.run import run_seed

from ..load import p50
from ..progress import say
from ..report import Figure

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR = 3600.0
GOAL_MESSAGES = 100_000.0
GOAL_HOUR = 5.0
SEEDS = 20


def measure(*, quick: bool = False) -> list[Figure]:
    lasts = HOUR / 12 if quick else HOUR
    scenario = Scenario(
        lasts=lasts,
        requests_per_second=10,
        router={"num_retries": 2, "timeout": 60},
        deployments=[
            {
                "id": f"bench-{number}",
                "model_name": "bench",
                "latency": {"p50": 1.0, "p95": 3.0},
                "input_cost_per_token": 2.5e-6,
                "output_cost_per_token": 1e-5,
            }
            for number in range(4)
        ],
    )
    rounds = 3 if quick else 5
    say("simulator: an hour at ten requests a second")
    messages, seconds = taken(lambda: play(scenario), rounds)
    say(f"simulator: {SEEDS} worlds of bad luck")
    audited, audited_seconds = taken(worlds, 1 if quick else rounds)
    return [
        Figure(
            "a simulated hour at ten requests a second: CPU seconds",
            seconds * HOUR / lasts,
            "s",
            GOAL_HOUR,
            detail=f"{lasts * 10:.0f} requests in {seconds:.2f} s",
        ),
        Figure(
            "actor messages in a second of CPU, in that hour",
            messages / seconds,
            "/s",
            GOAL_MESSAGES,
            "higher",
            f"{messages} messages, {1e6 * seconds / messages:.1f} us each",
        ),
        Figure(
            "the same in worlds of bad luck, with the auditor's looks after each step",
            audited / audited_seconds,
            "/s",
            None,
            "higher",
            f"{SEEDS} worlds, {audited} messages in {audited_seconds:.2f} s",
        ),
    ]


def worlds() -> None:
    for seed in range(SEEDS):
        run_seed(seed)


def taken(act: Callable[[], object], rounds: int) -> tuple[int, float]:
    """The messages of an act, and the CPU seconds it takes: the median over its rounds."""
    messages = counted(act)
    seconds = []
    for _ in range(rounds):
        started = time.process_time()
        act()
        seconds.append(time.process_time() - started)
    return messages, p50(seconds)


def counted(act: Callable[[], object]) -> int:
    """How many messages are left in mailboxes meanwhile."""
    post, count = Inbox.post, 0

    def counting(inbox: Inbox, message: Any, reply: Any = None) -> None:
        nonlocal count
        count += 1
        post(inbox, message, reply)

    Inbox.post = counting  # type: ignore[method-assign]
    try:
        act()
    finally:
        Inbox.post = post  # type: ignore[method-assign]
    return count
