"""An auditor's own account of when actors were dead, or the process asleep, and nothing could be done."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any

from .tolerances import SOON
from .violation import Violation

if TYPE_CHECKING:
    from collections.abc import Container

    from ....supervisor.face.router import Router

__all__ = ["Downtime"]

MOST_CRASHES, CRASHES_WITHIN = 5, 29.0
"""An actor that crashes more often in half a minute is not started again."""


class Downtime:
    """The latest crashes of each actor, since when each group is there, and until when the process slept."""

    def __init__(self) -> None:
        self.slept_until = -math.inf
        self._crashes: dict[str, deque[float]] = {}
        self._groups: dict[str, tuple[Any, float]] = {}
        self.router: Router = None  # type: ignore[assignment]  # from `watch`

    def __repr__(self) -> str:
        return f"<Downtime {sum(map(len, self._crashes.values()))} crashes>"

    def watch(self, router: Router) -> None:
        """It is the actors of this router that may be dead."""
        self.router = router

    def crashed(self, role: str, name: str, now: float) -> None:
        """An actor is about to die."""
        self._crashes.setdefault(f"{role}/{name}", deque(maxlen=MOST_CRASHES + 1)).append(now)

    @property
    def uneven(self) -> bool:
        """Whether there was a crash, or a time in which nothing was done and much came at once."""
        return bool(self._crashes) or self.slept_until > -math.inf

    # -- groups

    def look_at_groups(self, now: float) -> None:
        """Which are there, and since when."""
        for group, ref in self.router._switchboard.groups.items():
            known, since = self._groups.get(group, (None, now))
            if not ref.is_alive():
                self._groups[group] = (None, now)
            elif known is not ref:
                self._groups[group] = (ref, now)
            else:
                self._groups[group] = (ref, since)

    def is_just_back(self, group: str, now: float) -> bool:
        """Whether a group is dead, or was a moment ago, or nothing at all could be done then.

        A request whose deployment refused it is asked for anew when its group is back: then it counts.
        """
        ref, since = self._groups.get(group, (None, now))
        return ref is None or since >= now - SOON or now <= self.slept_until + SOON

    # -- those who are not started again

    def retired_for_a_reason(self, deployment_id: str, at: float) -> None:
        """Only one that crashed too often in a short time is not started again."""
        times = list(self._crashes.get(f"deployment/{deployment_id}", ()))
        if len(times) <= MOST_CRASHES or times[0] < at - CRASHES_WITHIN - SOON:
            raise Violation("crash", f"{deployment_id} was retired; it crashed at {times}", at)

    def actors_are_retired(self, deployments: Container[str], now: float) -> None:
        """Who crashed too often in a short time is not there any more."""
        failed = self.router._wiring.failed
        for name, times in self._crashes.items():
            if name.partition("/")[2] not in deployments:
                continue  # others may leave, and come again
            if len(times) > MOST_CRASHES and times[0] > times[-1] - CRASHES_WITHIN and name not in failed:
                raise Violation("crash", f"{name} crashed at {list(times)}, and was started again", now)
