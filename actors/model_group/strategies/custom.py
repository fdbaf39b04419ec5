"""A user's own strategy: any object with `pick(candidates, request, rng) -> candidate`."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Protocol

from ....messages.errors import ConfigurationError, mask_secrets
from .base import Pick

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from ....messages.requests import Request
    from .base import Candidate, Query

__all__ = ["Custom", "CustomStrategy"]


class CustomStrategy(Protocol):
    """What a user's object must have. It may have a `name`, too; else its class is its name."""

    def pick(self, candidates: Sequence[Candidate], request: Request, rng: random.Random) -> Candidate:
        """One of `candidates`: all that may take the request, never none, in a stable order.

        All chance should come from `rng`: then the same seed gives the same picks. It is called on
        the router's loop, so it must not block.
        """
        ...


class Custom:
    """Asks the user's object, and makes sure that its answer can be used.

    Raises:
        ConfigurationError: from `pick`, naming the strategy, when the object raises or returns
            anything but one of the candidates it was given.
    """

    def __init__(self, strategy: CustomStrategy) -> None:
        name = getattr(strategy, "name", None)
        self.name: str = name if isinstance(name, str) and name else type(strategy).__name__
        if inspect.isclass(strategy):
            msg = f"routing_strategy: give an instance of {strategy.__name__}, not the class"
            raise ConfigurationError(msg)
        if not callable(getattr(strategy, "pick", None)):
            msg = f"routing_strategy: {self.name} has no pick(candidates, request, rng)"
            raise ConfigurationError(msg)
        if inspect.iscoroutinefunction(strategy.pick):
            msg = f"routing_strategy: pick of {self.name} must be a plain function, not a coroutine"
            raise ConfigurationError(msg)
        self._strategy = strategy
        self._eligible: dict[str, Candidate] = {}

    def add(self, candidate: Candidate, now: float) -> None:
        self._eligible[candidate.id] = candidate

    def remove(self, candidate: Candidate) -> None:
        self._eligible.pop(candidate.id, None)

    def update(self, candidate: Candidate, now: float) -> None:
        """The object sees the candidates themselves, which are always current."""

    def started(self, candidate: Candidate, tokens: int, now: float) -> None:
        """So is `candidate.open`."""

    def pick(self, query: Query, rng: random.Random) -> Pick | None:
        admitted = [candidate for candidate in self._eligible.values() if query.admits(candidate)]
        if not admitted:
            return None
        answer = self._ask(list(admitted), query.request, rng)
        for candidate in admitted:
            if candidate is answer:
                return Pick(candidate)
        msg = (
            f"routing strategy {self.name}: pick returned {_described(answer)}, "
            f"not one of the {len(admitted)} candidates it was given"
        )
        raise ConfigurationError(msg)

    def _ask(self, candidates: list[Candidate], request: Request, rng: random.Random) -> Any:
        try:
            return self._strategy.pick(candidates, request, rng)
        except Exception as error:
            text = mask_secrets(f"{type(error).__name__}: {error}")
            msg = f"routing strategy {self.name}: pick raised {text}"
            raise ConfigurationError(msg) from error


def _described(answer: Any) -> str:
    """What came back, by its type: its text might hold anything."""
    if inspect.iscoroutine(answer):
        answer.close()
    return "None" if answer is None else f"a {type(answer).__name__}"
