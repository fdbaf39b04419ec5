"""What a simulated world must never show."""

from __future__ import annotations

__all__ = ["INVARIANTS", "Violation", "require"]

INVARIANTS = {
    "I1": "every accepted request gets exactly one final reply, no later than its deadline",
    "I2": "no call starts on a deployment that is cooling down, save its single half-open probe",
    "I3": "in any rolling 60 s, starts stay within rpm and reserved or settled tokens within tpm",
    "I4": "open calls are started less ended ones, never below 0 nor above max_parallel, 0 when idle",
    "I5": "a deployment that failed in a request is not picked again while another eligible one remains",
    "I6": "fallbacks are tried in order, each group once, at most max_fallbacks of them",
    "I7": "no sleep after the last attempt, none past the deadline",
    "I8": "replaying the journal gives the live state, at every step and from every snapshot",
    "I9": "the same seed and inputs give the same events, byte for byte",
    "I10": "versions in a stream are contiguous, and positions only grow",
    "I11": "no key, prompt or answer in any event, log line, repr or error text",
    "I12": "after close() no task, no thread and no timer is left",
    "crash": "no actor crashes of its own",
    "books": "what is recorded is what happened: costs, tokens, cooldowns",
    "times": "an attempt ends when its time is over and not before, a hedge begins when it is due",
    "stray": "no call is made, or goes on, that nobody wants",
    "money": "what is set aside, spent and charged is what calls cost, and no budget is overspent",
    "budget": "retries and hedges stay within their budgets",
    "reply": "who asked gets what is recorded",
    "shares": "draws by weight come out as the weights say",
    "idle": "nobody waits, and nobody is refused, for a deployment that stands idle",
    "choice": "who serves suits what was asked for, and nobody who goes before it stood idle",
    "cache": "a cache gives what equal requests were answered, not too long ago, and keeps nobody waiting",
    "health": "who is not known to be well is checked in every round, and nobody else",
    "settled": "once faults stop everything settles, and every deployment serves again",
}
"""Those of the design by number, and what a simulator can see besides."""


class Violation(AssertionError):  # noqa: N818  (what it is, not that it is one more error)
    """An invariant was broken.

    Attributes:
        invariant: which one, as in `INVARIANTS`.
        what: how.
        at: router time.
    """

    def __init__(self, invariant: str, what: str, at: float = 0.0) -> None:
        super().__init__(f"{invariant} ({INVARIANTS[invariant]}): {what} [at {at:.6f}]")
        self.invariant = invariant
        self.what = what
        self.at = at


def require(truth: object, invariant: str, what: str, at: float) -> None:
    """Raise `Violation` unless `truth`. The caller of a hot check tests first, and formats only then."""
    if not truth:
        raise Violation(invariant, what, at)
