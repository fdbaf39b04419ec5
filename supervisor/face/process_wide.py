"""What a user sets on the package itself, for every router of the process: `turnout.callbacks = [...]`.

Read when it is needed and never written: what is there was put there by the user.
"""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["wide_callbacks", "wide_verbose"]

_package: dict[str, Any] = vars(sys.modules[__name__.partition(".")[0]])


def wide_callbacks() -> tuple[Any, Any, Any] | None:
    """`turnout.callbacks`, `.success_callback` and `.failure_callback`; None when all are empty."""
    get = _package.get
    callbacks, success, failure = get("callbacks"), get("success_callback"), get("failure_callback")
    if not callbacks and not success and not failure:
        return None
    return _several(callbacks), _several(success), _several(failure)


def _several(value: Any) -> Any:
    """A list as it is; one thing that was not put into a list, in one."""
    if value is None:
        return ()
    return value if isinstance(value, (list, tuple, set)) else (value,)


def wide_verbose() -> bool:
    """Whether `turnout.set_verbose` is on."""
    return bool(_package.get("set_verbose"))
