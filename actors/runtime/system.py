"""The actors of one router, started and stopped together, and how often they may be restarted."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import pykka

if TYPE_CHECKING:
    from .actor import LoopActor
    from .dispatcher import Dispatcher

__all__ = ["ActorSystem", "RestartLedger"]


class RestartLedger:
    """How often an actor has crashed lately, and what follows: a pause, or the end. Pure."""

    MAX_RESTARTS = 5
    WITHIN_SECONDS = 30.0
    FIRST_PAUSE_SECONDS = 0.1
    """Doubles with each crash in the window: 0, 0.1, 0.2, 0.4, 0.8 s."""

    def __init__(self) -> None:
        self._crashes: dict[tuple[str, str], deque[float]] = {}
        self._away: dict[tuple[str, str], float | None] = {}
        self.restarts: dict[tuple[str, str], int] = {}

    def crashed(self, role: str, name: str, now: float) -> float | None:
        """Seconds to wait before the restart; None when it was one crash too many.

        The crash of an actor that is not back yet is the one before, of which word came again.
        """
        key = (role, name)
        if key not in self._away:
            self._away[key] = self._counted(key, now)
        return self._away[key]

    def is_back(self, role: str, name: str) -> None:
        """The actor lives, or is not wanted any more."""
        self._away.pop((role, name), None)

    def _counted(self, key: tuple[str, str], now: float) -> float | None:
        times = self._crashes.setdefault(key, deque(maxlen=self.MAX_RESTARTS + 1))
        times.append(now)
        while times[0] <= now - self.WITHIN_SECONDS:
            times.popleft()
        if len(times) > self.MAX_RESTARTS:
            return None
        self.restarts[key] = self.restarts.get(key, 0) + 1
        return 0.0 if len(times) == 1 else self.FIRST_PAUSE_SECONDS * 2.0 ** (len(times) - 2)


class ActorSystem:
    """Starts the actors of one router and stops them all."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher
        self._refs: dict[str, Any] = {}
        self._stopping: dict[str, Any] = {}

    def __repr__(self) -> str:
        alive = sum(ref.is_alive() for ref in self._refs.values())
        return f"<ActorSystem · {alive} actors · {self.dispatcher!r}>"

    def start(self, kind: type[LoopActor], *args: Any) -> Any:
        """Start an actor and return its reference."""
        ref = kind.start(*args)
        self._refs[ref.actor_urn] = ref
        return ref

    def stop(self, ref: Any) -> None:
        """Stop one actor after the mail it has; one that is dead already is no error."""
        self._refs.pop(ref.actor_urn, None)
        self._stopping = {urn: other for urn, other in self._stopping.items() if other.is_alive()}
        if ref.is_alive():
            self._stopping[ref.actor_urn] = ref
            ref.stop(block=False)

    def forget_dead(self) -> None:
        """Let go of the references of actors that crashed."""
        self._refs = {urn: ref for urn, ref in self._refs.items() if ref.is_alive()}

    def stop_all(self) -> None:
        """Stop every actor after the mail it has. In the dispatcher's thread, or a manual one's.

        First started, first stopped: pykka's registry is a list that is searched from the front.
        """
        for ref in self._refs.values():
            ref.stop(block=False)
        self.dispatcher.run_now()
        self._refs.clear()
        self._stopping.clear()

    def unregister_all(self) -> None:
        """Take every actor off pykka's list, when nothing is left that could run them."""
        for ref in (*self._refs.values(), *self._stopping.values()):
            pykka.ActorRegistry.unregister(ref)
            ref.actor_stopped.set()
        self._refs.clear()
        self._stopping.clear()
