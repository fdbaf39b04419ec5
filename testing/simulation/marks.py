"""States worth reaching. A simulator that never reaches one of them proves nothing about it.

After Antithesis's *sometimes* assertions: `marks.sometimes("late answer dropped")` says that in some
run this line must be passed. What no run of many has passed is reported, and that fails.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MARKS", "Marks"]

MARKS: Mapping[str, str] = {
    # what becomes of a request
    "answered at the first attempt": "a plain success",
    "answered by a retry": "the second or a later attempt of a group was the answer",
    "answered by a fallback": "another group than the one asked served",
    "answered from the cache": "an equal request had that answer not long ago",
    "shared an open call": "an equal request was open, and its answer was for both",
    "fallbacks exhausted": "a fallback was tried and the request failed all the same",
    "max_fallbacks reached": "as many fallbacks were tried as may be",
    "failed deployment asked again": "a retry had nobody but those that had failed in the request",
    "retry after a pause": "a request paused before the same deployment was asked again",
    "no pause past the deadline": "a 429's pause would have passed the deadline, so it was not made",
    "retry budget used up": "a retry was due and the router allowed itself no more",
    "nobody available": "a request ended because no deployment of its group was eligible",
    "unknown model": "a request asked for a model that no group has",
    "a later order served": "nobody of a lower order could take the call",
    "the right tags served": "a deployment had the tags that were asked for, and others had not",
    "a default served": "nobody had the tags asked for, and a deployment is there for such requests",
    "nobody with the tags": "a request was refused since no deployment of its group is for it",
    "deadline during a call": "the time of a request ran out while a provider was at work",
    "deadline while waiting": "the time of a request ran out in the waiting room",
    "deadline during a pause": "the time of a request ran out before its retry",
    # waiting
    "wait ended by a freed slot": "a call that ended let a waiting one start",
    "wait ended by a timer": "a limit or a cooldown ran out and let a waiting one start",
    "waiting room full": "a request was refused since as many waited as may",
    "refused by the deployment": "the group asked too soon, and the deployment knew better",
    # the breaker
    "cooldown by count": "too many failures in a minute",
    "cooldown by Retry-After": "a provider asked for it",
    "cooldown at once": "a wrong key",
    "half-open probe succeeding": "a probe closed the breaker",
    "half-open probe failing": "a probe opened it again, for twice as long",
    "half-open probe abandoned": "a probe's caller left, or its actor died",
    "absurd Retry-After ignored": "a provider asked for what nobody can mean",
    # limits
    "rpm reached": "a deployment took as many starts in a minute as it may",
    "tpm reached": "a deployment had no tokens left for a call",
    "parallel reached": "a deployment had as many open calls as it may",
    "provider counts more than we": "rate-limit headers corrected our count",
    # budgets
    "too little left": "a deployment's budget had no room for a call",
    "too little left of a shared budget": "a provider's, or a tag's, had none",
    "well, and without money": "after all faults a deployment's budget had no room for a word",
    "a budget used up": "which is told once in its period",
    "wait ended by a new budget window": "what was spent counted no more, and a waiting request started",
    "health crashed": "who runs the checks: those who asked are told, and the rounds go on",
    "treasury crashed": "a handler raised, and what was set aside was still known",
    "treasury crashed with money set aside": "and calls under way",
    "restarted with a budget partly spent": "a router that was killed came back to what it had spent",
    "a budget changed under load": "and what was spent counts",
    # calls and streams
    "call timed out": "an attempt took longer than its deployment's timeout",
    "stream stalled": "a stream was silent for longer than its stream_timeout",
    "stream broken after its first chunk": "a provider broke off, and the reader got a MidStreamError",
    "late answer dropped": "an answer came for a call that had been given up",
    "caller left during a call": "and the call was cancelled",
    "caller left while waiting": "and the waiting room let it go",
    "caller left a stream": "with chunks still to come",
    "stream forgotten": "its reader dropped it without a word",
    "slow reader held up a provider": "a channel was full, and its provider waited",
    "connection refused": "a call that was surely not sent",
    "hung up after sending": "a call that may have been sent",
    # crashes
    "deployment crashed": "a handler raised, and the deployment came back from the journal",
    "group crashed": "a handler raised, and the group came back",
    "supervisor crashed": "a handler raised, and the next one took the books over",
    "cache crashed": "requests that waited for its word went on without",
    "actor retired": "an actor crashed too often",
    "crash with calls open": "a deployment's calls were abandoned",
    "crash with requests waiting": "a group lost its waiting room and got it back",
    "router killed": "the process died between two events",
    "recovery with open calls": "a router found calls open in its journal and closed them",
    "unsynced tail lost": "a process died with events that were not durable",
    "clock set back": "a router came back to a wall clock before its journal's last event",
    "clock jumped forward": "the process slept, and all its timers were overdue at once",
    "everything came at once": "the actors' thread was busy, and found their mailboxes full of all kinds",
    # deployments that come and go
    "deployment added under load": "and calls go there",
    "deployment changed under load": "its limits, while its calls go on",
    "deployment removed under load": "its open calls end in their own time",
    # health checks
    "health check made": "a call of its own beside those of requests",
    "health check failed": "a deployment is left out while another of its group is well",
    "found well again by a check": "and takes calls again",
    "served though it failed a check": "nobody who was well could take the call",
    "checked in the background": "in a round that nobody asked for",
    # where, and what
    "served in the right region": "others of the group are not where the request may go",
    "served by one who can": "others of the group cannot do what is asked for",
    "turned away for its region": "nobody is where the request may go, or who is may not serve it otherwise",
    "turned away for its capability": "nobody can do what is asked for",
    # the journal
    "journal failing": "a write raised",
    "journal outcome unknown": "a write raised and was durable all the same",
    "journal lost events": "its queue was full, and the loss was recorded",
    "journal slow": "events waited long to become durable",
    # bounds
    "mailbox full": "a caller was refused since an actor did not keep up",
    "closed with requests open": "close() ended them",
}


class Marks:
    """Counts how often each mark was passed."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Marks {len(self.counts)} of {len(MARKS)} reached>"

    def sometimes(self, mark: str) -> None:
        """This line was passed.

        Raises:
            KeyError: no such mark: it would never be missed.
        """
        MARKS[mark]
        self.counts[mark] += 1

    @property
    def missing(self) -> list[str]:
        """Those never reached."""
        return [mark for mark in MARKS if not self.counts[mark]]
