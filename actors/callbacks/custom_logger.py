"""What a logger of the user's may be told, method by method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["CustomLogger"]


class CustomLogger:
    """Override what you want to hear of; the rest does nothing and costs nothing.

    Each attempt at a deployment is told in this order: `pre_api_call`, `post_api_call` (the provider
    answered, or failed to), for a stream one `stream_event` per chunk, and at the end exactly one
    `success_event` or `failure_event`. A request that is retried has several attempts.

    Every event has two methods. A request that was asked blocking is told to `log_...`, an awaited one
    to `async_log_...`; a logger that has only one of the two is told there, so it hears of each event
    once. `log_...` runs on a thread of the callbacks' own, `async_log_...` on the router's loop.

    `kwargs` has `model`, `messages`, `litellm_params` (`api_key`, `api_base`, `custom_llm_provider`,
    `metadata`, `model_info`), `response_cost`, `stream`, `call_type`, `cache_hit` and more. `start_time`
    and `end_time` are of the attempt, in local time. What a method raises is logged and counted.
    """

    def log_pre_api_call(self, model: str, messages: Any, kwargs: dict[str, Any]) -> None:
        """A deployment is about to be asked."""

    def log_post_api_call(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: datetime, end_time: datetime
    ) -> None:
        """It answered (a stream: with its first content) or failed; `response_obj` is the answer or None."""

    def log_stream_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: datetime, end_time: datetime
    ) -> None:
        """A chunk, `response_obj`, went to the caller."""

    def log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: datetime, end_time: datetime
    ) -> None:
        """It ended well; `response_obj` is the answer, of a stream the chunks joined."""

    def log_failure_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: datetime, end_time: datetime
    ) -> None:
        """It failed, or its caller left: see `kwargs["exception"]`."""

    async def async_log_pre_api_call(self, model: str, messages: Any, kwargs: dict[str, Any]) -> None:
        """See `log_pre_api_call`."""

    async def async_log_post_api_call(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: datetime, end_time: datetime
    ) -> None:
        """See `log_post_api_call`."""

    async def async_log_stream_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: datetime, end_time: datetime
    ) -> None:
        """See `log_stream_event`."""

    async def async_log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: datetime, end_time: datetime
    ) -> None:
        """See `log_success_event`."""

    async def async_log_failure_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: datetime, end_time: datetime
    ) -> None:
        """See `log_failure_event`."""
