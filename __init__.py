"""Turnout routes calls to language models over many deployments.

::

    from turnout import CompletionRequest, Router

    with Router(model_list=[...]) as router:
        answer = router.ask(CompletionRequest(model="gpt-4", messages=[...]))
"""

from __future__ import annotations

from .messages.late import late as _late

TYPE_CHECKING = False  # as `typing` has it, which need not be imported for that
if TYPE_CHECKING:
    from .messages.audio import SpeechRequest, SpeechResponse, TranscriptionRequest, TranscriptionResponse
    from .messages.embeddings import Embedding, EmbeddingRequest, EmbeddingResponse
    from .messages.errors import (
        APIConnectionError,
        APIError,
        AuthenticationError,
        BadGatewayError,
        BadRequestError,
        ConfigurationError,
        ContentPolicyViolationError,
        ContextWindowExceededError,
        InternalServerError,
        MidStreamError,
        NoDeploymentsAvailable,
        NotFoundError,
        PermissionDeniedError,
        RateLimitError,
        RequestError,
        RouterClosedError,
        ServiceUnavailableError,
        Timeout,
        TurnoutError,
        UnprocessableEntityError,
        UnsupportedParamsError,
    )
    from .messages.images import Image, ImageGenerationRequest, ImageResponse
    from .messages.moderations import Moderation, ModerationRequest, ModerationResponse
    from .messages.outcomes import Attempt, Decision, LeftOut, RouteInfo, Usage
    from .messages.requests import CompletionRequest
    from .messages.responses import ModelResponse, ModelResponseStream
    from .messages.settings import AlertingConfig, AllowedFailsPolicy, RetryPolicy
    from .messages.text_completions import TextCompletionRequest, TextCompletionResponse
    from .supervisor.face.router import Router
    from .supervisor.stream import ModelStream, SpeechStream, TextCompletionStream

__all__ = [
    "APIConnectionError",
    "APIError",
    "AlertingConfig",
    "AllowedFailsPolicy",
    "Attempt",
    "AuthenticationError",
    "BadGatewayError",
    "BadRequestError",
    "CompletionRequest",
    "ConfigurationError",
    "ContentPolicyViolationError",
    "ContextWindowExceededError",
    "Decision",
    "Embedding",
    "EmbeddingRequest",
    "EmbeddingResponse",
    "Image",
    "ImageGenerationRequest",
    "ImageResponse",
    "InternalServerError",
    "LeftOut",
    "MidStreamError",
    "ModelResponse",
    "ModelResponseStream",
    "ModelStream",
    "Moderation",
    "ModerationRequest",
    "ModerationResponse",
    "NoDeploymentsAvailable",
    "NotFoundError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestError",
    "RetryPolicy",
    "RouteInfo",
    "Router",
    "RouterClosedError",
    "ServiceUnavailableError",
    "SpeechRequest",
    "SpeechResponse",
    "SpeechStream",
    "TextCompletionRequest",
    "TextCompletionResponse",
    "TextCompletionStream",
    "Timeout",
    "TranscriptionRequest",
    "TranscriptionResponse",
    "TurnoutError",
    "UnprocessableEntityError",
    "UnsupportedParamsError",
    "Usage",
    "__version__",
    "callbacks",
    "failure_callback",
    "set_verbose",
    "success_callback",
]

__version__ = "0.1.0"

callbacks: list[object] = []
"""Callbacks of every router of this process; see `Router(callbacks=...)` for those of one."""

success_callback: list[object] = []
"""Those that hear of successes only."""

failure_callback: list[object] = []
"""Those that hear of failures only."""

set_verbose = False
"""Whether routers made from now on log what they do, as with `Router(set_verbose=True)`."""

_HOMES = {
    ".messages.audio": ("SpeechRequest", "SpeechResponse", "TranscriptionRequest", "TranscriptionResponse"),
    ".messages.embeddings": ("Embedding", "EmbeddingRequest", "EmbeddingResponse"),
    ".messages.images": ("Image", "ImageGenerationRequest", "ImageResponse"),
    ".messages.moderations": ("Moderation", "ModerationRequest", "ModerationResponse"),
    ".messages.outcomes": ("Attempt", "Decision", "LeftOut", "RouteInfo", "Usage"),
    ".messages.requests": ("CompletionRequest",),
    ".messages.responses": ("ModelResponse", "ModelResponseStream"),
    ".messages.settings": ("AlertingConfig", "AllowedFailsPolicy", "RetryPolicy"),
    ".messages.text_completions": ("TextCompletionRequest", "TextCompletionResponse"),
    ".supervisor.face.router": ("Router",),
    ".supervisor.stream": ("ModelStream", "SpeechStream", "TextCompletionStream"),
}
"""Where the names live, other than the errors. They are imported when they are asked for, since they bring
much along: pydantic, HTTP clients, the event loop. Who looks into a journal from the command line needs none
of it, and may press Ctrl-C from the beginning: before `__main__` there is nobody who would hear it."""

if not TYPE_CHECKING:  # a type checker would take any name for one of ours
    __getattr__, __dir__ = _late(globals(), _HOMES, else_from=".messages.errors")
