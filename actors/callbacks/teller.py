"""Calls the user's functions, and takes what they raise."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from typing import TYPE_CHECKING, Any

from ..runtime.actor import where_it_broke
from .report import arguments_of

if TYPE_CHECKING:
    from .hooks import Hook
    from .report import Report

__all__ = ["Teller"]

log = logging.getLogger("turnout.callbacks")


class Teller:
    """Runs hooks; one that raises is logged, counted, and keeps no other from running.

    Attributes:
        failed: hooks that raised so far.
    """

    def __init__(self) -> None:
        self.failed = 0

    def tell(self, hooks: tuple[Hook, ...], report: Report) -> None:
        """Call plain functions, in this thread."""
        arguments = arguments_of(report)
        for hook in hooks:
            self.call(hook, arguments)

    def call(self, hook: Hook, arguments: tuple[Any, ...]) -> None:
        """Call a plain function."""
        try:
            result = hook.call(*arguments)
            if inspect.iscoroutine(result):
                result.close()
                _must_be_async(hook)
        except BaseException as error:  # noqa: BLE001  (whatever a user's code raises)
            self._take(hook, error)

    async def wait_for(self, hook: Hook, arguments: tuple[Any, ...]) -> None:
        """Await a coroutine function. A cancellation that is meant for us goes on."""
        try:
            await hook.call(*arguments)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            self._note(hook, error)
        except BaseException as error:  # noqa: BLE001  (whatever a user's code raises)
            self._take(hook, error)

    def step(self, hook: Hook, arguments: tuple[Any, ...]) -> None:
        """Run a coroutine function where there is no event loop: it must not have to wait."""
        try:
            coroutine = hook.call(*arguments)
            try:
                coroutine.send(None)
            except StopIteration:
                return
            coroutine.close()
            _must_not_wait(hook)
        except BaseException as error:  # noqa: BLE001  (whatever a user's code raises)
            self._take(hook, error)

    def _take(self, hook: Hook, error: BaseException) -> None:
        """Note it; but Ctrl-C, which comes to the main thread and nowhere else, is no callback's."""
        if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
            raise error
        self._note(hook, error)

    def _note(self, hook: Hook, error: BaseException) -> None:
        self.failed += 1
        if (
            self.failed.bit_count() == 1
        ):  # the 1st, 2nd, 4th, 8th, ...: a broken callback must not flood the log
            log.error("callback %s failed (%s); %d so far", hook.name, where_it_broke(error), self.failed)


def _must_be_async(hook: Hook) -> None:
    msg = f"{hook.name} gave a coroutine: write it with `async def`"
    raise TypeError(msg)


def _must_not_wait(hook: Hook) -> None:
    msg = f"{hook.name} waits for I/O, and a router on a fake clock has no event loop"
    raise RuntimeError(msg)
