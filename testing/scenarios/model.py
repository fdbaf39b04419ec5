"""A scenario as a user writes it: deployments, traffic, and what happens to them."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from ...messages.errors import ConfigurationError
from ...messages.policies import Settings
from ...messages.problems import did_you_mean, listed, quoted

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Deployment", "Incident", "Latency", "Scenario", "load_scenario"]

_SPAN = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")


def _seconds(value: Any) -> Any:
    """`10m`, `1h30m`, `45s`, or a number of seconds."""
    if isinstance(value, str) and value:
        match = _SPAN.fullmatch(value)
        if match is None:
            msg = "must be a time such as 10m, 1h30m or 45s"
            raise ValueError(msg)
        hours, minutes, seconds = (float(part or 0) for part in match.groups())
        return hours * 3600 + minutes * 60 + seconds
    return value


Span = Annotated[float, BeforeValidator(_seconds), Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


def _latency(value: Any) -> Any:
    return {"p50": value} if isinstance(value, (int, float)) else value


class Latency(Settings):
    """Seconds to an answer, log-normal: half of the calls take less than `p50`, 95 % less than `p95`."""

    p50: float = Field(gt=0)
    p95: float | None = Field(default=None, gt=0)

    @property
    def spread(self) -> float:
        """Sigma of the logarithm; 1.645 of them lie between p50 and p95."""
        return 0.0 if self.p95 is None else max(0.0, math.log(self.p95 / self.p50) / 1.6449)


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

    `slower` multiplies latencies; `error_rate` with `how` fails a part of the calls only.
    """

    at: Span
    lasts: Span
    target: str
    how: Literal["refused", "hang", "slow", "401", "429", "500", "503"] = "503"
    slower: float = Field(default=5.0, gt=0)
    error_rate: Share = 1.0


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
    lasts: Span = 3600.0
    requests_per_second: float = Field(default=10.0, gt=0)
    deployments: list[Deployment] = Field(min_length=1)
    router: dict[str, Any] = Field(default_factory=dict)
    traffic: list[Traffic] = Field(default_factory=list)
    happens: list[Incident] = Field(default_factory=list)

    @model_validator(mode="after")
    def _targets_are_known(self) -> Scenario:
        known = [d.id for d in self.deployments] + [d.provider for d in self.deployments if d.provider]
        for incident in self.happens:
            if incident.target not in known:
                hint = did_you_mean(incident.target, known)
                what = f"no deployment or provider {quoted(incident.target)}"
                msg = f"happens: {what}{hint} (known: {listed(known)})"
                raise ValueError(msg)
        return self

    @property
    def mix(self) -> list[Traffic]:
        return self.traffic or [Traffic(model=self.deployments[0].model_name)]

    def hit_by(self, incident: Incident) -> list[Deployment]:
        """The deployments an incident is about."""
        return [d for d in self.deployments if incident.target in (d.id, d.provider)]


def load_scenario(path: Path) -> Scenario:
    """Read a scenario.

    Raises:
        ConfigurationError: the file is not YAML, or something in it is wrong; it names the thing.
        ImportError: PyYAML is not installed (the `cli` extra).
    """
    import yaml  # noqa: PLC0415  (an extra)

    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        msg = f"{path.name} is not YAML: {error}"
        raise ConfigurationError(msg) from None
    if not isinstance(raw, dict):
        msg = f"{path.name}: must be a mapping with `deployments` in it"
        raise ConfigurationError(msg)
    try:
        return Scenario(**raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "scenario"
        msg = f"{path.name}: {where}: {first['msg'].removeprefix('Value error, ')}"
        raise ConfigurationError(msg) from None
