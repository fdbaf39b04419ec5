"""Plays a record's arrivals once more, under other settings, in simulated time.

The real router on a fake clock, without a loop; nothing of how it decides is copied here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..actors.runtime.chance import Ids
from ..messages.embeddings import EmbeddingRequest
from ..messages.moderations import ModerationRequest
from ..messages.requests import CompletionRequest
from ..supervisor.face.router import Router
from ..supervisor.planning.rules import MAX_CALL_SECONDS
from ..testing.fake_clock import FakeClock
from .outcomes import Outcomes, Row
from .record import Arrival
from .upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..actors.journal.codec import Recorded
    from ..messages.requests import Request
    from ..supervisor.planning.directory import Directory
    from .ports import Providers
    from .setups import Setup
    from .sharers import Sharers

__all__ = ["Asking", "Played", "directory_of", "play", "requests_of"]

BYTES_PER_TOKEN = 4
FRAME_TOKENS = 4
"""What a message is estimated at beside its text."""

SWEEP = 500
"""Arrivals between two looks for streams that have ended and need not be held any more."""

STEP_SECONDS = 5.0
LONGEST_SECONDS = 7_000.0
"""How far time goes on behind the last arrival, at most: as long as a request may last."""

TICK = 1_000
"""Arrivals between two ticks of a progress bar."""

Asking = tuple[Arrival, "Request"]


class Played(NamedTuple):
    """What became of each arrival, in their order; and the most calls each deployment had in a minute."""

    rows: list[Row]
    busiest: dict[str, int]


def requests_of(arrivals: Sequence[Arrival], usual_timeout: Callable[[float], float | None]) -> list[Asking]:
    """The arrivals, each with a request of its size; alike ones share it, since nobody changes it.

    `usual_timeout` says what the record's router gave a request that named none, at that time.
    """
    made: dict[Any, Request] = {}
    asking = []
    for arrival in arrivals:
        own = None if _same(arrival.timeout, usual_timeout(arrival.at)) else arrival.timeout
        particulars = arrival.particulars
        sizes = (arrival.kind, arrival.model, arrival.stream, arrival.input_tokens)
        key = (*sizes, arrival.priority, own, particulars)
        request = made.get(key)
        if request is None:
            request = made[key] = _request(arrival, own)
        asking.append((arrival, request))
    return asking


def _same(timeout: float, usual: float | None) -> bool:
    return abs(timeout - (MAX_CALL_SECONDS if usual is None else usual)) < 1e-3


def _request(arrival: Arrival, timeout: float | None) -> Request:
    particulars = arrival.particulars
    fields: dict[str, Any] = {
        "timeout": timeout,
        "priority": arrival.priority,
        "num_retries": particulars.num_retries,
        "stream_timeout": particulars.stream_timeout,
        "routing_strategy": particulars.routing_strategy,
        "tags": list(particulars.tags) or None,
        "session_id": None if particulars.session is None else f"{particulars.session:x}",
        "allowed_model_region": particulars.region,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    if arrival.kind in _WITHOUT_ANSWER:
        return _WITHOUT_ANSWER[arrival.kind](model=arrival.model, input=_text(arrival.input_tokens), **given)
    if particulars.output_tokens is not None:
        given["max_tokens"] = particulars.output_tokens
    messages = [{"role": "user", "content": _text(arrival.input_tokens - FRAME_TOKENS)}]
    return CompletionRequest(model=arrival.model, messages=messages, stream=arrival.stream, **given)


def _text(tokens: int) -> str:
    return "x" * (BYTES_PER_TOKEN * max(1, tokens))


_WITHOUT_ANSWER: dict[str, Callable[..., Request]] = {
    "embedding": EmbeddingRequest,
    "moderation": ModerationRequest,
}
"""Kinds that come to no tokens."""


def play(
    asking: Sequence[Asking],
    setup: Setup,
    providers: Providers,
    seed: int,
    tick: Callable[[int], object] | None = None,
    listen: Callable[[Sequence[Recorded]], object] | None = None,
    sharers: Sharers | None = None,
) -> Played:
    """What becomes of the arrivals.

    Args:
        asking: see `requests_of`.
        setup: the settings and deployments to play with.
        providers: who answers.
        seed: of the router's own draws.
        tick: told how many more arrivals were played, now and then.
        listen: told everything that is recorded.
        sharers: who else uses the same keys; nobody by default.

    Raises:
        ConfigurationError: the router does not take a setting or a deployment.
    """
    if not asking:
        return Played([], {})
    clock = FakeClock(start=asking[0][0].at)
    upstream = Upstream(providers, asking[0][0], sharers)
    router = Router(list(setup.entries.values()), clock=clock, seed=seed, caller=upstream, **setup.settings)
    outcomes = Outcomes()
    router._journal.subscribe(outcomes.hear)
    if listen is not None:
        listen(router.events())
        router._journal.subscribe(listen)
    try:
        rows = _Play(router, clock, upstream, outcomes).run(asking, setup, seed, tick)
        return Played(rows, dict(upstream.busiest))
    finally:
        router.close()


def directory_of(setup: Setup) -> Directory:
    """Where each name leads under these settings.

    Raises:
        ConfigurationError: the router does not take a setting or a deployment.
    """
    nobody = Upstream(None, None)  # type: ignore[arg-type]  # nobody is asked
    with Router(list(setup.entries.values()), clock=FakeClock(), caller=nobody, **setup.settings) as router:
        return router._wiring.directory


class _Play:
    def __init__(self, router: Router, clock: FakeClock, upstream: Upstream, outcomes: Outcomes) -> None:
        self._router = router
        self._clock = clock
        self._upstream = upstream
        self._outcomes = outcomes
        self._held: dict[str, Any] = {}

    def run(
        self,
        asking: Sequence[Asking],
        setup: Setup,
        seed: int,
        tick: Callable[[int], object] | None,
    ) -> list[Row]:
        names = Ids(seed)  # as a router with a new journal will call them
        ids = [names.next() for _ in asking]
        changes = list(reversed(setup.changes))
        for number, (request_id, (arrival, request)) in enumerate(zip(ids, asking, strict=True)):
            while changes and changes[-1][0] <= arrival.at:
                self._change(*changes.pop())
            self._to(arrival.at)
            self._upstream.expect(request_id, number, arrival)
            future = self._router.ask(request, block=False)
            if arrival.stream:
                self._held[request_id] = future
            if arrival.leaves is not None:
                self._clock.call_later(arrival.leaves, future.cancel)
            if number % SWEEP == 0:
                self._sweep()
            if tick is not None and number % TICK == TICK - 1:
                tick(TICK)
        self._finish(ids)
        if tick is not None:
            tick(len(asking) % TICK)
        rows = self._outcomes.rows
        return [rows[request_id] for request_id in ids]

    def _to(self, at: float) -> None:
        self._clock.advance(max(0.0, at - self._clock.now()))

    def _change(self, at: float, deployment_id: str, entry: dict[str, Any] | None) -> None:
        self._to(at)
        if entry is not None:
            self._router.upsert_deployment(entry)
        elif any(d["model_info"]["id"] == deployment_id for d in self._router.get_deployments()):
            self._router.delete_deployment(deployment_id)

    def _sweep(self) -> None:
        rows = self._outcomes.rows
        for request_id in [name for name in self._held if name in rows and rows[name].ended]:
            del self._held[request_id]

    def _finish(self, ids: Sequence[str]) -> None:
        """Let time go on until everybody has an answer."""
        rows = self._outcomes.rows
        until = self._clock.now() + LONGEST_SECONDS
        waiting = [name for name in ids if name not in rows or not rows[name].ended]
        while waiting and self._clock.now() < until:
            self._clock.advance(STEP_SECONDS)
            waiting = [name for name in waiting if name not in rows or not rows[name].ended]
