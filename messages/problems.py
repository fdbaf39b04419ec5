"""How a wrong setting is told: one line with its path, what was given, what is allowed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .errors import ConfigurationError, mask_secrets
from .redaction import hide_url_secrets, is_secret_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

__all__ = [
    "Complaints",
    "configuration_error",
    "did_you_mean",
    "given",
    "listed",
    "nearest",
    "number_in",
    "quoted",
]

MAX_SHOWN = 80
"""Characters of a wrong value or name that are repeated in an error."""

MAX_COMPARED = 256
"""Known names that an unknown one is compared with, so a wrong name costs at most milliseconds."""

MAX_LISTED = 10
"""Known names that an error lists; the rest are counted."""


_CONTAINER = frozenset({"dict_type", "list_type", "model_type", "tuple_type"})
"""Where a container belongs, a text may be anything: a connection string, a whole file."""

_QUOTED = re.compile(r"'([^']*)'")


def number_in(value: Any) -> Any:
    """The number that a text holds, as a setting from the environment does; else the value itself."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def quoted(name: str) -> str:
    """A name in quotes, short and without anything shaped like a key."""
    text = mask_secrets(hide_url_secrets(name))
    return repr(text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "...")


def given(value: Any, *path: str) -> str:
    """A wrong value as an error may repeat it: scalars short, the rest and secrets not at all."""
    if value is None:
        return "None"  # also in a secret's place: it is what a variable that is not set gives
    if any(is_secret_name(part) for part in path):
        return "(a secret)"
    if isinstance(value, (bool, float)):
        return repr(value)
    if isinstance(value, int):
        return repr(value) if abs(value) < 10**MAX_SHOWN else "(a very large integer)"
    if isinstance(value, str):
        return quoted(value)
    return f"({type(value).__name__})"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is spelt most like `name`, if any is close."""
    wanted = name[:MAX_SHOWN].lower()
    pool: dict[str, str] = {}
    for candidate in known:
        if 2 * abs(len(candidate) - len(wanted)) <= len(wanted) + 4:
            pool.setdefault(candidate.lower(), candidate)
            if len(pool) == MAX_COMPARED:
                break
    import difflib  # noqa: PLC0415  (most names are right)

    close = difflib.get_close_matches(wanted, pool, n=1)
    return pool[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing."""
    close = nearest(name, known)
    return "" if close is None else f"; did you mean {close!r}?"


def listed(names: Iterable[str], at_most: int = MAX_LISTED) -> str:
    """`a, b, c and 12 more`."""
    all_names = list(names)
    more = len(all_names) - at_most
    text = ", ".join(quoted(name)[1:-1] for name in all_names[:at_most])
    return f"{text} and {more} more" if more > 0 else text or "none"


class Complaints:
    """Gathers what is wrong with one thing, to tell it in one error.

    As a context it takes the `ConfigurationError` that ends its block, and goes on behind it.
    """

    __slots__ = ("_problems",)

    def __init__(self) -> None:
        self._problems: list[str] = []

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, ConfigurationError):
            self.add(*error.problems)
            return True
        return False

    def add(self, *problems: str) -> None:
        self._problems.extend(problems)

    def tell(self) -> None:
        """Raise the error, if there is anything wrong."""
        if self._problems:
            raise _one_error(self._problems)


def configuration_error(
    error: ValidationError, *, known: Iterable[str] = (), owner: str | Callable[[str], str] = ""
) -> ConfigurationError:
    """The one error for all that pydantic found.

    An unknown name is told first: it usually explains the rest. `owner` prefixes the paths, or says by
    the name of a field what does; `known` are the names an unknown one is compared with.
    """
    problems = error.errors(include_url=False)
    problems.sort(key=lambda problem: problem["type"] != "extra_forbidden")
    return _one_error([_told(problem, known, owner) for problem in problems])


def _one_error(problems: list[str]) -> ConfigurationError:
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return ConfigurationError(problems[0] + more, tuple(problems))


def _told(problem: ErrorDetails, known: Iterable[str], owner: str | Callable[[str], str]) -> str:
    if not isinstance(owner, str):
        owner = owner(str(problem["loc"][0]))
    return _unknown(problem, known, owner) if problem["type"] == "extra_forbidden" else _wrong(problem, owner)


def _unknown(problem: ErrorDetails, known: Iterable[str], owner: str) -> str:
    name = str(problem["loc"][-1])
    of = f" of {owner}" if owner else ""
    return f"unknown setting {quoted(name)}{of}{did_you_mean(name, known)}"


def _wrong(problem: ErrorDetails, owner: str) -> str:
    path = _path(problem["loc"], owner)
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, ConfigurationError):
        text = str(cause)
        return text if text.startswith(path) else f"{path}: {text}"
    if problem["type"] == "missing":
        return f"{path}: required"
    value = problem["input"]
    allowed = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    hint = ""
    if problem["type"] == "literal_error" and isinstance(value, str):
        hint = did_you_mean(value, _QUOTED.findall(problem["ctx"]["expected"]))
    parts = (str(part) for part in problem["loc"])
    shown = f"({type(value).__name__})" if problem["type"] in _CONTAINER else given(value, *parts)
    return f"{path} = {shown}: {allowed}{hint}"


def _path(loc: tuple[int | str, ...], owner: str) -> str:
    path = owner
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{quoted(part)[1:-1]}" if path else quoted(part)[1:-1]
    return path
