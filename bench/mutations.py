"""Breaks the core in ways a simulator must notice, one at a time, and counts the seeds it takes.

    .venv/bin/python -m bench.mutations            # all of them, as the table of docs/simulation.md
    .venv/bin/python -m bench.mutations half-open  # those whose words hold "half-open"

Each mutation changes a line or a few of a private copy; the checkout stays as it is. Exit code 1 when one of
them is not caught, 2 when one's text is not (or not only once) where it should be: then none is tried.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import turnout

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(turnout.__file__).parent
SEEDS = 2_000
ROOMS = ("messages", "actors", "supervisor", "history", "backtest", "integrations", "testing", "cli")
"""All of them: one that were not copied would be imported from the checkout."""


class Mutation(NamedTuple):
    words: str
    file: str
    old: str
    new: str


STATE, BREAKER, WINDOW = (f"actors/deployment/{name}.py" for name in ("state", "cooldown", "limits"))
DEPLOYMENT, GROUP = "actors/deployment/actor.py", "actors/model_group/actor.py"
SUPERVISOR, DESK, OPEN = (f"supervisor/{name}.py" for name in ("supervisor", "desk", "open_request"))
HEDGES, STRATEGY = "supervisor/hedge_desk.py", "actors/model_group/strategies/{}.py"
PLAN, FALLBACKS = (f"supervisor/planning/{name}.py" for name in ("plan", "fallbacks"))

COOLING = "if {}:\n                return self._cooling(now)\n            probe"
START = (
    "{}"
    "        watched = None if self._observer is None else self._observer.begin(call, self.deployment, now)\n"
    "        limited = self.state.limits.max_parallel is not None "
    "or call.request.max_parallel_requests is not None\n"
    "        handle = self._caller.start(ProviderCall(call, self.deployment, limited), self._deliver)\n"
    "{}"
)

MUTATIONS = (
    Mutation(
        "drop the release of a slot",
        STATE,
        "call = self.open.pop(call_id, None)",
        "call = self.open.get(call_id)",
    ),
    Mutation(
        "admit one request more than rpm",
        STATE,
        "window.starts + extra.requests + starts > limits.rpm",
        "window.starts + extra.requests + starts > limits.rpm + 1",
    ),
    Mutation(
        "forget the reservation in the tpm check",
        STATE,
        "window.tokens + extra.tokens + reserved > limits.tpm",
        "window.tokens + extra.tokens > limits.tpm",
    ),
    Mutation(
        "swap >= for > in the parallel check",
        STATE,
        "if parallel is not None and len(self.open) >= parallel:",
        "if parallel is not None and len(self.open) > parallel:",
    ),
    Mutation(
        "forget the half-open rule: any number of probes",
        STATE,
        COOLING.format("now < breaker.until or breaker.probe is not None"),
        COOLING.format("now < breaker.until"),
    ),
    Mutation(
        "start calls while cooling down",
        STATE,
        COOLING.format("now < breaker.until or breaker.probe is not None"),
        COOLING.format("breaker.probe is not None"),
    ),
    Mutation(
        "skip the settling of tokens",
        STATE,
        "self.window.settle(call.bucket, used - call.reserved, at)",
        "self.window.settle(call.bucket, 0, at)",
    ),
    Mutation(
        "let a start count for 59 s of a minute",
        WINDOW,
        "WINDOW_SECONDS = 60.0",
        "WINDOW_SECONDS = 59.0",
    ),
    Mutation(
        "a failed probe does not double the cooldown",
        BREAKER,
        "doublings = self.trips if failure.probe else max(0, self.trips - 1)",
        "doublings = max(0, self.trips - 1)",
    ),
    Mutation(
        "one failure too many before a cooldown",
        BREAKER,
        "return self.recent(failure.error, policy) > allowed",
        "return self.recent(failure.error, policy) > allowed + 1",
    ),
    Mutation(
        "a good probe does not close the breaker",
        DEPLOYMENT,
        "            if opened.probe:\n                self.record(CooldownEnded(), now)\n",
        "",
    ),
    Mutation(
        "leave the calls of a dead process open",
        DEPLOYMENT,
        "self.record(CallAbandoned(call_id, call.request_id), now)",
        "pass",
    ),
    Mutation(
        "do not abort a call that timed out",
        DEPLOYMENT,
        "usage = running.handle.cancel()\n        seconds = now",
        "usage = None\n        seconds = now",
    ),
    Mutation(
        "keep a refusal from the group",
        DEPLOYMENT,
        "if not self._tell(group, CallRefused(assign, left_out, self._status(now))):",
        "if False:",
    ),
    Mutation(
        "reuse a deployment that failed in the request",
        OPEN,
        "            state.failed,\n            never,",
        "            frozenset(),\n            never,",
    ),
    Mutation(
        "heed no order",
        "actors/model_group/strategies/tiers.py",
        "return math.inf if deployment.order is None else deployment.order",
        "return math.inf",
    ),
    Mutation(
        "take the default ones for as good as those with the tags",
        "actors/model_group/suitable.py",
        "            return 1\n",
        "            return 0\n",
    ),
    Mutation(
        "send calls to those who failed a health check",
        "actors/model_group/roster.py",
        'return LeftOut(candidate.id, "unhealthy")\n\n    def _spare_or_not',
        "return item\n\n    def _spare_or_not",
    ),
    Mutation(
        "keep cached answers for ever",
        "actors/cache/memory.py",
        "if entry.until <= now:",
        "if entry.until is None:",
    ),
    Mutation(
        "call for nobody when the first of those who wait gives up",
        "actors/cache/actor.py",
        "            self._seek(name, self._asked[name].key)\n\n    # -- the store",
        "            pass\n\n    # -- the store",
    ),
    Mutation(
        "sleep past the deadline",
        PLAN,
        "    if now + pause < state.deadline:\n        return Pause(pause)\n    return onward",
        "    if pause:\n        return Pause(pause)\n    return onward",
    ),
    Mutation(
        "retry once more than allowed",
        PLAN,
        "return state.group_attempts <= rules.allowed(failed, requested)",
        "return state.group_attempts <= rules.allowed(failed, requested) + 1",
    ),
    Mutation(
        "do not retry after a time-out",
        PLAN,
        '        "MidStreamError",\n    }',
        '        "MidStreamError",\n        "Timeout",\n    }',
    ),
    Mutation(
        "ignore a provider's Retry-After in the pause",
        PLAN,
        "seconds = max(self.retry_after, failed.retry_after or 0.0)",
        "seconds = self.retry_after",
    ),
    Mutation(
        "try a group twice",
        "supervisor/planning/fallbacks.py",
        "if group is not None and group not in tried:",
        "if group is not None and group != tried[-1]:",
    ),
    Mutation(
        "one fallback too many",
        "supervisor/planning/fallbacks.py",
        "if len(tried) > self.max_fallbacks:",
        "if len(tried) > self.max_fallbacks + 1:",
    ),
    Mutation(
        "tell the last group's error, not the first's",
        SUPERVISOR,
        "self._fail(entry, entry.first_error or error, now)",
        "self._fail(entry, error, now)",
    ),
    Mutation(
        "watch no deadline",
        DESK,
        "            self._deadlines.add(entry.state.deadline, request_id)\n        else:",
        "            pass\n        else:",
    ),
    Mutation(
        "leave the call running when its caller leaves",
        DESK,
        "        self._withdraw(entry, message.reason)\n        state = entry.state\n        attempts",
        "        state = entry.state\n        attempts",
    ),
    Mutation(
        "wake nobody when a slot comes free",
        GROUP,
        "        if self._room:\n            self._serve(now)\n\n    def _add_member",
        "\n    def _add_member",
    ),
    Mutation(
        "set no timer for the next release",
        GROUP,
        "        if not self._room:\n            at = None\n        timer",
        "        at = None\n        timer",
    ),
    Mutation(
        "set aside the prompt only, not the answer",
        "messages/outcomes.py",
        "        return prompt + output",
        "        return prompt",
    ),
    Mutation(
        "ignore a deployment's timeout",
        DEPLOYMENT,
        "if call.stream or self.deployment.timeout is not None:",
        "if call.stream:",
    ),
    Mutation(
        "leave the timer of a call that ended",
        DEPLOYMENT,
        "del self._running[call.call_id]\n        if running.timer is not None:",
        "del self._running[call.call_id]\n        if False:",
    ),
    Mutation(
        "ignore what a provider says is left",
        DEPLOYMENT,
        "        if outcome.limits is not None:\n            self._correct",
        "        if False:\n            self._correct",
    ),
    Mutation(
        "call the provider before the start is recorded",
        DEPLOYMENT,
        START.format(
            "        self.record(verdict, now)  # type: ignore[arg-type]  # a LeftOut has returned\n", ""
        ),
        START.format("", "        self.record(verdict, now)\n"),
    ),
    Mutation(
        "a snapshot forgets how often the breaker opened",
        BREAKER,
        '"trips": self.trips,',
        '"trips": 0,',
    ),
    Mutation(
        "pick the busiest, and the one that has used most",
        STRATEGY.format("lowest"),
        "    bucket = buckets.lowest()\n",
        "    bucket = list(buckets.ascending())[-1]\n",
    ),
    Mutation(
        "pick the slowest",
        STRATEGY.format("latency_based"),
        "return sum(values) / len(values)",
        "return -sum(values) / len(values)",
    ),
    Mutation(
        "ignore weights",
        STRATEGY.format("shuffle"),
        "position = int(draw * len(items)) if weights is None else weights.find(draw * weights.total)",
        "position = int(draw * len(items))",
    ),
    Mutation(
        "serve those that wait by their priority upside down",
        "actors/model_group/waiting_room.py",
        "rank = (assign.priority, assign.call.deadline, self._arrivals)",
        "rank = (-assign.priority, assign.call.deadline, self._arrivals)",
    ),
    Mutation(
        "retry without a budget",
        SUPERVISOR,
        "if wanted and self._budget.take(now):",
        "if wanted:",
    ),
    Mutation(
        "hedge without a budget",
        HEDGES,
        "        if not self._hedging.take():\n            return\n",
        "",
    ),
    Mutation(
        "read the stream of the attempt that lost",
        HEDGES,
        "        if entry.streamed:\n            entry.channel = hedge.channel\n",
        "",
    ),
    Mutation(
        "tell callers to come again a minute after somebody is free",
        "supervisor/answers.py",
        "max(0.0, message.earliest - now)",
        "max(0.0, message.earliest - now) + 60.0",
    ),
    Mutation(
        "let those who left go on waiting",
        DESK,
        "elif entry.pause is None and entry.target is not None:",
        "elif False:",
    ),
    Mutation(
        "forget those that a group had when it crashed",
        SUPERVISOR,
        "        self._assign_again(message.group)",
        "        pass",
    ),
    Mutation(
        "set money aside that a shared budget has not",
        "actors/budget/state.py",
        "if not ledger.admits(amount, now):",
        "if not ledger.admits(0, now):",
    ),
    Mutation(
        "tell nobody that a shared budget has more",
        "actors/budget/treasury.py",
        "            if name in self._refused:\n",
        "            if False:\n",
    ),
    Mutation(
        "keep what was set aside for a call that is over",
        DEPLOYMENT,
        "            self._settle(call.call_id, (charged or 0.0) if cost is None else cost)\n",
        "            pass\n",
    ),
    Mutation(
        "take London for a place in the European Union",
        "messages/regions.py",
        "area is not None and region not in area[1] and",
        "area is not None and",
    ),
    Mutation(
        "check in the background those who answer calls",
        "actors/deployment/checkup.py",
        "if since is not None and self.state.well_since(since):",
        "if False:",
    ),
    Mutation(
        "no round of checks after the first",
        "supervisor/fleet/health_checker.py",
        "            self._background = None\n",
        "            pass\n",
    ),
)


def copy_of_the_package(folder: Path) -> Path:
    package = folder / "turnout"
    package.mkdir()
    for file in ROOT.glob("*.py"):
        shutil.copy(file, package)
    for room in ROOMS:
        shutil.copytree(ROOT / room, package / room, ignore=shutil.ignore_patterns("__pycache__"))
    return package


def caught(mutation: Mutation) -> tuple[int, str] | None:
    """The seeds it took, and the invariant; None when it was not caught."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = copy_of_the_package(folder) / mutation.file
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
        command = [sys.executable, "-m", "turnout", "simulate", "--first", "0", "--seeds", str(SEEDS)]
        done = subprocess.run(
            [*command, "--no-shrink", "--stop-at-first", "--marks-from", "1000000"],
            cwd=folder,
            env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
    found = re.search(r"^seed (\d+): (\w+)", done.stdout, re.MULTILINE)
    if found is None:
        assert "failed" in done.stdout, done.stderr
        return None
    return int(found[1]) + 1, found[2]


def misfits(mutations: Iterable[Mutation]) -> list[str]:
    """Those whose text is not there, or not only there: the core has changed since they were written."""
    counts = ((m, (ROOT / m.file).read_text(encoding="utf-8").count(m.old)) for m in mutations)
    return [f"{m.words}: found {count} times in {m.file}" for m, count in counts if count != 1]


def _seeds(count: int) -> str:
    return "seed" if count == 1 else "seeds"


def _arguments(words: list[str] | None) -> argparse.Namespace:
    about, _, more = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="python -m bench.mutations",
        description=about,
        epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", nargs="*", metavar="WORD", help="only those whose words hold all of these")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    wanted = _arguments(words).words
    chosen = [m for m in MUTATIONS if all(word in m.words for word in wanted)]
    if not chosen:
        print(f"no mutation's words hold {' and '.join(wanted)}", file=sys.stderr)
        return 2
    wrong = misfits(chosen)
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 2
    print("| mutation | where | caught after | by |\n|---|---|---|---|", flush=True)
    missed = 0
    for mutation in chosen:
        result = caught(mutation)
        missed += result is None
        told = "**not caught** | –" if result is None else f"{result[0]} {_seeds(result[0])} | {result[1]}"
        print(f"| {mutation.words} | `{mutation.file}` | {told} |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
