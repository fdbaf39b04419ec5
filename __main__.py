"""`python -m turnout`, and the command `turnout`."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as `typing` has it, which would have to be imported first
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main"]

EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code; Ctrl-C ends it without a word from the first import on."""
    try:
        ready = _leave_at_once()
        from .cli.main import main as run  # noqa: PLC0415  (an import that Ctrl-C may interrupt)

        return run(arguments, ready)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _leave_at_once() -> Callable[[], None]:
    """Have Ctrl-C end the process on the spot, and give what brings back the exception it is as a rule.

    Nothing was begun yet that must be ended in good order, and not every module bears an exception in the
    middle of its import: some make another one of it, some crash the interpreter.
    """
    import os  # noqa: PLC0415
    import signal  # noqa: PLC0415

    def ready() -> None:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # a shell may have had it ignored
    if ours:
        try:
            signal.signal(signal.SIGINT, lambda *_: os._exit(EXIT_INTERRUPTED))
        except ValueError:  # not the main thread, which is where signals arrive
            ours = False
    return ready


if __name__ == "__main__":
    sys.exit(main())
