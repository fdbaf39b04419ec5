"""Where a deployment is, and whether that is where a request may go.

A provider's own name of a region is understood, and so is the area it lies in: `eu` is the European
Union, `us` the United States. `eu` is meant as the law means it: London (`eu-west-2`, `uksouth`) and
Zurich (`eu-central-2`, `switzerlandnorth`) are not in it, whatever their names begin with. Whoever
sees that otherwise says `region_name="eu"` of such a deployment.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .deployment import Deployment

__all__ = ["AREAS", "lies_in", "region_of"]

AREAS: dict[str, tuple[re.Pattern[str], frozenset[str]]] = {
    "eu": (
        re.compile(
            r"eu|europe|eu-.*|europe-.*|europe(west|north)\d*|(west|north)europe"
            r"|(austria|belgium|denmark|finland|france|germany|greece|italy|poland|spain|sweden)[a-z]*\d*"
        ),
        frozenset({"eu-west-2", "eu-central-2", "eu-gb", "europe-west2", "europe-west6"}),
    ),
    "us": (
        re.compile(r"us|us-.*|(north|south|west)?central(us)\d*|(east|west)us\d*|usgov[a-z]*|usdod[a-z]*"),
        frozenset(),
    ),
}
"""Names of regions by area, as AWS, Azure, Google and IBM have them; and what only looks like one."""

_WATSONX_HOST = re.compile(r"https?://([a-z]{2}-[a-z]+)\.ml\.cloud\.ibm\.com")


def region_of(deployment: Deployment) -> str | None:
    """Its `region_name`; else what its Vertex, Bedrock or watsonx parameters say; None when nothing does."""
    wire = deployment.wire
    said = deployment.region_name or wire.get("vertex_location") or wire.get("aws_region_name")
    if isinstance(said, str):
        return said.lower()
    match = _WATSONX_HOST.match(deployment.api_base or "")
    return None if match is None else match[1]


def lies_in(region: str | None, allowed: str) -> bool:
    """Whether a region is the one that is `allowed`, or in that area. One that nobody knows is not."""
    if region is None:
        return False
    if region == allowed:
        return True
    area = AREAS.get(allowed)
    return area is not None and region not in area[1] and area[0].fullmatch(region) is not None
