"""A scenario as a user writes it: deployments, traffic, and what happens to them."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from ...messages.deployment_fields import ALIASES, NOT_HERE, OF_A_REQUEST, PARAM_FIELDS
from ...messages.policies import Settings
from ...messages.problems import did_you_mean, listed, quoted

__all__ = ["MAX_REQUESTS", "Deployment", "Incident", "Latency", "Scenario", "Traffic"]

MAX_REQUESTS = 10_000_000
"""That are played with one seed, at most: half an hour's work or so."""

OWN = frozenset({"caller", "clock", "journal", "model_list", "seed", "transport"})
"""What a router is told by who plays the scenario, and not by its file."""

PARAMS = frozenset({"custom_llm_provider", "model", *PARAM_FIELDS, *ALIASES, *NOT_HERE, *OF_A_REQUEST})
"""What a router reads of a deployment's parameters, or refuses in words of its own; and any price."""

OFTEN = ("rpm", "tpm", "max_parallel_requests", "weight", "order", "tags", "timeout", "cooldown_time")
"""The parameters that a scenario is most likely about."""

ALIKE = frozenset({"cache_responses", "prompt_cache_affinity"})
"""Settings by which it matters how alike requests are, and those of a scenario are all the same."""

_SPAN = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")


def _seconds(value: Any) -> Any:
    """`10m`, `1h30m`, `45s`, or a number of seconds."""
    match = _SPAN.fullmatch(value) if isinstance(value, str) and value else None
    if match is not None:
        hours, minutes, seconds = (float(part or 0) for part in match.groups())
        return hours * 3600 + minutes * 60 + seconds
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        msg = "must be a time such as 10m, 1h30m or 45s, or a number of seconds"
        raise ValueError(msg)  # noqa: TRY004  (what pydantic turns into an error of ours)
    return value


