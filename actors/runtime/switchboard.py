"""The addresses of a router's actors, by logical name.

An actor that crashed comes back as a new pykka actor under its old name; only its line here changes.
Written when actors start, read when they send.
"""

from __future__ import annotations

from typing import Any

from attrs import define, field

__all__ = ["Switchboard"]


@define(eq=False)
class Switchboard:
    """Who is reached how: the Supervisor, each ModelGroup, each Deployment, each service.

    A service is an actor beside the way of a request (statistics, a cache, budgets, alerts): there is
    one only where it is wanted, and requests go on without one that is being restarted.
    """

    supervisor: Any = None
    groups: dict[str, Any] = field(factory=dict)
    deployments: dict[str, Any] = field(factory=dict)
    services: dict[str, Any] = field(factory=dict)
