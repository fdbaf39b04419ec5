"""What came of things: usage, outcomes, decisions, and the route an answer took.

All times named `at` or `until` are *router time*: seconds since the epoch on a clock that never
jumps while the router lives (see :mod:`turnout.actors.runtime.clock`).
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, Literal

from msgspec import field

from .encodings import MAX_TOKEN_BYTES
from .values import Value

if TYPE_CHECKING:
    from .errors import RequestError
    from .responses import Answer

__all__ = [
    "MAX_CANDIDATES",
    "MAX_LEFT_OUT",
    "Attempt",
    "CallOutcome",
    "Decision",
    "Demand",
    "LeftOut",
    "ProviderLimits",
    "RouteInfo",
    "Usage",
]

MAX_LEFT_OUT = 32
"""A decision names at most this many left-out candidates; the rest are counted by reason."""

MAX_CANDIDATES = 8
"""A decision names those it chose from when they, and those left out, are no more than this."""

Reason = Literal[
    "removed",
    "unhealthy",
    "cooling_down",
    "rpm",
    "tpm",
    "parallel",
    "context_window",
    "region",
    "capability",
    "tags",
    "order",
    "failed_in_this_request",
    "budget",
]


class Usage(Value, frozen=True):
    """What one call used. `estimated` when we counted because the provider did not say.

    Those between `cached_tokens` and `cached_image_tokens` are among `prompt_tokens`, the next three
    among `completion_tokens`; None where the provider did not say, which is charged as if there were
    none of them. `seconds` of audio, `characters` of text to be spoken and `images` made are for
    models that are not sold by the token.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int | None = None
    estimated: bool = False
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    input_audio_tokens: int | None = None
    cached_audio_tokens: int | None = None
    input_image_tokens: int | None = None
    cached_image_tokens: int | None = None
    output_audio_tokens: int | None = None
    output_image_tokens: int | None = None
    reasoning_tokens: int | None = None
    seconds: float | None = None
    characters: int | None = None
    images: int | None = None

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class Demand(Value, frozen=True):
    """What a request is expected to use.

    Attributes:
        input_tokens: the prompt, as anybody would estimate it.
        output_tokens: the most it may answer; None when it set no maximum.
        text_bytes: UTF-8 bytes of text in the prompt; 0 where nobody measured.
        fixed_tokens: what the prompt has beside them: the frame of each message, images.
        counted: tokens of the text by vocabulary, counted exactly; None: nobody has tried.
        inputs: those that may be divided among several calls of the provider: an embedding's batch.
    """

    input_tokens: int
    output_tokens: int | None = None
    text_bytes: int = 0
    fixed_tokens: int = 0
    counted: tuple[tuple[str, int], ...] | None = None
    inputs: int = 1

    def starts(self, batch: int) -> int:
        """Calls of the provider it takes when one call may have `batch` inputs."""
        return -(-self.inputs // batch)

    def exact(self, encoding: str | None) -> int | None:
        """The prompt as a model with this vocabulary reads it; None where that was not counted."""
        for name, tokens in self.counted or ():
            if name == encoding:
                return tokens + self.fixed_tokens
        return None

    def input_by(self, encoding: str | None) -> int:
        """The same, or the estimate."""
        exact = self.exact(encoding)
        return self.input_tokens if exact is None else exact

    def input_at(self, tokens_per_byte: float | None) -> int:
        """The prompt in tokens where a byte of text is so many of them; None: nobody knows."""
        if tokens_per_byte is None or not self.text_bytes:
            return self.input_tokens
        return self.fixed_tokens + ceil(self.text_bytes * tokens_per_byte)

    def reservation(
        self,
        expected: int,
        tpm: int | None,
        tokens_per_byte: float | None = None,
        encoding: str | None = None,
    ) -> int:
        """Tokens to set aside: the prompt, and the maximum or the `expected` output.

        What is only expected must not exceed the limit by itself: it would never be admitted, and so
        never be put right. (So it is with a prompt of about the limit: what is learned makes it no larger
        than that, unless its plain estimate is. One that was counted by the `encoding` is as long as it is.)
        """
        exact = None if self.counted is None else self.exact(encoding)
        if exact is not None:
            return self._with_output(exact, expected, tpm)
        prompt = self.input_at(tokens_per_byte)
        if tpm is not None and prompt > tpm:
            prompt = max(tpm, self.input_tokens)
        return self._with_output(prompt, expected, tpm)

    def bounds(self, expected: int, tpm: int) -> tuple[int, int]:
        """The least and the most that its reservation can be, by whatever vocabulary it is counted."""
        least, most = self.input_bounds()
        return self._with_output(least, expected, tpm), self._with_output(most, expected, tpm)

    def input_bounds(self) -> tuple[int, int]:
        """The least and the most that the prompt can be: no token is longer than the longest."""
        size, fixed = self.text_bytes, self.fixed_tokens
        return fixed - (-size // MAX_TOKEN_BYTES), fixed + size

    def _with_output(self, prompt: int, expected: int, tpm: int | None) -> int:
        output = self.output_tokens
        if output is None:
            output = expected if tpm is None else min(expected, max(0, tpm - prompt))
        return prompt + output


class ProviderLimits(Value, frozen=True):
    """What the provider's rate-limit headers said is left in its own window, and for how long.

    `reset_*` are seconds until that window is full again; None when not said.
    """

    remaining_requests: int | None = None
    remaining_tokens: int | None = None
    reset_requests: float | None = None
    reset_tokens: float | None = None


class CallOutcome(Value, frozen=True):
    """How one provider call ended, told by the caller task to its deployment.

    `usage` is None when nobody said; `limits` when no such header came. For a stream the chunks
    went to the caller through its channel, so `response` is None. `source` is what the response was
    made of, where that is at hand: its JSON, or the plain data; who keeps answers keeps this.
    """

    status: Literal["succeeded", "failed", "cancelled"]
    response: Answer | None = None
    error: RequestError | None = None
    usage: Usage | None = None
    limits: ProviderLimits | None = None
    source: Any = None


class LeftOut(Value, frozen=True):
    """Why a deployment was not a candidate, and until when if that is known.

    `sooner`: it may be released before that, nobody knows when (an open call may cost less than was
    set aside for it).
    """

    deployment_id: str
    reason: Reason
    until: float | None = None
    need: float | None = None
    has: float | None = None
    detail: str | None = None
    sooner: bool = False


class Decision(Value, frozen=True):
    """One pick, recorded: enough to explain it without the live state.

    Attributes:
        group: the model group that chose.
        strategy: by which strategy.
        deployment_id: the deployment chosen.
        eligible: how many could have been chosen.
        candidates: their ids, where no more than `MAX_CANDIDATES` deployments suit the request.
        score: the number the strategy compared (its meaning is the strategy's); None for a draw.
        draw: the random number that settled it, in [0, 1); None when chance had no say.
        considered: the (deployment, score) pairs that were compared, at most 8.
        left_out: at most `MAX_LEFT_OUT` that were not candidates, each with its reason.
        left_out_by_reason: how many more there were, by reason.
    """

    group: str
    strategy: str
    deployment_id: str
    eligible: int
    score: float | None = None
    draw: float | None = None
    considered: tuple[tuple[str, float], ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    left_out_by_reason: dict[str, int] = field(default_factory=dict)
    candidates: tuple[str, ...] = ()


class Attempt(Value, frozen=True):
    """One row of `error.attempts` and of `route.attempts`.

    `seconds` is how long the attempt took, `wait` how long the request paused before it.
    `error` is the error's class name, None for the attempt that succeeded, and ``"Cancelled"`` for one
    of two side by side that was not needed any more.
    """

    group: str
    deployment_id: str | None
    error: str | None
    seconds: float
    wait: float = 0.0
    status_code: int | None = None


class RouteInfo(Value, frozen=True):
    """The way an answer took; `response.route`.

    Attributes:
        request_id: names the request in `router.events()`.
        model_group: the group that served (not always the one asked).
        deployment_id: the deployment that served.
        attempts: one row per attempt, the last one being the answer.
        retries: attempts beyond the first of each group.
        fallbacks: groups tried beyond the first.
        waited: seconds spent waiting for a slot, a cooldown or a back-off.
        seconds: from acceptance to the answer (a stream: to its end).
        cost: US dollars; None when a price or a usage field is missing, never 0 for unknown.
        cache_hit: whether a cache answered.
        strategy: what chose the deployment.
        hedges: attempts that were started beside a slow one.
    """

    request_id: str
    model_group: str
    deployment_id: str
    attempts: tuple[Attempt, ...]
    retries: int
    fallbacks: int
    waited: float
    seconds: float
    cost: float | None
    cache_hit: bool
    strategy: str
    hedges: int = 0
