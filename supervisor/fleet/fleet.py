"""Which deployments a router has: what its journal says, and what a change of them leads to. Pure.

**Who has the last word.** The constructor's `model_list` and changes at run time speak of the same
deployments, and whoever spoke last counts. A list that says of a deployment what the list of the
start before said, says nothing new: what was changed since stands, a deletion included. An entry that
is new or different in the list counts, and one that is there no more is removed. A router that is
given no list at all has what its journal says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from ...messages.entries import digest
from ...messages.errors import ConfigurationError, NotFoundError
from ...messages.events import (
    DeploymentAdded,
    DeploymentRemoved,
    DeploymentUpdated,
    ModelListSet,
    RouterStarted,
)
from ...messages.problems import did_you_mean, listed, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping

    from ...messages.deployment import Deployment
    from ...messages.events import Event

__all__ = ["Berth", "Fleet", "Listing"]


@frozen
class Listing:
    """A deployment as the journal has it: its entry without secrets, and the paths of those."""

    group: str
    config: dict[str, Any]
    withheld: tuple[str, ...] = ()

    def added(self, deployment_id: str, *, listed: bool) -> DeploymentAdded:
        return DeploymentAdded(deployment_id, self.group, self.config, self.withheld, listed)

    def updated(self, deployment_id: str, *, listed: bool) -> DeploymentUpdated:
        return DeploymentUpdated(deployment_id, self.group, self.config, self.withheld, listed)


@frozen(eq=False)
class Berth:
    """A deployment and all that is known of it.

    Attributes:
        deployment: as calls are made of it.
        written: its entry as it was written, with its secrets.
        listing: the same as it is recorded.
        lacking: paths of what the journal could not hold and nobody gave again; it takes no calls.
    """

    deployment: Deployment
    written: dict[str, Any]
    listing: Listing
    lacking: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return self.deployment.id


class Fleet:
    """The deployments there are, by id, and what the constructor's list last said of each.

    `settings` are those of the last start: nothing of the fleet depends on them, but what is told of it
    later, from a snapshot, does.
    """

    def __init__(self) -> None:
        self.listings: dict[str, Listing] = {}
        self.said: dict[str, str] = {}
        self.settings: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<Fleet · {len(self.listings)} deployments>"

    # -- what happened

    def apply(self, event: Event) -> None:
        """Change by an event of the stream ``router``; most say nothing of deployments."""
        if isinstance(event, (DeploymentAdded, DeploymentUpdated)):
            self.listings[event.deployment_id] = Listing(event.group, event.config, event.withheld)
            if event.listed:
                self.said[event.deployment_id] = digest(event.config)
        elif isinstance(event, DeploymentRemoved):
            self.listings.pop(event.deployment_id, None)
            if event.listed:
                self.said.pop(event.deployment_id, None)
        elif isinstance(event, ModelListSet):
            for change in (*event.added, *event.updated, *event.removed):
                self.apply(change)
        elif isinstance(event, RouterStarted):
            self.settings = event.settings

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "listings": {
                name: [listing.group, listing.config, list(listing.withheld)]
                for name, listing in self.listings.items()
            },
            "said": dict(self.said),
            "settings": self.settings,
        }

    @classmethod
    def restore(cls, data: dict[str, Any]) -> Fleet:
        """The fleet a snapshot was taken of."""
        fleet = cls()
        for name, (group, config, withheld) in data["listings"].items():
            fleet.listings[name] = Listing(group, config, tuple(withheld))
        fleet.said = dict(data["said"])
        fleet.settings = data.get("settings", {})  # older snapshots do not have them
        return fleet

    # -- deciding

    def opened(self, berths: Mapping[str, Berth] | None) -> list[Event]:
        """What a constructor's `model_list` changes; None is no list, and changes nothing."""
        if berths is None:
            return []
        events: list[Event] = []
        for name, group in [(n, self._group(n)) for n in self.said if n not in berths]:
            events.append(DeploymentRemoved(name, group, listed=True))
        for name, berth in berths.items():
            if self.said.get(name) == digest(berth.listing.config):
                continue
            known = name in self.listings
            say = berth.listing.updated if known else berth.listing.added
            events.append(say(name, listed=True))
        return events

    def groups_beside(self, ids: Container[str] | None) -> set[str]:
        """The groups that a constructor's list of these `ids` leaves as they are; None is no list."""
        return {
            listing.group
            for name, listing in self.listings.items()
            if ids is None or name in ids or name not in self.said
        }

    def _group(self, deployment_id: str) -> str:
        listing = self.listings.get(deployment_id)
        return "" if listing is None else listing.group

    def add(self, berth: Berth) -> Event:
        """A new deployment.

        Raises:
            ConfigurationError: its id is taken.
        """
        if berth.id in self.listings:
            msg = f"there is a deployment {quoted(berth.id)} already; upsert_deployment() replaces it"
            raise ConfigurationError(msg)
        return berth.listing.added(berth.id, listed=False)

    def put(self, berth: Berth, former: Berth | None) -> Event | None:
        """A deployment that may be there already, as `former`; None when nothing would change."""
        if berth.id not in self.listings:
            return berth.listing.added(berth.id, listed=False)
        if former is not None and _same(berth, former):
            return None
        return berth.listing.updated(berth.id, listed=False)

    def remove(self, deployment_id: str) -> Event:
        """A deployment less.

        Raises:
            NotFoundError: there is none of this id.
        """
        self.must_have(deployment_id)
        return DeploymentRemoved(deployment_id, self._group(deployment_id))

    def must_have(self, deployment_id: Any) -> None:
        """Raise NotFoundError for an id that no deployment has."""
        if isinstance(deployment_id, str) and deployment_id in self.listings:
            return
        shown = quoted(str(deployment_id))
        hint = did_you_mean(str(deployment_id), self.listings)
        msg = f"no deployment {shown}{hint} (known: {listed(self.listings)})"
        raise NotFoundError(msg)

    def replace(self, berths: Iterable[Berth], former: Callable[[str], Berth | None]) -> ModelListSet | None:
        """All deployments at once; None when nothing would change."""
        added, updated, kept = [], [], set()
        for berth in berths:
            kept.add(berth.id)
            event = self.put(berth, former(berth.id))
            if isinstance(event, DeploymentAdded):
                added.append(event)
            elif isinstance(event, DeploymentUpdated):
                updated.append(event)
        gone = (name for name in self.listings if name not in kept)
        removed = tuple(DeploymentRemoved(name, self._group(name)) for name in gone)
        if not (added or updated or removed):
            return None
        return ModelListSet(tuple(added), tuple(updated), removed)


def _same(one: Berth, other: Berth) -> bool:
    """Whether nobody could tell the two apart, keys included."""
    return (
        one.deployment == other.deployment and one.listing == other.listing and one.lacking == other.lacking
    )
