"""Who answers a call: a mock, or a provider over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from ..runtime.dispatcher import ManualDispatcher
from .codecs import codec_for
from .http_caller import HttpCaller
from .mock import MockCaller, has_mock, is_mock
from .reply_headers import MAX_RETRY_AFTER
from .transport import CLIENT_TTL_SECONDS, AiohttpTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...messages.commands import ProviderFinished, ProviderOpened
    from ...messages.deployment import Deployment
    from ..runtime.dispatcher import Dispatcher
    from .ports import CallHandle, ProviderCall

__all__ = ["RoutingCaller"]


class RoutingCaller:
    """Sends mock calls to the mocks and the rest over HTTP; see :class:`~.ports.Caller`.

    Args:
        dispatcher: runs the calls, and has the clock.
        transport: the user's own, which stays theirs to close; None for ours, made on the first real call.
        client_ttl: seconds after which our transport opens its connections anew.
        max_retry_after: seconds; a provider that asks for more is not believed.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        client_ttl: float = CLIENT_TTL_SECONDS,
        max_retry_after: float = MAX_RETRY_AFTER,
    ) -> None:
        self._dispatcher = dispatcher
        self._transport = transport
        self._client_ttl = client_ttl
        self._max_retry_after = max_retry_after
        self._mock = MockCaller(dispatcher.clock)
        self._http: HttpCaller | None = None
        self._ours: AiohttpTransport | None = None

    def __repr__(self) -> str:
        return f"<RoutingCaller {'mocks only' if self._http is None else repr(self._http)}>"

    def start(
        self, call: ProviderCall, deliver: Callable[[ProviderOpened | ProviderFinished], None]
    ) -> CallHandle:
        """Begin a call."""
        if is_mock(call.deployment, call.call.request):
            return self._mock.start(call, deliver)
        http = self._http
        if http is None:
            http = self._http = self._open()
        return http.start(call, deliver)

    def check(self, deployment: Deployment) -> None:
        """Whether real calls to this deployment can be made at all; one with a mock needs no codec.

        Raises:
            ConfigurationError: its wire format is not built, or it lacks what its provider needs.
        """
        if not has_mock(deployment):
            codec_for(deployment)

    def _open(self) -> HttpCaller:
        transport = self._transport
        if transport is None and isinstance(self._dispatcher, ManualDispatcher):
            transport = _NoNetwork()
        elif transport is None:
            transport = self._ours = AiohttpTransport(self._dispatcher.clock, self._client_ttl)
        return HttpCaller(transport, self._dispatcher, max_retry_after=self._max_retry_after)

    async def aclose(self) -> None:
        """Close what we opened: no socket of ours is left."""
        if self._ours is not None:
            await self._ours.aclose()


class _NoNetwork(httpx.AsyncBaseTransport):
    """Stands where a fake clock has no event loop, and so no sockets."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        msg = (
            "a router on a fake clock opens no connections; give it transport=httpx.MockTransport(...), "
            "mock_response or simulated providers"
        )
        raise httpx.UnsupportedProtocol(msg, request=request)
