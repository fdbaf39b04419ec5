"""What is checked of a request before it is sent on its way: the parts that only a router can judge. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...actors.model_group.strategies import STRATEGY_NAMES
from ...messages.errors import BadRequestError, ConfigurationError
from ...messages.fallbacks import FallbackTable, parse_fallback_dict, parse_fallbacks
from ...messages.problems import did_you_mean, listed, quoted
from .fallbacks import FallbackRules

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...messages.requests import Request
    from .directory import Directory

__all__ = ["check_request"]

_FALLBACKS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")
_CHECKED = frozenset({*_FALLBACKS, "context_window_fallback_dict", "routing_strategy"})


def check_request(request: Request, router: FallbackRules, directory: Directory) -> FallbackRules | None:
    """The fallbacks of a request that brought some along; None when it brought none.

    Its general list goes before everything of the router's; its list for one kind of error before
    the router's for that kind.

    Raises:
        BadRequestError: a malformed list, a group or a strategy that nobody knows.
    """
    if _CHECKED.isdisjoint(request.__pydantic_fields_set__):
        return None
    strategy = request.routing_strategy
    if strategy is not None and strategy not in STRATEGY_NAMES:
        hint = did_you_mean(strategy, STRATEGY_NAMES)
        msg = f"routing_strategy: no strategy {quoted(strategy)}{hint} (known: {listed(STRATEGY_NAMES)})"
        raise BadRequestError(msg, model=request.model)
    general, context, content = (_own(request, name, directory) for name in _FALLBACKS)
    if context is None and request.context_window_fallback_dict is not None:
        name = "context_window_fallback_dict"
        context = _checked(
            parse_fallback_dict, request.context_window_fallback_dict, name, request, directory
        )
    if general is None and context is None and content is None:
        return None
    kept = router if general is None else FallbackRules(general, default=router.default, given=True)
    return FallbackRules(
        kept.general,
        kept.context_window if context is None else context,
        kept.content_policy if content is None else content,
        kept.default,
        router.max_fallbacks,
        kept.given,
    )


def _own(request: Request, name: str, directory: Directory) -> FallbackTable | None:
    raw = getattr(request, name)
    return None if raw is None else _checked(parse_fallbacks, raw, name, request, directory)


def _checked(
    parse: Callable[[Any, str], FallbackTable], raw: Any, name: str, request: Request, directory: Directory
) -> FallbackTable:
    try:
        table = parse(raw, name)
    except ConfigurationError as error:
        raise BadRequestError(str(error), model=request.model) from None
    for group in table.mentioned():
        if group not in directory:
            known = directory.names()
            hint = did_you_mean(group, known)
            msg = f"{name}: no model group {quoted(group)}{hint} (known: {listed(known)})"
            raise BadRequestError(msg, model=request.model)
    return table
