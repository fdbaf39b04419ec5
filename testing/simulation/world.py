"""A router, its callers, its providers and its bad luck, on one clock and in one thread."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pykka
from attrs import evolve

from ...supervisor.face.router import Router
from ..fake_clock import FakeClock
from .audit.auditor import Auditor
from .audit.journal_book import losses_are_told
from .audit.pots import in_units
from .audit.rulebook import Rulebook
from .audit.usage import compare_usage
from .audit.violation import Violation
from .callers import Callers
from .diary import Note
from .disk import SimulatedDisk
from .misfortunes import Misfortunes
from .options import draw_options
from .upstream import SimulatedUpstream

if TYPE_CHECKING:
    from .callers import SimulatedCaller
    from .chance import Chance
    from .crashes import Crashes
    from .diary import Diary
    from .marks import Marks
    from .options import Options

__all__ = ["CALM_SECONDS", "COMES", "World"]

CALM_SECONDS = 5000.0
"""What everything has to settle in once faults stop: longer than any cooldown, deadline and window."""

CALM_COMMIT_SECONDS = 60.0
"""Between two writes to a disk that nothing befalls any more: a calm world is mostly these."""

CALM_ROUND_SECONDS = 1_000.0
"""Between two rounds of health checks then."""

CHECK_SECONDS = 200.0
"""In which health checks are over, and have left the windows of a minute."""

COMES = "comes"
"""For what it is drawn how many come in a turn."""

NOBODY_ONE_IN = 16
"""Of those who might come, who does not after all."""

SERVE_SECONDS = 100.0
"""In which a deployment that is well must answer."""

_HELLO = [{"role": "user", "content": "Hi"}]
HELLO_TOKENS = 10
"""More than it is taken for."""


class World:
    """One simulated world, from its options to its last word.

    Args:
        chance: draws everything that happens.
        hours: how long faults may happen, in the world's own time.
        marks: what was reached is counted here.
        crashes: hears of actors that die.
        diary: where what befalls it is noted, if anybody wants to know.
    """

    def __init__(
        self, chance: Chance, hours: float, marks: Marks, crashes: Crashes, diary: Diary | None = None
    ) -> None:
        self.chance = chance
        self.diary = diary
        self.marks = marks
        self.crashes = crashes
        self.options: Options = draw_options(chance, hours)
        self.clock = FakeClock(start=self.options.start)
        self.end = self.options.start + self.options.seconds
        self.upstream = SimulatedUpstream(chance, self.options, marks)
        self.callers = Callers(chance, self.options, marks)
        self.disk = SimulatedDisk(marks)
        self.rules = Rulebook.of(self.options)
        self.auditor = Auditor(self.rules, self.callers, self.upstream, marks)
        self.steps = 0
        self.ended_lives: list[Auditor] = []
        self._open_router()
        self.misfortunes = Misfortunes(self)

    def __repr__(self) -> str:
        return f"<World at {self.clock.now():.3f} · {self.callers!r} · {self.auditor!r}>"

    # -- a router's life

    def _open_router(self) -> None:
        options = self.options
        journal: Any = self.disk if options.journal == "disk" else "memory"
        after = self.disk.last_position()
        router = self.router = Router(
            options.model_list,
            clock=self.clock,
            seed=options.router_seed,
            journal=journal,
            caller=self.upstream,
            **options.settings,
        )
        router._dispatcher.draw_order(self.chance)  # type: ignore[union-attr]
        # its own draws, too, come from the one source of chance: a shorter history keeps them
        router._wiring._rng.random = self.chance.part("router").fraction  # type: ignore[method-assign]
        if router._journal._writer is not None:
            router._journal._writer._max_queued = options.max_queued
            self._commit()
        self.auditor.watch(router)
        self.auditor.catch_up(router.events(after=after))

    def _commit(self) -> None:
        """What the journal's writer does every now and then: it has no thread here."""
        clock, writer, chance = self.clock, self.router._journal._writer, self.chance.part("disk")
        assert writer is not None

        def commit() -> None:
            if self.clock is not clock:
                return
            if writer.queued > 10 * self.options.max_queued // 11 or writer.queued > SLOW_QUEUE:
                self.marks.sometimes("journal slow")
            writer._hurry()
            calm = self.callers.calm
            if calm or chance.below(2):
                self.disk.sync()
            if not writer.closed:
                clock.call_later(CALM_COMMIT_SECONDS if calm else self.options.commit_every, commit)

        clock.call_later(self.options.commit_every, commit)

    def _die(self, position: int) -> None:
        """The process is gone after the event at `position`; another one starts on what is left."""
        self.marks.sometimes("router killed")
        self._bury_router()
        self.auditor.cut(position)
        self.disk.forget_after(position)
        written = self.disk.last_position()
        self.disk.power_cut(self.chance.below(self.disk.unsynced + 1))
        if self.disk.last_position() < position or written < position:
            self.marks.sometimes("unsynced tail lost")
        self.callers.forget()
        pause = self.chance.choice((1.0, 0.0, 100.0, -500.0))
        self._note_death(position, pause)
        if pause < 0:
            self.marks.sometimes("clock set back")
            self.end += pause
        self.clock = FakeClock(start=max(0.0, self.clock.now() + pause))
        self.misfortunes.end_life()
        self.ended_lives.append(self.auditor)
        self.auditor = Auditor(self.rules, self.callers, self.upstream, self.marks)
        self.auditor.recover(self.disk, self.clock.now(), self.ended_lives[-1])
        self._open_router()

    def _note_death(self, position: int, pause: float) -> None:
        lost = position - self.disk.last_position()
        how_many = "the last event" if lost == 1 else f"the last {lost} events"
        what = f"{how_many} of its journal lost" if lost > 0 else "its journal whole"
        clock = f"after {pause:g} s" if pause >= 0 else f"on a clock that was set back by {-pause:g} s"
        self.note("the process", f"is killed, {what}; another one starts {clock}")

    def _bury_router(self) -> None:
        """Nothing of a dead process acts any more."""
        router = self.router
        router._finalizer.detach()
        router._dispatcher.close()  # type: ignore[union-attr]
        router._wiring.system.unregister_all()

    # -- time

    def step_until(self, at: float) -> None:
        """Let everything happen that is due until `at`, looking at it after each step."""
        clock = self.clock
        while (when := clock.next_timer()) is not None and when <= at:
            clock.step()
            self.look()
            if self.clock is not clock:
                return
        if at > clock.now():
            clock.advance(at - clock.now())
            self.look()

    def look(self) -> None:
        """The actors have done what they can: hold it against the books."""
        self.steps += 1
        dying_at = self.misfortunes.dying_at
        if dying_at is not None and self.router._journal.position >= dying_at:
            self._die(dying_at)
            return
        self.callers.attend(self.clock)
        self.crashes.check(self.clock.now())
        self.auditor.look(self.clock.now())

    def ask(self, number: int, fields: dict[str, Any] | None = None) -> None:
        """Somebody asks, one of several at this moment."""
        if self.diary is None:
            self.callers.ask(self.router, self.clock, number, fields)
            return
        at = self._here("a caller")
        caller = self.callers.ask(self.router, self.clock, number, fields)
        if caller is not None:
            self.diary.asked.append(caller.request_id)
        self.diary.notes.append(evolve(at, what=_asked(caller)))

    def note(self, who: str, what: str) -> None:
        """Something happens that no router records."""
        if self.diary is not None:
            self.diary.notes.append(evolve(self._here(who), what=what))

    def _here(self, who: str) -> Note:
        return Note(len(self.ended_lives), self.router._journal.position, self.clock.now(), who, "")

    # -- its life

    def live(self, most_requests: int | None = None) -> None:
        """Faults for as long as the options say, then calm, then the end; too many requests end it before.

        Raises:
            Violation: an invariant was broken.
        """
        self.suffer(most_requests)
        if most_requests is not None and self.callers.asked > most_requests:
            return
        self.chance.begin(-1)
        if self.chance.one_in(6):
            self._close_while_busy()
        else:
            self._heal()
        self._close()

    def suffer(self, most_requests: int | None = None) -> None:
        """The first part of its life: requests, so many at most, and faults."""
        for turn in range(1, self.options.arrivals + 1):
            if self.clock.now() >= self.end or self.closed_by_itself:
                break
            if most_requests is not None and self.callers.asked > most_requests:
                break
            self.chance.begin(turn)
            self.step_until(self.clock.now() + self.chance.exponential(self.options.gap))
            self._arrivals()
            self.look()
            self.misfortunes.maybe()
            self.look()

    @property
    def closed_by_itself(self) -> bool:
        """Its Supervisor crashed again and again, and takes no more requests."""
        return self.auditor.living.closed_by_itself

    def _arrivals(self) -> None:
        """Nobody comes in the dullest of turns, so that a request can be left out while time goes on."""
        chance, burst = self.chance.part(COMES), self.options.burst
        count = chance.whole(2, 12) if burst and chance.one_in(burst) else 1
        for number in range(count):
            if chance.below(NOBODY_ONE_IN):
                self.ask(number)

    def _close_while_busy(self) -> None:
        self.misfortunes.end()
        if self.auditor.requests:
            self.marks.sometimes("closed with requests open")

    def _heal(self) -> None:
        """Faults stop; everything must settle."""
        self.note("the world", f"all faults stop, and {CALM_SECONDS:g} s are left to settle in")
        self.misfortunes.end()
        self.upstream.calm = self.callers.calm = True
        self._check_less_often()
        self.step_until(self.clock.now() + CALM_SECONDS)
        if "checks" in self.options.faults:  # when no limit stands in their way any more
            self.misfortunes.check_health()
            self.step_until(self.clock.now() + CHECK_SECONDS)
        self._nothing_is_left_open()
        if not self.closed_by_itself:
            self._everybody_serves()

    def _check_less_often(self) -> None:
        """A calm world would be mostly rounds of checks."""
        checker = self.auditor.living.service("health")
        if checker is not None and self.auditor.rounds.interval is not None:
            checker._interval = self.auditor.rounds.interval = CALM_ROUND_SECONDS

    def _nothing_is_left_open(self) -> None:
        now = self.clock.now()
        left = [*self.auditor.requests, *self.callers.open]
        if left:
            raise Violation("settled", f"{len(left)} requests are still open: {left[:3]}", now)
        if not all(report.done() for report in self.misfortunes.reports):
            raise Violation(
                "settled", "a health check was asked for, and nobody was told what came of it", now
            )
        calls = [call for call in self.upstream.under_way if ".check" not in call]
        if calls:
            raise Violation("settled", f"{len(calls)} calls are still open upstream: {calls[:3]}", now)

    def _everybody_serves(self) -> None:
        """A request for each deployment by its id: it must answer, and its breaker must be closed after."""
        failed = self.router._wiring.failed
        for name in self.options.provider_of:
            group = self.rules.deployments[name].group
            if f"deployment/{name}" in failed or f"group/{group}" in failed:
                self.marks.sometimes("actor retired")
                continue
            if self.auditor.living.is_retired("treasury") and self.auditor.money.concerned(name, ()):
                continue  # what nobody can pay for does not start
            seconds = 500.0 if not self.auditor.money.on else SERVE_SECONDS - 10.0
            fields = {"model": name, "messages": _HELLO, "max_tokens": 1, "timeout": seconds}
            self.ask(0, {**fields, "num_retries": 0, "disable_fallbacks": True, "priority": 0})
            (asker,) = self.callers.open.values()
            asked_at = self.clock.now()
            self.step_until(asked_at + SERVE_SECONDS)
            now = self.clock.now()
            if any(self._lacks_money(name, asker, at) for at in (asked_at, now)):  # a day may have ended
                continue
            if not asker.ended or asker.error is not None:
                raise Violation("settled", f"{name} is well and does not serve: {asker.error!r}", now)
            if self.auditor.deployments[name].trips:
                raise Violation("settled", f"{name} is well and its breaker is open", now)

    def _lacks_money(self, name: str, asker: SimulatedCaller, now: float) -> bool:
        """Whether it was refused for want of money, and there is too little for so short a question."""
        out = getattr(asker.error, "left_out", ())
        if not asker.ended or [item.reason for item in out] != ["budget"]:
            return False
        self.marks.sometimes("well, and without money")
        prices = self.rules.deployments[name].prices or (0.0, 0.0)
        need = in_units(HELLO_TOKENS * prices[0] + prices[1])
        return not self.auditor.money.admits(name, (), (need, need), now)

    def _close(self) -> None:
        """I8, I12."""
        now = self.clock.now()
        self.note("the router", "is closed")
        self.auditor.living.compare_all(now)
        if not self.ended_lives:  # what the journal lost of an earlier one is for each to have heard or not
            compare_usage(self.router, self.auditor.living, now)
        self.auditor.downtime.actors_are_retired(self.options.provider_of, now)
        self.router.close()
        self.look()
        if not self.ended_lives:
            losses_are_told(self.router, self.disk, now)
        if self.callers.open and not self.callers.settle_streams(self.clock):
            raise Violation("I1", f"{len(self.callers.open)} callers wait for a closed router", now)
        self._no_timer_is_left(now)
        self.clock.advance(100.0)
        timer = self.clock.next_timer()
        if timer is not None:
            raise Violation("I12", f"a timer is left for {timer}", now)
        ours = self.router._wiring.system._refs
        if ours or any(ref.actor_urn in ours for ref in pykka.ActorRegistry.get_all()):
            raise Violation("I12", f"{len(ours)} actors are left", now)

    def _no_timer_is_left(self, now: float) -> None:
        """I12: none of the router's own; those of callers and providers will ring for nothing."""
        for when, _, timer in self.clock._timers:
            callback: Any = timer.callback
            while isinstance(callback, partial):
                callback = callback.func
            if callback is not None and ".testing." not in f".{callback.__module__}.":
                raise Violation("I12", f"a timer for {callback.__qualname__} at {when} is left", now)

    # -- afterwards

    @property
    def digest(self) -> str:
        """Of every byte that any of its routers recorded (I9)."""
        return "-".join(auditor.journal.digest for auditor in (*self.ended_lives, self.auditor))

    @property
    def events(self) -> int:
        """How many its routers recorded."""
        return sum(auditor.journal.events for auditor in (*self.ended_lives, self.auditor))

    def abandon(self) -> None:
        """Leave nothing of it behind, whatever state it is in."""
        with suppress(Exception):
            self.router.close()
        self.router._wiring.system.unregister_all()


def _asked(caller: SimulatedCaller | None) -> str:
    """What somebody asked for, without the prompt."""
    if caller is None:
        return "asks, and is refused at the door"
    fields = {name: value for name, value in caller.fields.items() if name not in {"model", "messages"}}
    wishes = ", ".join(f"{name} {value}" for name, value in fields.items())
    length = "something long" if len(str(caller.fields["messages"])) > LONG_PROMPT else "something"
    return f"asks {caller.fields['model']} {length}{f' with {wishes}' if wishes else ''}: {caller.request_id}"


LONG_PROMPT = 1_000
"""Characters."""

SLOW_QUEUE = 200
"""Events that wait to be written when the journal counts as slow."""
