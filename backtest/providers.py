"""The providers of a record: one model for each deployment, and one play's draw of them all. Pure.

What is not in the record is borrowed (`borrowed`), and the report says of whom.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, frozen

from .answers import Answers
from .draws import Draws
from .failures import Failures, fit_failures
from .latencies import NEVER, Latencies, fit_latencies
from .ports import Asked, Fault, Reply
from .record import OWN_FAULT
from .refusals import RATE_LIMITED, Load, find_limit

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from ..supervisor.fleet.fleet import Listing
    from .failures import Weather
    from .latencies import Moments
    from .record import Call, Record
    from .refusals import Limit

__all__ = ["HARDLY_USED", "Behaviour", "DrawnProviders", "Model", "fit_model"]

HARDLY_USED = 20
"""Answers below which a deployment's latencies are borrowed from others like it."""

_FAILS, _WHICH, _LATENCY, _TAIL, _LENGTH = range(5)


@frozen
class Behaviour:
    """What the record shows of one deployment.

    Attributes:
        answers: calls of its own that were answered.
        whole, stream: latencies of whole answers and of streams; None when nobody like it ever gave one.
        limit: the rate limit it showed; `refusals` its calls that were refused so.
        borrowed: whose calls stand in for its own, which are too few; empty when none do.
        alike: whether these are deployments of the same model.
    """

    answers: int
    whole: Latencies | None
    stream: Latencies | None
    failures: Failures
    limit: Limit | None = None
    refusals: tuple[Call, ...] = ()
    borrowed: tuple[str, ...] = ()
    alike: bool = True


@frozen
class Model:
    """All of them, by deployment."""

    behaviours: Mapping[str, Behaviour]
    answers: Answers

    def drawn(self, seed: int, rng: random.Random) -> DrawnProviders:
        """The providers of one play, as uncertain as the record leaves them."""
        return DrawnProviders(self, seed, rng)


def fit_model(record: Record, listings: Mapping[str, Listing]) -> Model:
    """What the record shows of these deployments."""
    answers = Answers(record.calls)
    behaviours = {name: _behaviour(name, record, listings) for name in listings}
    return Model(behaviours, answers)


def _behaviour(name: str, record: Record, listings: Mapping[str, Listing]) -> Behaviour:
    own = record.calls.get(name, [])
    limit = find_limit(own, _tokens)
    refusals = tuple(c for c in own if limit is not None and c.status == RATE_LIMITED)
    telling = [c for c in own if _tells_of_health(c) and not (limit and c.status == RATE_LIMITED)]
    failures = fit_failures(telling, record.began, record.ended)
    timed = [call for call in own if _tells_of_time(call)]
    answered = sum(not call.cut for call in timed)
    borrowed: tuple[str, ...] = ()
    alike = True
    if answered < HARDLY_USED:
        borrowed, alike = _others_like(name, record, listings)
        timed = sorted(
            [*timed, *(c for other in borrowed for c in record.calls[other] if _tells_of_time(c))],
            key=lambda call: call.at,
        )
    whole = fit_latencies([c for c in timed if not c.arrival.stream], stream=False)
    stream = fit_latencies([c for c in timed if c.arrival.stream], stream=True)
    return Behaviour(answered, whole, stream, failures, limit, refusals, borrowed, alike)


def _tokens(call: Call) -> float:
    return float(call.prompt_tokens + call.output_tokens)


def _tells_of_health(call: Call) -> bool:
    """One that was given up for no fault of the deployment's says nothing of it; nor does a bad request."""
    return call.error not in OWN_FAULT and not (call.cut and call.error is None)


def _tells_of_time(call: Call) -> bool:
    return call.error is None


