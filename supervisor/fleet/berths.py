"""From a `model_list` entry to a deployment with all that is known of it, also from a recorded entry.

An entry that the journal gives back lacks its keys. They come from the constructor's list, when that
has the deployment at the same address, or from the environment. One whose key is nowhere to be found is
there all the same: it takes no calls, and says why.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from attrs import frozen

from ...actors.providers.mock import has_mock
from ...messages.deployments import parse_deployment
from ...messages.entries import (
    API_KEY,
    PARAMS,
    changed,
    completed,
    recordable,
    same_address,
    usable,
    written_as,
)
from .fleet import Berth, Listing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...messages.deployment import Deployment

__all__ = ["BerthMaker"]


@frozen
class BerthMaker:
    """Makes berths.

    Attributes:
        defaults: `default_litellm_params`.
        check: whether real calls to a deployment can be made; raises ConfigurationError.
    """

    defaults: Mapping[str, Any]
    check: Callable[[Deployment], object] | None = None

    def parsed(self, entry: Any, deployment: Deployment, *, at_run_time: bool = False) -> Berth:
        """Of an entry that was parsed (and checked) already."""
        written = written_as(entry, deployment.id)
        return Berth(deployment, written, _listing(deployment, written, with_mocks=at_run_time))

    def new(self, entry: Any, taken: Mapping[str, str] | None = None) -> Berth:
        """Of an entry that a user hands in; `taken` are the ids it may not get.

        Raises:
            ConfigurationError: it is wrong, or no call could be made.
        """
        deployment = parse_deployment(entry, "deployment", defaults=self.defaults, taken=taken)
        self._must_be_callable(deployment)
        return self.parsed(entry, deployment, at_run_time=True)

    def updated(self, berth: Berth, changes: Mapping[str, Any]) -> Berth:
        """Of a berth some of whose configuration changes.

        Raises:
            ConfigurationError: see `new`; another id is wrong, too.
        """
        path = f"deployment {berth.id}"
        written = changed(berth.written, changes, path)
        entry, missing = usable(written)
        deployment = parse_deployment(entry, path, defaults=self.defaults)
        lacking = _lacking(missing, entry, deployment)
        if not lacking:
            self._must_be_callable(deployment)
        return Berth(deployment, written, _listing(deployment, written, with_mocks=True), lacking)

    def restored(self, deployment_id: str, listing: Listing, source: Berth | None) -> Berth:
        """Of what the journal has; `source` is what the constructor's list says of the same deployment.

        Raises:
            ConfigurationError: this version does not understand it.
        """
        if source is not None and source.listing.config == listing.config:
            return source
        near = source is not None and same_address(source.listing.config, listing.config)
        written = completed(listing.config, listing.withheld, source.written if source and near else None)
        entry, missing = usable(written, os.environ)
        deployment = parse_deployment(entry, f"deployment {deployment_id}", defaults=self.defaults)
        lacking = _lacking(missing, entry, deployment)
        if not lacking:
            self._must_be_callable(deployment)
        return Berth(deployment, written, listing, lacking)

    def _must_be_callable(self, deployment: Deployment) -> None:
        if self.check is not None:
            self.check(deployment)


def _listing(deployment: Deployment, written: dict[str, Any], *, with_mocks: bool) -> Listing:
    return Listing(deployment.model_name, *recordable(written, with_mocks=with_mocks))


def _lacking(missing: tuple[str, ...], entry: Mapping[str, Any], deployment: Deployment) -> tuple[str, ...]:
    """What it still lacks: without an address of its own, its key may have come from the environment.

    A mock needs none.
    """
    keyed = deployment.api_key is not None and "api_base" not in entry[PARAMS]
    if keyed or has_mock(deployment):
        return tuple(path for path in missing if path != API_KEY)
    return missing
