"""TensorZero's gateway, embedded in the process, as a contender: one model over four providers.

Nothing is observed and nothing is written: it has no database here. It has no mock provider, so it
takes part over HTTP only.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensorzero import AsyncTensorZeroGateway  # type: ignore[import-not-found]

from ..workload import DEPLOYMENTS, GROUP, MESSAGES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

os.environ.setdefault("RUST_LOG", "error")


def settings(url: str) -> str:
    """Its configuration file, in TOML."""
    names = [f"provider_{index}" for index in range(DEPLOYMENTS)]
    head = f"""
[gateway]
observability.enabled = false
disable_pseudonymous_usage_analytics = true

[models.{GROUP}]
routing = {names}
"""
    return head + "".join(
        f"""
[models.{GROUP}.providers.{name}]
type = "openai"
model_name = "gpt-4o-mini"
api_base = "{url}/"
api_key_location = "none"
"""
        for name in names
    )


@contextlib.asynccontextmanager
async def over_http(url: str) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    with tempfile.TemporaryDirectory(prefix="turnout-bench-") as folder:
        path = Path(folder) / "tensorzero.toml"
        path.write_text(settings(url), encoding="utf-8")
        building = AsyncTensorZeroGateway.build_embedded(config_file=str(path))
        async with await building as gateway:
            yield lambda: gateway.inference(model_name=GROUP, input={"messages": MESSAGES})
