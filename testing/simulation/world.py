"""A router, its callers, its providers and its bad luck, on one clock and in one thread."""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ...supervisor.router import Router
from ..fake_clock import FakeClock
from .auditor import Auditor
from .callers import Callers
from .options import draw_options
from .rulebook import Rulebook
from .upstream import SimulatedUpstream
from .violation import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .chance import Chance
    from .marks import Marks
    from .options import Options

__all__ = ["World", "only_our_crashes"]

CALM_SECONDS = 700.0
"""What everything has to settle in once faults stop: longer than any cooldown, deadline and window."""


class World:
    """One simulated world, from its options to its last word.

    Args:
        chance: draws everything that happens.
        hours: how long faults may happen, in the world's own time.
        marks: what was reached is counted here.
        crashes: hears of actors that die.
    """

    def __init__(self, chance: Chance, hours: float, marks: Marks, crashes: Crashes) -> None:
        self.crashes = crashes
        self.chance = chance
        self.marks = marks
        self.options: Options = draw_options(chance, hours)
        self.clock = FakeClock(start=self.options.start)
        self.end = self.options.start + self.options.seconds
        self.upstream = SimulatedUpstream(chance, self.options, marks)
        self.callers = Callers(chance, self.options, marks)
        self.rules = Rulebook.of(self.options)
        self.auditor = Auditor(self.rules, self.callers, self.upstream, marks)
        self.steps = 0
        self._open_router()

    def __repr__(self) -> str:
        return f"<World at {self.clock.now():.3f} · {self.callers!r} · {self.auditor!r}>"

    def _open_router(self) -> None:
        options = self.options
        self.router = Router(
            options.model_list,
            clock=self.clock,
            seed=options.router_seed,
            caller=self.upstream,
            **options.settings,
        )
        self.router._dispatcher.draw_order(self.chance)  # type: ignore[union-attr]
        self.auditor.watch(self.router)
        self.auditor.hear(self.router.events())

    # -- time

    def step_until(self, at: float) -> None:
        """Let everything happen that is due until `at`, looking at it after each step."""
        clock = self.clock
        while (when := clock.next_timer()) is not None and when <= at:
            clock.step()
            self._look()
        clock.advance(max(0.0, at - clock.now()))
        self._look()

    def _look(self) -> None:
        self.steps += 1
        self.callers.attend(self.clock)
        self.crashes.check(self.clock.now())
        self.auditor.look(self.clock.now())

    # -- its life

    def live(self) -> None:
        """Faults for as long as the options say, then calm, then the end.

        Raises:
            Violation: an invariant was broken.
        """
        while self.clock.now() < self.end:
            self.step_until(self.clock.now() + self.chance.exponential(self.options.gap))
            self._arrivals()
            self._look()
        self._heal()
        self._close()

    def _arrivals(self) -> None:
        burst = self.options.burst
        count = self.chance.whole(2, 12) if burst and self.chance.one_in(burst) else 1
        for _ in range(count):
            self.callers.ask(self.router, self.clock)

    def _heal(self) -> None:
        """Faults stop; everything must settle."""
        self.upstream.calm = self.callers.calm = True
        for mood in self.upstream.moods.values():
            mood.down, mood.slow = None, 1.0
        self.step_until(self.clock.now() + CALM_SECONDS)
        self._nothing_is_left_open()
        self._everybody_serves()

    def _nothing_is_left_open(self) -> None:
        now = self.clock.now()
        hanging = {call for call in self.upstream.under_way.values() if call.kind != "hang"}
        left = [*self.auditor.requests, *self.callers.open]
        if left:
            raise Violation("settled", f"{len(left)} requests are still open: {left[:3]}", now)
        if hanging:
            raise Violation("settled", f"{len(hanging)} calls are still open upstream", now)

    def _everybody_serves(self) -> None:
        """One request for each deployment by its id: it must answer, and its breaker must be closed after."""
        for name in self.options.provider_of:
            fields = {"model": name, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
            fields |= {"timeout": 500.0, "num_retries": 0, "disable_fallbacks": True, "priority": 0}
            self.callers.ask(self.router, self.clock, fields)
            (asker,) = self.callers.open.values()
            self.step_until(self.clock.now() + 100.0)
            if not asker.ended or asker.error is not None:
                raise Violation("settled", f"{name} is well and does not serve: {asker!r}", self.clock.now())
            if self.auditor.deployments[name].trips:
                raise Violation("settled", f"{name} is well and its breaker is open", self.clock.now())

    def _close(self) -> None:
        """I8, I12."""
        now = self.clock.now()
        self.auditor.compare_all(now)
        self.router.close()
        self._look()
        self.step_until(now + 1.0)
        timer = self.clock.next_timer()
        if timer is not None:
            raise Violation("I12", f"a timer is left for {timer}", now)
        alive = [ref for ref in self.router._wiring.system._refs.values() if ref.is_alive()]
        if alive:
            raise Violation("I12", f"{len(alive)} actors are left", now)

    # -- afterwards

    def last_events(self, most: int = 40) -> tuple[str, ...]:
        """The story so far, its end only, as lines."""
        recorded = list(self.router._journal.read())[-most:]
        return tuple(f"{r.at - self.options.start:10.4f}  {r.stream}  {r.event!r}" for r in recorded)

    def abandon(self) -> None:
        """Leave nothing of it behind, whatever state it is in."""
        with suppress(Exception):
            self.router.close()
        self.router._wiring.system.unregister_all()


class Crashes(logging.Handler):
    """Hears of every actor that dies of an exception, and keeps quiet about those that were injected."""

    def __init__(self) -> None:
        super().__init__()
        self.own: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if "Injected" not in text:
            self.own.append(text)

    def check(self, now: float) -> None:
        if self.own:
            raise Violation("crash", self.own[0], now)


@contextmanager
def only_our_crashes() -> Iterator[Crashes]:
    """The loggers of pykka and of ours are quiet meanwhile; a crash of its own is a violation."""
    handler = Crashes()
    quiet = [logging.getLogger(name) for name in ("pykka", "turnout")]
    before = [(logger, logger.propagate, logger.disabled) for logger in quiet]
    for logger in quiet:
        logger.propagate = False
    quiet[0].addHandler(handler)
    quiet[1].addHandler(logging.NullHandler())
    try:
        yield handler
    finally:
        quiet[0].removeHandler(handler)
        for logger, propagate, disabled in before:
            logger.propagate, logger.disabled = propagate, disabled
