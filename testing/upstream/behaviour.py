"""How an upstream behaves: one value, readable from text and writable as text."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, fields, frozen

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

__all__ = ["OPTIONS", "Behaviour", "Rate", "Span", "parse_behaviour", "parse_option"]

MAX_SECONDS = 3600.0
"""No delay is longer."""

MAX_WORDS = 100_000
"""No answer is longer."""

_NUMBER = r"[\d.]+(?:e[+-]?\d+)?"
_SPAN = re.compile(rf"(?P<seconds>{_NUMBER})s?(?:(?:±|\+-)(?P<jitter>{_NUMBER})s?)?")
_RATE = re.compile(rf"(?P<count>\d+)/(?P<number>{_NUMBER})?(?P<unit>s|m|h)")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@frozen
class Span:
    """A delay in seconds, drawn evenly from `seconds` ± `jitter`."""

    seconds: float = 0.0
    jitter: float = 0.0

    def __str__(self) -> str:
        return f"{self.seconds}±{self.jitter}" if self.jitter else str(self.seconds)

    def draw(self, rng: random.Random) -> float:
        if not self.jitter:
            return self.seconds
        return max(0.0, rng.uniform(self.seconds - self.jitter, self.seconds + self.jitter))


@frozen
class Rate:
    """At most `count` requests in any `seconds`."""

    count: int
    seconds: float = 1.0

    def __str__(self) -> str:
        return f"{self.count}/{self.seconds}s"


@frozen
class Behaviour:
    """What a model of the upstream does; the default answers everything at once.

    Attributes:
        latency: before the answer, or before the first chunk.
        chunk_delay: seconds between the chunks of a stream.
        words: how many words an answer has.
        error_rate: which part of the requests fails with `error_status`, 0 to 1.
        error_status: the HTTP status of those.
        rate_limit: beyond it a request gets 429.
        retry_after: seconds to tell with a 429; None tells when the limit really lets one through.
        cut_streams: which part of the streams breaks off after a few chunks.
        stall: which part of the requests gets no answer at all, until the client leaves.
        stall_streams: which part of the streams falls silent after a few chunks.
    """

    latency: Span = field(factory=Span)
    chunk_delay: float = 0.0
    words: int = 12
    error_rate: float = 0.0
    error_status: int = 500
    rate_limit: Rate | None = None
    retry_after: float | None = None
    cut_streams: float = 0.0
    stall: float = 0.0
    stall_streams: float = 0.0

    def __str__(self) -> str:
        """As `parse_behaviour` reads it: only what differs from the default."""
        default = Behaviour()
        names = (attribute.name for attribute in fields(Behaviour))
        changed = [name for name in names if getattr(self, name) != getattr(default, name)]
        return ",".join(f"{name}={getattr(self, name)}" for name in changed)


def parse_behaviour(text: str, base: Behaviour | None = None) -> Behaviour:
    """`"latency=0.2±0.05,error_rate=1"` on top of `base`.

    Raises:
        ValueError: naming the part that is wrong and what is known.
    """
    changes: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = part.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or name not in OPTIONS:
            msg = f"{part!r}: must be one of {', '.join(OPTIONS)}, each with =value"
            raise ValueError(msg)
        changes[name] = parse_option(name, value.strip())
    return evolve(base or Behaviour(), **changes)


def parse_option(name: str, text: str) -> Any:
    """The value of one option.

    Raises:
        ValueError: naming the option, what was given and what is allowed.
    """
    read, allowed = OPTIONS[name]
    try:
        return read(text)
    except ValueError:
        msg = f"{name}={text}: must be {allowed}"
        raise ValueError(msg) from None


def _seconds(text: str) -> float:
    return _between(float(text), 0.0, MAX_SECONDS)


def _share(text: str) -> float:
    return _between(float(text), 0.0, 1.0)


def _between(value: float, low: float, high: float) -> float:
    if not low <= value <= high or math.isnan(value):
        raise ValueError(value)
    return value


def _span(text: str) -> Span:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return Span(_seconds(match["seconds"]), _seconds(match["jitter"] or "0"))


def _rate(text: str) -> Rate:
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    seconds = float(match["number"] or 1) * _UNITS[match["unit"]]
    if not (int(match["count"]) and seconds):
        raise ValueError(text)
    return Rate(int(match["count"]), _seconds(str(seconds)))


def _status(text: str) -> int:
    return int(_between(int(text), 400, 599))


def _words(text: str) -> int:
    return int(_between(int(text), 1, MAX_WORDS))


_SHARE = (_share, "a share of the requests, from 0 to 1")
OPTIONS: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "latency": (_span, "seconds, such as 0.05 or 0.05±0.02"),
    "chunk_delay": (_seconds, "seconds"),
    "words": (_words, f"a number from 1 to {MAX_WORDS}"),
    "error_rate": _SHARE,
    "error_status": (_status, "an HTTP status from 400 to 599"),
    "rate_limit": (_rate, "a rate, such as 20/s or 100/60s or 5/m"),
    "retry_after": (_seconds, "seconds"),
    "cut_streams": _SHARE,
    "stall": _SHARE,
    "stall_streams": _SHARE,
}
"""Every option by name: how its text is read, and what is allowed."""