Span = Annotated[float, BeforeValidator(_seconds), Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _latency(value: Any) -> Any:
    if isinstance(value, (int, float)):
        return {"p50": value}
    if not isinstance(value, (dict, Latency)):
        msg = "must be a number of seconds, or a mapping with p50 and p95"
        raise ValueError(msg)  # noqa: TRY004  (what pydantic turns into an error of ours)
    return value


def _how(value: Any) -> Any:
    """A status may be written without quotes."""
    return str(value) if type(value) is int else value


class Latency(Settings):
    """Seconds to an answer, log-normal: half of the calls take less than `p50`, 95 % less than `p95`."""

    p50: Positive
    p95: Positive | None = None

    @model_validator(mode="after")
    def _is_a_spread(self) -> Latency:
        if self.p95 is not None and self.p95 < self.p50:
            msg = f"p95 = {self.p95:g} is below p50 = {self.p50:g}"
            raise ValueError(msg)
        return self

    @property
    def spread(self) -> float:
        """Sigma of the logarithm; 1.645 of them lie between p50 and p95."""
        return 0.0 if self.p95 is None else math.log(self.p95 / self.p50) / 1.6449


class Deployment(Settings):
    """One deployment: how it behaves, and what the router is told of it.

    `provider` is the name under which incidents speak of several; `params` go to `litellm_params`
    as they are (rpm, tpm, max_parallel_requests, weight, timeout, ...).
    """

    id: str
    model_name: str
    provider: str | None = None
    latency: Annotated[Latency, BeforeValidator(_latency)] = Latency(p50=1.0)
    error_rate: Share = 0.0
    error: int = Field(default=500, ge=400, le=599)
    output_tokens: int = Field(default=200, ge=1)
    input_cost_per_token: float | None = Field(default=None, ge=0)
    output_cost_per_token: float | None = Field(default=None, ge=0)
    params: dict[str, Any] = Field(default_factory=dict)


class Incident(Settings):
    """From `at`, for as long as `lasts`: a deployment or all of a provider fails, hangs or is slow.

    `slower` multiplies latencies of who is `slow`; `error_rate` fails a part of the calls only. While two
    are about the same deployment, the one that began later counts.
    """

    at: Span
    lasts: Annotated[Span, Field(gt=0)]
    target: str
    how: Annotated[Literal["refused", "hang", "slow", "401", "429", "500", "503"], BeforeValidator(_how)] = (
        "503"
    )
    slower: Positive = 5.0
    error_rate: Share = 1.0

    @model_validator(mode="after")
    def _says_nothing_in_vain(self) -> Incident:
        if "slower" in self.model_fields_set and self.how != "slow":
            msg = f"slower is for how: slow, and this is {self.how}"
            raise ValueError(msg)
        if "error_rate" in self.model_fields_set and self.how in {"slow", "hang"}:
            msg = f"error_rate is for errors, and this is {self.how}"
            raise ValueError(msg)
        return self

    @property
    def ends(self) -> float:
        return self.at + self.lasts


class Traffic(Settings):
    """Requests of one kind: to which model, what part of all, how long."""

    model: str
    share: float = Field(default=1.0, gt=0)
    prompt_tokens: int = Field(default=500, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)
    priority: int | None = Field(default=None, ge=0, le=255)


class Scenario(Settings):
    """The whole file.

    Attributes:
        lasts: how much time is simulated.
        requests_per_second: the mean arrival rate (Poisson).
        router: settings of the router.
        traffic: the mix of requests; one of the first group when left out.
        happens: the incidents; without any there is nothing to compare with.
    """

    name: str = "scenario"
    lasts: Annotated[Span, Field(gt=0)] = 3600.0
    requests_per_second: Positive = 10.0
    deployments: list[Deployment] = Field(min_length=1)
    router: dict[str, Any] = Field(default_factory=dict)
    traffic: list[Traffic] = Field(default_factory=list)
    happens: list[Incident] = Field(default_factory=list)

    @model_validator(mode="after")
    def _makes_sense(self) -> Scenario:
        problems = (
            self._too_much(),
            self._not_theirs(),
            *map(self._in_vain, range(len(self.deployments))),
            *map(self._misses, range(len(self.happens))),
        )
        for problem in problems:
            if problem is not None:
                raise ValueError(problem)
        return self

    def _too_much(self) -> str | None:
        requests = self.lasts * self.requests_per_second
        if requests <= MAX_REQUESTS:
            return None
        return f"lasts: {requests:,.0f} requests would come; {MAX_REQUESTS:,} are played at most"

    def _not_theirs(self) -> str | None:
        taken = sorted(OWN & {*self.router})
        if taken:
            return f"router.{taken[0]}: a scenario is played with one of its own: leave it out"
        alike = sorted(name for name in ALIKE if self.router.get(name))
        why = "a scenario does not say how alike its requests are"
        return f"router.{alike[0]}: {why}: leave it out" if alike else None

    def _in_vain(self, number: int) -> str | None:
        """The first parameter of a deployment that is for its provider, who plays no part here."""
        for name in self.deployments[number].params:
            if name not in PARAMS and "_cost" not in name:
                hint = did_you_mean(name, PARAM_FIELDS) or f" (known: {listed(OFTEN, len(OFTEN))}, ...)"
                return f"deployments[{number}].params: unknown key {quoted(name)}{hint}"
        return None

    def _misses(self, number: int) -> str | None:
        """Why an incident would do nothing."""
        incident = self.happens[number]
        if not self.hit_by(incident):
            known = dict.fromkeys(name for d in self.deployments for name in (d.id, d.provider) if name)
            hint = did_you_mean(incident.target, known)
            what = f"no deployment or provider {quoted(incident.target)}{hint}"
            return f"happens[{number}].target: {what} (known: {listed(list(known))})"
        if incident.at >= self.lasts:
            return f"happens[{number}].at: it would begin when all is over ({self.lasts:g} s)"
        return None

    @property
    def mix(self) -> list[Traffic]:
        return self.traffic or [Traffic(model=self.deployments[0].model_name)]

    def hit_by(self, incident: Incident) -> list[Deployment]:
        """The deployments an incident is about."""
        return [d for d in self.deployments if incident.target in (d.id, d.provider)]
