"""Which command was meant, and what its end means to the shell.

Exit codes: 0 done · 1 it failed, one line on stderr says why · 2 wrong usage · 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .. import __version__
from .failure import EXIT_FAILED, EXIT_INTERRUPTED, Failure, complain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main"]

EXIT_USAGE = 2
"""As argparse has it."""

COLUMNS = 80
"""Of a page, where there is no terminal that has any."""

EPILOG = """\
Every command has a --help of its own, with examples. Exit codes: 0 done, 1 it failed and one line on
stderr says why, 2 wrong usage, 130 Ctrl-C.

examples:
  python -m turnout demo
  python -m turnout check config.yaml
  python -m turnout ask openai/gpt-4o-mini "Why is the sky blue?"
"""

COMMANDS = (
    "ask",
    "backtest",
    "check",
    "demo",
    "events",
    "explain",
    "health",
    "replay",
    "simulate",
    "stats",
    "trim",
    "upstream",
    "verify",
)
"""Modules of this package, each with an `add_to`."""


def main(arguments: Sequence[str] | None = None, ready: Callable[[], object] = lambda: None) -> int:
    """Run one command and give its exit code; `ready` is called when it is imported and known to be right."""
    try:
        code = _run(sys.argv[1:] if arguments is None else arguments, ready)
        sys.stdout.flush()  # here and not at the interpreter's end, where nobody could catch it
    except Failure as failure:
        complain(str(failure))
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return EXIT_FAILED
    except OSError as error:  # whoever opens a file of the user's says more; this is the disk below stdout
        _forget_stdout()
        complain(f"it could not go on: {error}")
        return EXIT_FAILED
    return code


def _run(words: Sequence[str], ready: Callable[[], object]) -> int:
    """Import the command, which Ctrl-C may interrupt as well, and do what it says."""
    parser = _parser(_needed(words))
    parsed = parser.parse_args(words)
    if parsed.command is None:
        parser.print_help(sys.stderr)
        parser.exit(EXIT_USAGE)
    run: Callable[[argparse.Namespace], int] = parsed.run
    ready()
    return run(parsed)


def _needed(words: Sequence[str]) -> Sequence[str]:
    """The command that is asked for, which need not wait for what others import; all, where it is none."""
    if words and words[0] in COMMANDS:
        return words[:1]
    return () if list(words) == ["--version"] else COMMANDS


def _parser(names: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="turnout",
        description="Routes calls to language models over many deployments.",
        epilog=EPILOG,
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="version", version=f"turnout {__version__}")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", parser_class=_CommandParser
    )
    for name in names:
        import_module(f".{name}", __package__).add_to(commands)
    return parser


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help with examples, as they were written.

    One is made for each option that is added, to see what it would look like: the width is asked for here,
    since argparse would import `shutil` for it, with all that packs and unpacks files.
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    """The width of the terminal, by the rules of `shutil.get_terminal_size`."""
    with suppress(KeyError, ValueError):
        if (said := int(os.environ["COLUMNS"])) > 0:
            return said
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or COLUMNS  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):  # there is none, it is closed, it is no terminal
        return COLUMNS


class _CommandParser(argparse.ArgumentParser):
    """Takes options before, between and behind what else is said, and tells how its command is used."""

    _intermixed = False

    def __init__(self, **more: Any) -> None:
        super().__init__(formatter_class=_Help, **more)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self._intermixed:  # which goes over the words twice, and asks here each time
            return super().parse_known_args(args, namespace)
        self._intermixed = True
        try:
            parsed, unknown = self.parse_known_intermixed_args(args, namespace)
        finally:
            self._intermixed = False
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return parsed, unknown


def _forget_stdout() -> None:
    """Nobody takes what we say; without this the interpreter would complain once more at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
