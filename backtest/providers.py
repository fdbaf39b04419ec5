"""The providers of a record: one model for each deployment, and one play's draw of them all. Pure.

What is not in the record is borrowed (`likeness`), and the report says of whom.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, evolve, field, frozen

from .answers import Answers
from .crowding import Growths
from .draws import Draws
from .failures import Failures, fit_failures
from .latencies import NEVER, Latencies, fit_latencies
from .likeness import Likeness, liken
from .ports import Asked, Fault, Reply
from .record import OWN_FAULT
from .refusals import RATE_LIMITED, Load, find_limit

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

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
        growths: how load slows it down.
        borrowed: to whom it is likened, and how, since its own calls are too few; empty when it is not.
        alike: whether these are deployments of the same model.
    """

    answers: int
    whole: Latencies | None
    stream: Latencies | None
    failures: Failures
    limit: Limit | None = None
    refusals: tuple[Call, ...] = ()
    growths: Growths = field(factory=Growths)
    borrowed: Mapping[str, Likeness] = field(factory=dict)
    alike: bool = True


@frozen
class Model:
    """All of them, by deployment; `told` is what their headers said of others, see `sharers`."""

    behaviours: Mapping[str, Behaviour]
    answers: Answers
    told: Mapping[str, Sequence[tuple[float, int, int, float]]] = field(factory=dict)

    def drawn(self, seed: int, rng: random.Random) -> DrawnProviders:
        """The providers of one play, as uncertain as the record leaves them."""
        return DrawnProviders(self, seed, rng)


def fit_model(record: Record, listings: Mapping[str, Listing]) -> Model:
    """What the record shows of these deployments."""
    answers = Answers(record.calls)
    shown = {name: _behaviour(record.calls.get(name, []), record) for name in listings}
    behaviours = {
        name: each if each.answers >= HARDLY_USED else _likened(name, each, shown, record, listings)
        for name, each in shown.items()
    }
    return Model(behaviours, answers, record.limits)


def _behaviour(own: Sequence[Call], record: Record) -> Behaviour:
    """By its own calls alone."""
    limit = find_limit(own, _tokens)
    refusals = tuple(c for c in own if limit is not None and c.status == RATE_LIMITED)
    telling = [c for c in own if _tells_of_health(c) and not (limit and c.status == RATE_LIMITED)]
    failures = fit_failures(telling, record.began, record.ended)
    timed = [call for call in own if _tells_of_time(call)]
    answered = sum(not call.cut for call in timed)
    whole, stream, slower = fit_latencies(timed)
    return Behaviour(answered, whole, stream, failures, limit, refusals, slower)


def _likened(
    name: str,
    own: Behaviour,
    shown: Mapping[str, Behaviour],
    record: Record,
    listings: Mapping[str, Listing],
) -> Behaviour:
    others, alike = _others_like(name, shown, listings)
    calls = [call for call in record.calls.get(name, ()) if _tells_of_time(call) and not call.cut]
    likenesses = {
        other: liken(calls, shown[other].whole, shown[other].stream, alike=alike) for other in others
    }
    return evolve(own, borrowed=likenesses, alike=alike)


def _tokens(call: Call) -> float:
    return float(call.prompt_tokens + call.output_tokens)


def _tells_of_health(call: Call) -> bool:
    """One that was given up for no fault of the deployment's says nothing of it; nor does a bad request."""
    return call.error not in OWN_FAULT and not (call.cut and call.error is None)


def _tells_of_time(call: Call) -> bool:
    return call.error is None


def _others_like(
    name: str, shown: Mapping[str, Behaviour], listings: Mapping[str, Listing]
) -> tuple[list[str], bool]:
    """Deployments that were used: of the same model, else of the same group, else all."""
    answers = {other: each.answers for other, each in shown.items() if other != name and each.answers}
    used = [other for other, count in answers.items() if count >= HARDLY_USED] or list(answers)
    mine = listings[name]
    model = mine.config["litellm_params"].get("model")
    same_model = [o for o in used if listings[o].config["litellm_params"].get("model") == model]
    if same_model:
        return same_model, True
    same_group = [o for o in used if listings[o].group == mine.group]
    return same_group or used, False


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
        self._answers = model.answers.drawn(rng)
        self._draws = Draws(seed)
        self._playing = {
            name: _playing(_as_drawn(behaviour, model, rng), place, rng)
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
    limit, growth = behaviour.limit, behaviour.growths.drawn(rng)
    return _Playing(
        behaviour,
        place,
        behaviour.failures.drawn(rng),
        None if behaviour.whole is None else behaviour.whole.drawn(rng, growth),
        None if behaviour.stream is None else behaviour.stream.drawn(rng, growth),
        None if limit is None else Load(limit.of, limit.seconds),
    )


def _as_drawn(behaviour: Behaviour, model: Model, rng: random.Random) -> Behaviour:
    """One that is hardly known is in each play like one of those it may be like, give or take."""
    if not behaviour.borrowed:
        return behaviour
    other = rng.choice(list(behaviour.borrowed))
    like, factor = model.behaviours[other], behaviour.borrowed[other].drawn(rng)
    return evolve(
        behaviour,
        whole=None if like.whole is None else like.whole.slowed(factor),
        stream=None if like.stream is None else like.stream.slowed(factor),
        failures=behaviour.failures.beside(like.failures),
        growths=like.growths,
    )


def _failing(like: Call, asked: Asked) -> Reply:
    """As that one did: as fast, and with the same in its headers."""
    fault = Fault(like.error or "APIError", like.status or 500, like.retry_after, like.sent)
    opened = like.ttft if asked.stream else None
    return Reply(max(1e-3, like.seconds), opened, 0, 0, fault)
