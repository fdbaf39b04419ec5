"""Holds a pick against the tags and orders, the strategy, and those whose turn it was. I5."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....actors.model_group.actor import LOOK_AHEAD
from .candidates import idle_others, is_nearer, may_be_asked, members, sent_by_another
from .tolerances import STALE
from .violation import Violation

if TYPE_CHECKING:
    from ....messages.events import DeploymentPicked
    from .request_book import RequestBook

__all__ = ["chosen_by_rule", "chosen_in_turn", "served_in_turn"]


def chosen_in_turn(request: RequestBook, fields: dict[str, Any], name: str, at: float) -> None:
    """By its tags no other of the group is nearer, and nobody who goes before it was free."""
    rank = request.rules.suits(fields, name)
    nearer = [other for other in members(request) if is_nearer(request, fields, other, rank, at)]
    what = f"{name} was picked for the tags {fields.get('tags')}"
    request.must(rank is not None, "choice", what, at)
    request.must(not nearer, "choice", f"{what}, and {nearer} are nearer", at)
    if request.rules.settings.get("enable_tag_filtering") and "tags" in fields:
        request.marks.sometimes("a default served" if rank else "the right tags served")
    if any(not request.rules.able(fields, other) for other in members(request)):
        marked = "allowed_model_region" in fields
        request.marks.sometimes("served in the right region" if marked else "served by one who can")
    book = request.books[name]
    if book.sick and book.sick_at < at - STALE:
        request.marks.sometimes("served though it failed a check")
        request.accuse(idle_others(request, at), "choice", f"{name} was picked, and had failed its check")
    order = request.rules.deployments[name].order
    before = [other for other in members(request) if request.rules.deployments[other].order < order]
    if before:
        request.marks.sometimes("a later order served")
        under_way = request.calls.values()
        idle = [other for other in idle_others(request, at) if other in before and other not in under_way]
        request.accuse(idle, "choice", f"{name} of order {order} was picked")


def chosen_by_rule(request: RequestBook, fields: dict[str, Any], event: DeploymentPicked, at: float) -> None:
    """The strategy picked whom it says it picks."""
    decision = event.decision
    name = decision.deployment_id
    book, order = request.books[name], request.rules.deployments[name].order
    if decision.strategy == "simple-shuffle" and _drawn_freely(request, event):
        request.strategies.drawn(decision, at)
    if book.changed_at >= at - STALE or sent_by_another(request, book, at) or book.doubtful(at):
        return
    taken = (name, *request.calls.values())
    orders = request.rules.deployments
    peers = [
        other for other in idle_others(request, at) if orders[other].order == order and other not in taken
    ]
    better = request.strategies.better(decision.strategy, fields, name, peers, at)
    request.accuse(better, "choice", f"{decision.strategy} picked {name}")


def _drawn_freely(request: RequestBook, event: DeploymentPicked) -> bool:
    """Whether each of the candidates that are told could have been drawn."""
    assert request.fields is not None
    if event.hedge or request.failed or event.call_id in request.calls or len(event.decision.candidates) < 2:
        return False
    limited = request.money.on or any(request.rules.deployments[name].tpm for name in members(request))
    return not limited and not request.rules.substitutes and "max_parallel_requests" not in request.fields


def served_in_turn(request: RequestBook, fields: dict[str, Any], name: str, at: float) -> None:
    """Of those who waited for this deployment nobody went before this one."""
    book = request.books[name]
    if request.phase != "waiting" or request.doubtful or request.waiting_since is None or book.doubtful(at):
        return
    if sent_by_another(request, book, at) or book.several_ended(at):
        return
    others = [
        each for each in request.waiting.values() if each.group == request.group and each is not request
    ]
    if len(others) >= LOOK_AHEAD:
        return
    rank = (*request.rules.rank(fields, request.deadline), request.waiting_since)
    for other in others:
        if _could_have_had(other, name, rank, at):
            raise Violation("choice", f"{request.request_id} was served, and {other.request_id} is next", at)


def _could_have_had(request: RequestBook, name: str, rank: tuple[int, float, float], at: float) -> bool:
    """Whether this one waits for that deployment, as far as one can know, and goes before such a rank."""
    fields, since = request.fields, request.waiting_since
    if (
        fields is None
        or since is None
        or since >= at - STALE
        or request.doubtful
        or request.error is not None
    ):
        return False
    if request.only is not None or "max_parallel_requests" in fields or at >= request.deadline:
        return False
    if (*request.rules.rank(fields, request.deadline), since) >= rank or not may_be_asked(
        request, fields, name
    ):
        return False
    if not request.money.has_room(request, name, at):
        return False
    if not request.rules.may_serve_this(request.group, fields, name):
        return False
    return request.books[name].idle_at(at, request.tokens)