def _others_like(name: str, record: Record, listings: Mapping[str, Listing]) -> tuple[tuple[str, ...], bool]:
    """Deployments that were used: of the same model, else of the same group, else all."""
    used = [
        other
        for other, calls in record.calls.items()
        if other != name and other in listings and any(_tells_of_time(c) and not c.cut for c in calls)
    ]
    mine = listings[name]
    model = mine.config["litellm_params"].get("model")
    same_model = [o for o in used if listings[o].config["litellm_params"].get("model") == model]
    if same_model:
        return tuple(same_model), True
    same_group = [o for o in used if listings[o].group == mine.group]
    return tuple(same_group or used), False


@define(eq=False)
class _Playing:
    """One deployment in one play."""

    behaviour: Behaviour
    place: int
    weather: Weather
    whole: Moments | None
    stream: Moments | None
    load: Load | None


class DrawnProviders:
    """Answers calls as the record's providers would have."""

    def __init__(self, model: Model, seed: int, rng: random.Random) -> None:
        self._answers = model.answers
        self._draws = Draws(seed)
        self._playing = {
            name: _playing(behaviour, place, rng)
            for place, (name, behaviour) in enumerate(model.behaviours.items())
        }

    def reply(self, asked: Asked) -> Reply:
        """What this call will come to."""
        playing = self._playing[asked.deployment_id]
        prompt, output = self._answers.tokens(
            asked.deployment_id, asked.arrival, self._draws.of(asked.number, 0, 0, _LENGTH)
        )
        refusal = self._refusal(playing, asked, prompt + output)
        if refusal is not None:
            return refusal
        weather = playing.weather
        like = weather.fault(
            asked.at, self._draw(playing, asked, _FAILS), lambda: self._draw(playing, asked, _WHICH)
        )
        moments, seconds, rest = self._seconds(playing, asked, prompt, output)
        if like is None:
            total = seconds + rest
            return Reply(total, seconds if asked.stream else None, prompt, output)
        if like.cut:
            tail = self._draw(playing, asked, _TAIL)
            after = NEVER if moments is None else moments.after(like.seconds, prompt, output, tail)
            return Reply(after, like.ttft if asked.stream else None, prompt, output)
        return _failing(like, asked)

    def _draw(self, playing: _Playing, asked: Asked, what: int) -> float:
        return self._draws.of(asked.number, playing.place + 1, asked.nth, what)

    def _refusal(self, playing: _Playing, asked: Asked, tokens: int) -> Reply | None:
        limit, load = playing.behaviour.limit, playing.load
        if limit is None or load is None:
            return None
        if load.before(asked.at, asked.open) < limit.most:
            load.take(asked.at, tokens)
            return None
        refusals = playing.behaviour.refusals
        like = refusals[int(self._draw(playing, asked, _WHICH) * len(refusals))]
        return _failing(like, asked)

    def _seconds(
        self, playing: _Playing, asked: Asked, prompt: int, output: int
    ) -> tuple[Moments | None, float, float]:
        """Of this way of answering; of the other where the record has nothing of this one."""
        moments = (playing.stream or playing.whole) if asked.stream else (playing.whole or playing.stream)
        if moments is None:
            return None, 1.0, 0.0
        draw, tail = self._draw(playing, asked, _LATENCY), self._draw(playing, asked, _TAIL)
        return moments, *moments.seconds(asked.at, prompt, output, asked.open, draw, tail)


def _playing(behaviour: Behaviour, place: int, rng: random.Random) -> _Playing:
    limit = behaviour.limit
    return _Playing(
        behaviour,
        place,
        behaviour.failures.drawn(rng),
        None if behaviour.whole is None else behaviour.whole.drawn(rng),
        None if behaviour.stream is None else behaviour.stream.drawn(rng),
        None if limit is None else Load(limit.of, limit.seconds),
    )


def _failing(like: Call, asked: Asked) -> Reply:
    """As that one did: as fast, and with the same in its headers."""
    fault = Fault(like.error or "APIError", like.status or 500, like.retry_after, like.sent)
    opened = like.ttft if asked.stream else None
    return Reply(max(1e-3, like.seconds), opened, 0, 0, fault)
