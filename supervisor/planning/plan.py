"""Given what happened to a request, what next? Pure.

    retry now · retry after a pause · wait for a release · next group · fail

Nothing here knows an actor or a clock; the Supervisor asks, and does what it is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from ...messages.outcomes import LeftOut  # noqa: TC001  (attrs resolves it)

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection, Mapping

    from ...messages.fallbacks import FallbackTarget
    from ..request_state import RequestState

__all__ = ["Backoff", "Failed", "GiveUp", "NextGroup", "Pause", "RetryRules", "Step", "TryAgain", "Unplaced"]

NOT_RETRIED = frozenset(
    {
        "BadRequestError",
        "UnprocessableEntityError",
        "ContextWindowExceededError",
        "ContentPolicyViolationError",
        "UnsupportedParamsError",
        "NoDeploymentsAvailable",
        "MidStreamError",
    }
)
"""Errors that a retry would only repeat, unless a retry policy names their class."""

RELEASABLE = frozenset({"cooling_down", "rpm", "tpm", "parallel", "budget", "unhealthy"})
"""Reasons that pass by themselves, so that waiting may help."""


# -- what is asked about


@frozen
class Failed:
    """An attempt failed: the error's class, and what it asked us to wait."""

    error: str
    retry_after: float | None = None
    deployment_retries: int | None = None


@frozen
class Unplaced:
    """The group could not place a retry; see `messages.commands.Unassigned`.

    `has_waited`, `has_paused`: this retry was in the waiting room, has had its pause.
    `earlier`: of the deployments that failed in this request, some other than the last one may be
    eligible; to the request they are "another deployment", which needs no pause.
    """

    repeatable: bool
    earliest: float | None
    reasons: frozenset[str] = frozenset()
    has_waited: bool = False
    has_paused: bool = False
    earlier: bool = False


# -- the answers


@frozen
class TryAgain:
    """Ask the group again now; with `repeat` a deployment that failed before may serve.

    With `not_the_last` the one that failed last may not: it would need a pause.
    """

    repeat: bool = False
    wait: bool = False
    not_the_last: bool = False


@frozen
class Pause:
    """Ask the group again in `seconds`; a deployment that failed before may then serve."""

    seconds: float


@frozen
class NextGroup:
    """Go on to a fallback."""

    target: FallbackTarget


@frozen
class GiveUp:
    """Nothing is left to try."""


Step = TryAgain | Pause | NextGroup | GiveUp


# -- the rules


@frozen
class Backoff:
    """min(max_delay, base x factor^k) seconds, at random below that when `jitter` (full jitter)."""

    base_delay: float = 0.5
    max_delay: float = 8.0
    factor: float = 2.0
    jitter: bool = True

    def seconds(self, k: int, rng: random.Random) -> float:
        """The pause before the k-th repetition (0, 1, ...)."""
        ceiling = min(self.max_delay, self.base_delay * self.factor ** min(k, 64))
        return ceiling * rng.random() if self.jitter else ceiling


@frozen
class RetryRules:
    """How often and how fast to retry.

    `by_error` is the retry policy: attempts beyond the first for a class of error, None where it
    has no say. `backoff` applies to 429; other errors are retried at once.
    """

    num_retries: int = 0
    by_error: Callable[[str], int | None] = lambda _error: None
    retry_after: float = 0.0
    backoff: Backoff = field(factory=Backoff)

    def allowed(self, failed: Failed, requested: int | None) -> int:
        """Retries for this error: policy, then request, then deployment, then router.

        A request that asks for none always gets none.
        """
        if requested == 0:
            return 0
        named = self.by_error(failed.error)
        if named is not None:
            return named
        if failed.error in NOT_RETRIED:
            return 0
        if requested is not None:
            return requested
        return self.num_retries if failed.deployment_retries is None else failed.deployment_retries

    def pause(self, failed: Failed, k: int, rng: random.Random) -> float:
        """Seconds before the same deployment is asked again: never less than it asked for itself."""
        seconds = max(self.retry_after, failed.retry_after or 0.0)
        if failed.error == "RateLimitError":
            seconds = max(seconds, self.backoff.seconds(k, rng))
        return seconds


def wants_retry(state: RequestState, failed: Failed, rules: RetryRules, requested: int | None) -> bool:
    """Whether the failed attempt leaves another one in its group."""
    return state.group_attempts <= rules.allowed(failed, requested)


def onward(target: FallbackTarget | None) -> Step:
    """This group is done: the next one, if there is one."""
    return GiveUp() if target is None else NextGroup(target)


def after_unplaced(
    state: RequestState,
    unplaced: Unplaced,
    failed: Failed,
    rules: RetryRules,
    target: FallbackTarget | None,
    now: float,
    rng: random.Random,
) -> Step:
    """A retry is left, but no other deployment of the group is eligible: what now?"""
    pause = 0.0 if unplaced.has_paused else rules.pause(failed, max(0, state.failed_attempts - 1), rng)
    if unplaced.repeatable and unplaced.earlier and pause > 0:
        return TryAgain(repeat=True, not_the_last=True)
    if unplaced.repeatable:
        return _same_again(state, pause, target, now)
    if target is not None:
        return NextGroup(target)
    if unplaced.has_waited or not unplaced.reasons & RELEASABLE:
        return GiveUp()
    return _wait_for_release(state, unplaced, pause, now)


def _same_again(state: RequestState, pause: float, target: FallbackTarget | None, now: float) -> Step:
    if pause <= 0:
        return TryAgain(repeat=True)
    if now + pause < state.deadline:
        return Pause(pause)
    return onward(target)


def _wait_for_release(state: RequestState, unplaced: Unplaced, pause: float, now: float) -> Step:
    release = now if unplaced.earliest is None else unplaced.earliest
    if max(release, now + pause) >= state.deadline:
        return GiveUp()
    if now + pause > release:
        return Pause(pause)
    return TryAgain(repeat=True, wait=True)


def reasons_of(
    left_out: tuple[LeftOut, ...], more: Mapping[str, int], never: Collection[str] = ()
) -> frozenset[str]:
    """The reasons that may pass; a demand that never fits its tpm or budget is not one of them.

    Nor is what holds up those in `never`: free again, they would still not be taken.
    """
    named = {item.reason for item in left_out if item.deployment_id not in never and not _for_good(item)}
    return frozenset(named | set(more))


def _for_good(item: LeftOut) -> bool:
    return item.reason in ("tpm", "budget") and item.until is None and not item.sooner
