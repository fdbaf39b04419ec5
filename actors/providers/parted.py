"""A call that asks for more than the provider takes at once: several calls, put together again.

To the deployment it is one call: admitted as a whole, with as many starts as it has parts, and failed
as a whole by the first part that fails. So all of an answer comes from one model.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ...messages.commands import ProviderFinished
from ...messages.embeddings import joined
from ...messages.outcomes import CallOutcome, Usage
from ...messages.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...messages.commands import ProviderOpened
    from .ports import CallHandle, ProviderCall

__all__ = ["MAX_PARTS_AT_ONCE", "PartedCall"]

MAX_PARTS_AT_ONCE = 4
"""Parts of one call that are open at one time; a single one where the deployment's calls are limited."""


class PartedCall:
    """One call in parts; see :class:`~.ports.CallHandle`.

    Args:
        start: starts a part.
        call: the whole.
        deliver: is told of its end, once.
    """

    def __init__(
        self,
        start: Callable[[ProviderCall, Callable[[Any], None]], CallHandle],
        call: ProviderCall,
        deliver: Callable[[ProviderOpened | ProviderFinished], None],
    ) -> None:
        self._start = start
        self._deliver = deliver
        self._call_id = call.call.call_id
        requests = call.call.request.parts(call.deployment.batch)  # type: ignore[attr-defined]
        self._parts = [replace(call, call=replace(call.call, request=request)) for request in requests]
        self._answers: list[CallOutcome | None] = [None] * len(requests)
        self._open: dict[int, CallHandle] = {}
        self._next = 0
        self._over = False
        for _ in range(1 if call.one_by_one else MAX_PARTS_AT_ONCE):
            self._start_next()

    def __repr__(self) -> str:
        answered = sum(answer is not None for answer in self._answers)
        return f"<PartedCall {self._call_id} · {answered}/{len(self._parts)} parts>"

    def cancel(self) -> Usage | None:
        """Abort it; nothing is delivered any more. Gives the usage of the parts that were answered."""
        self._over = True
        handles, self._open = tuple(self._open.values()), {}
        for handle in handles:
            handle.cancel()
        return self._used(unsettled=bool(handles))

    def _start_next(self) -> None:
        position = self._next
        if position < len(self._parts):
            self._next += 1
            self._open[position] = self._start(self._parts[position], partial(self._part_ended, position))

    def _part_ended(self, position: int, message: Any) -> None:
        if self._over or type(message) is not ProviderFinished:
            return
        del self._open[position]
        outcome = message.outcome
        if outcome.status != "succeeded":
            self._finish(replace(outcome, usage=self._with(outcome.usage, self.cancel())))
            return
        self._answers[position] = outcome
        self._start_next()
        if not self._open:
            self._over = True
            self._finish(self._whole(outcome))

    def _finish(self, outcome: CallOutcome) -> None:
        self._deliver(ProviderFinished(self._call_id, outcome))

    def _whole(self, last: CallOutcome) -> CallOutcome:
        answers = [answer for answer in self._answers if answer is not None]
        responses: list[Any] = [answer.response for answer in answers]
        response = joined(responses)
        told = all(answer.usage is not None for answer in answers)
        return CallOutcome("succeeded", response, None, self._used() if told else None, last.limits)

    def _used(self, *, unsettled: bool = False) -> Usage | None:
        """What the parts that were answered used; an estimate when others were under way."""
        told = [answer.usage for answer in self._answers if answer is not None and answer.usage is not None]
        if not told:
            return None
        prompt = sum(usage.prompt_tokens for usage in told)
        return Usage(prompt, 0, estimated=unsettled or any(usage.estimated for usage in told))

    @staticmethod
    def _with(failed: Usage | None, others: Usage | None) -> Usage | None:
        """The usage of a part that failed, which mostly says none, and of those before it."""
        if failed is None or others is None:
            return failed or others
        prompt = failed.prompt_tokens + others.prompt_tokens
        return Usage(prompt, 0, estimated=failed.estimated or others.estimated)
