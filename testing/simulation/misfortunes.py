"""What befalls a world besides the faults of calls: outages, crashes, a sleeping process, a bad disk."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ...actors.runtime import actor as mailboxes
from ...actors.runtime.future import LoopFuture
from ...actors.runtime.system import RestartLedger
from ...messages.commands import SaveSnapshot
from ...messages.fleet_commands import AddDeployment, DeleteDeployment, UpdateDeployment
from ...messages.health_commands import CheckHealth
from .particulars import GUESTS_BUDGETS, PRICES, draw_budget

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...actors.runtime.clock import Timer
    from .world import World

__all__ = ["CROWDS", "MISFORTUNES", "InjectedError", "Misfortunes"]

MISFORTUNES = "misfortunes"
"""For what it is drawn whether one happens in a turn, and which."""

CROWDS = "crowds"
"""For what it is drawn who of many comes at once."""

SMALL_MAILBOX = 8
"""What a mailbox takes while callers are to find it full."""

BUSY_CALLERS = 12
"""Fewer than so many ask while the actors are kept from their work."""

RUSH = 150
"""How many come at once when a provider is out and much is asked: more than a router retries in 10 s."""

CROWD = 100
"""The number of the first of those callers: there are others in the same turn."""

MAX_DEATHS = 3
"""Lives of a router in one world, after the first."""

_DOWN = ("503", "refused", "hung up", "hang", "429 later")
_IN_WORDS = {
    None: "is well again",
    "503": "answers every call with 503",
    "refused": "refuses every connection",
    "hung up": "hangs up on every call that was sent",
    "hang": "never answers a call",
    "429 later": "answers every call with 429 and a Retry-After",
}


class InjectedError(Exception):
    """A handler raised, as one with a bug would."""


class Misfortunes:
    """Draws the next one, and does it to the world.

    Attributes:
        deaths: how often the router was killed.
        dying_at: the position of the last event that it will have written; None while it lives on.
        reports: of the health checks that somebody asked for, settled or not.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.chance = world.chance.part(MISFORTUNES)
        self.deaths = 0
        self.dying_at: int | None = None
        by_family: dict[str, Callable[[], None]] = {
            "flapping": self._flap,
            "outages": self._take_a_provider_out,
            "clock": self._sleep,
            "busy": self._be_busy,
            "crashes": self._crash,
            "kills": self._kill,
            "journal": self._break_the_disk,
            "bounds": self._fill_a_mailbox,
            "fleet": self._change_the_fleet,
            "checks": self.check_health,
        }
        if "fleet" in world.options.faults:  # what a new life knows of guests is another test's business
            del by_family["kills"]
        self._guests: list[str] = []
        self.reports: list[LoopFuture[Any]] = []
        self._pending: list[Timer] = []
        faults = world.options.faults
        self._happen = {family: act for family, act in by_family.items() if family in faults}

    def __repr__(self) -> str:
        return f"<Misfortunes of {len(self._happen)} kinds · {self.deaths} deaths>"

    def maybe(self) -> None:
        """Now and then, one of them."""
        if self._happen and self.chance.one_in(12):
            self._happen[self.chance.pick("misfortune", tuple(self._happen))]()

    def _later(self, seconds: float, act: Callable[[], object]) -> None:
        """In the router's own time; a world that is calm by then, or a router that died, has none."""
        clock = self.world.clock
        timer = clock.call_later(seconds, lambda: act() if self.world.clock is clock else None)
        self._pending.append(timer)

    def _come(self, most: int) -> None:
        """So many callers at once."""
        crowds = self.world.chance.part(CROWDS)
        for number in range(most):
            if crowds.surely():
                self.world.ask(CROWD + number)

    # -- providers

    def _flap(self) -> None:
        """One deployment goes down and comes back, a few times."""
        world = self.world
        name = self.chance.pick("deployment", tuple(world.options.provider_of))
        how = self.chance.choice(_DOWN)
        at = 0.0
        for _ in range(self.chance.whole(1, 4)):
            self._later(at, partial(self._set_down, [name], how))
            at += self.chance.exponential(4.0)
            self._later(at, partial(self._set_down, [name], None))
            at += self.chance.exponential(4.0)

    def _take_a_provider_out(self) -> None:
        """All deployments of one provider fail, or all of them are slow."""
        world = self.world
        provider = self.chance.pick("provider", sorted(set(world.options.provider_of.values())))
        names = [name for name, whose in world.options.provider_of.items() if whose == provider]
        how = self.chance.choice((*_DOWN, None))
        seconds = self.chance.exponential(20.0)
        if how is None:
            self._set_slow(names, 30.0)
            self._later(seconds, partial(self._set_slow, names, 1.0))
        else:
            self._set_down(names, how)
            self._later(seconds, partial(self._set_down, names, None))
            if self.chance.one_in(8):  # and all who were turned away elsewhere come here
                self._come(RUSH)

    def _set_down(self, names: list[str], how: str | None) -> None:
        for name in names:
            self.world.upstream.moods[name].down = how
            self.world.note(name, _IN_WORDS[how])

    def _set_slow(self, names: list[str], times: float) -> None:
        for name in names:
            self.world.upstream.moods[name].slow = times
            self.world.note(
                name, f"takes {times:g} times as long" if times != 1.0 else "is as fast as before"
            )

    # -- time

    def _be_busy(self) -> None:
        """The actors' thread has no time for them.

        What comes meanwhile, from callers, providers and timers, lies in their mailboxes at once, and the
        order in which they get to it is drawn.
        """
        world = self.world
        dispatcher: Any = world.router._dispatcher
        seconds = self.chance.choice((0.02, 0.2, 2.0))
        until = world.clock.now() + seconds
        world.note("the actors' thread", f"has no time for {seconds:g} s: what comes meanwhile comes at once")
        dispatcher._draining = True
        try:
            self._come(self.chance.below(BUSY_CALLERS))
            while (when := world.clock.next_timer()) is not None and when <= until:
                world.clock.step()
            world.clock.sleep_through(max(0.0, until - world.clock.now()))
        finally:
            dispatcher._draining = False
        world.auditor.excuse_lateness(world.clock.now())
        world.marks.sometimes("everything came at once")
        dispatcher.run_now()

    def _sleep(self) -> None:
        """The process stands still while time goes on, as when a machine sleeps."""
        world = self.world
        seconds = self.chance.choice((0.01, 1.0, 20.0, 4000.0))
        world.note("the process", f"sleeps for {seconds:g} s")
        world.clock.sleep_through(seconds)
        world.auditor.excuse(world.clock.now())
        world.marks.sometimes("clock jumped forward")

    # -- crashes

    def _crash(self) -> None:
        """A handler of some actor raises at its next message of some type, before or after its work."""
        world, chance = self.world, self.chance
        board = world.router._switchboard
        services = [name for name in ("treasury", "health") if name in board.services]
        role = chance.pick("role", ("deployment", "group", "supervisor", "cache", *services))
        if role == "cache" and "cache" not in board.services:
            role = "supervisor"
        if role == "supervisor":
            name, ref = "supervisor", board.supervisor
        elif role in board.services:
            name, ref = role, board.services[role]
        else:
            actors = board.deployments if role == "deployment" else board.groups
            name = chance.pick(role, tuple(actors))
            ref = actors[name]
        actor = ref._actor_weakref() if ref.is_alive() else None
        if actor is not None:
            handlers = actor.message_handlers
            kinds = {kind.__name__: kind for kind in handlers if kind.__name__ not in _SPARED}
            kind = kinds[chance.pick("message", tuple(kinds))]
            after = chance.below(2) == 1
            over = f"{'after' if after else 'before'} its work on {kind.__name__}"
            self._arm(handlers, kind, partial(self._crashed, role, name, over), after=after)
            if role == "deployment" and chance.one_in(5):  # again and again, until it is given up
                for number in range(RestartLedger.MAX_RESTARTS + 1):
                    self._later(number * 2.0, partial(self._kill_actor, name))

    def _kill_actor(self, name: str) -> None:
        """A deployment's actor raises at a message that does nothing, whatever its incarnation."""
        ref = self.world.router._switchboard.deployments.get(name)
        actor = ref._actor_weakref() if ref is not None and ref.is_alive() else None
        if actor is not None:
            real = actor.message_handlers[SaveSnapshot]
            self._arm(
                actor.message_handlers,
                SaveSnapshot,
                partial(self._crashed, "deployment", name, "before its work on SaveSnapshot"),
                after=False,
            )
            actor.inbox.deliver(SaveSnapshot())
            actor.message_handlers[SaveSnapshot] = real

    def _arm(self, handlers: dict[type, Any], kind: type, tell: Callable[[], None], *, after: bool) -> None:
        real = handlers[kind]

        def raising(message: Any) -> None:
            handlers[kind] = real
            if after:
                real(message)
            tell()
            raise InjectedError("a bug (simulated)")

        handlers[kind] = raising

    def _crashed(self, role: str, name: str, over: str) -> None:
        """It is about to raise."""
        world = self.world
        world.note(f"the actor of {name}" if "/" in name else f"the actor {name}", f"crashes {over}")
        world.marks.sometimes(f"{role} crashed")
        world.auditor.crashed(role, name, world.clock.now())

    # -- the whole process

    def _kill(self) -> None:
        """The process will die when it has recorded a few events more."""
        if self.deaths < MAX_DEATHS and self.dying_at is None:
            self.dying_at = self.world.router._journal.position + self.chance.below(30)

    # -- the journal

    def _break_the_disk(self) -> None:
        disk = self.world.disk
        disk.fault = self.chance.choice(("failing", "unknown"))
        how = "fails every write" if disk.fault == "failing" else "writes, and says that it could not"
        self.world.note("the disk", how)
        self._later(self.chance.exponential(5.0), self._mend_the_disk)

    def _mend_the_disk(self) -> None:
        self.world.disk.fault = "none"
        self.world.note("the disk", "is well again")

    # -- deployments that come and go

    def _change_the_fleet(self) -> None:
        """A guest joins a group, changes, or leaves; the deployments of the options always stay."""
        chance = self.chance
        what = chance.below(3) if self._guests else 0
        if what == 0:
            group = chance.pick("group", self.world.options.groups)
            name = f"{group}/guest-{len(self._guests)}-{self.world.steps}"
            self._guests.append(name)
            params = {"model": "openai/simulated", **self._limits(), **self._guests_money()}
            entry = {"model_name": group, "litellm_params": params, "model_info": {"id": name}}
            self._ask_the_supervisor(AddDeployment(entry))
        elif what == 1:
            change = {**self._limits(), **self._another_budget()}
            self._ask_the_supervisor(UpdateDeployment(chance.choice(self._guests), change))
        else:
            name = chance.choice(self._guests)
            self._guests.remove(name)
            self._ask_the_supervisor(DeleteDeployment(name))

    def _limits(self) -> dict[str, Any]:
        chance = self.chance
        return {"rpm": chance.choice((30, 5, 1)), "max_parallel_requests": chance.choice((8, 2, 1))}

    def _guests_money(self) -> dict[str, Any]:
        """What it costs, and may cost, in a world of budgets."""
        budgets = "budgets" in self.world.options.particulars
        return draw_budget(self.chance, GUESTS_BUDGETS) | PRICES[-1] if budgets else {}

    def _another_budget(self) -> dict[str, Any]:
        """More of it or less; the period stays, since what was spent is known by that."""
        if "budgets" not in self.world.options.particulars or self.chance.below(2):
            return {}
        self.world.marks.sometimes("a budget changed under load")
        return {"max_budget": self.chance.choice((0.05, 0.5, 0.01))}

    def _ask_the_supervisor(self, change: Any) -> None:
        """Without waiting: a journal that fails would have us wait in vain."""
        self.world.note("an operator", f"asks for {_wish(change)}")
        self.world.router._switchboard.supervisor.ask(change, block=False)
        self.world.router._dispatcher.run_now()

    def check_health(self) -> None:
        """Somebody has some of the deployments checked, all of them once faults have stopped."""
        world = self.world
        names = list(world.router._wiring.deployments)
        some = names if world.upstream.calm else self.chance.subset(names)
        report: LoopFuture[Any] = LoopFuture()
        self.reports = [*(each for each in self.reports if not each.done()), report]
        self._ask_the_supervisor(CheckHealth(tuple(some), report))

    # -- bounds

    def _fill_a_mailbox(self) -> None:
        """Callers in other threads ask while the actors' own thread is busy."""
        world = self.world
        dispatcher: Any = world.router._dispatcher
        most, mailboxes.MAX_MAILBOX = mailboxes.MAX_MAILBOX, SMALL_MAILBOX
        world.note("the actors' thread", f"is held up, and each mailbox takes {SMALL_MAILBOX} messages")
        dispatcher._draining = True
        try:
            self._come(SMALL_MAILBOX + 4)
        finally:
            dispatcher._draining = False
            mailboxes.MAX_MAILBOX = most
        dispatcher.run_now()

    # -- the end of it all

    def end_life(self) -> None:
        """The process is dead, and with it what was about to happen."""
        self.deaths += 1
        self.reports.clear()
        self.dying_at = None
        self._all_well()

    def _all_well(self) -> None:
        """Nothing is broken, and nothing is about to be: our own timers are none of I12's."""
        for timer in self._pending:
            timer.cancel()
        self._pending.clear()
        for mood in self.world.upstream.moods.values():
            mood.down, mood.slow = None, 1.0
        self.world.disk.fault = "none"

    def end(self) -> None:
        """Everything that is broken is mended; nobody is about to crash or to die."""
        world = self.world
        self.dying_at = None
        self._all_well()
        board = world.router._switchboard
        services = board.services.values()
        for ref in (board.supervisor, *board.groups.values(), *board.deployments.values(), *services):
            actor = ref._actor_weakref() if ref.is_alive() else None
            if actor is not None:
                actor.message_handlers.update(actor.handlers())


def _wish(change: Any) -> str:
    """What somebody wants of the supervisor."""
    match change:
        case AddDeployment(entry):
            return f"{entry['model_info']['id']} to join"
        case UpdateDeployment(deployment_id, fields):
            return f"{deployment_id} to change: {', '.join(f'{k} {v}' for k, v in fields.items())}"
        case DeleteDeployment(deployment_id):
            return f"{deployment_id} to leave"
        case CheckHealth(names):
            return f"a health check of {', '.join(names) or 'nobody'}"
    return type(change).__name__


_SPARED = frozenset({"Shutdown", "Inspect"})
"""Messages that have no part in a request."""
