"""Every error Turnout raises, in one tree.

::

    TurnoutError
    ├── ConfigurationError (ValueError)      a setting or a deployment is wrong
    ├── RouterClosedError (RuntimeError)     the router was closed
    └── RequestError                         one request failed; carries status_code and attempts
        ├── BadRequestError               400
        │   ├── ContextWindowExceededError
        │   ├── ContentPolicyViolationError
        │   └── UnsupportedParamsError    no deployment can do what the request needs
        ├── AuthenticationError           401
        ├── PermissionDeniedError         403
        ├── NotFoundError                 404
        ├── Timeout                       408
        ├── UnprocessableEntityError      422
        ├── RateLimitError                429    the provider said so
        ├── NoDeploymentsAvailable        429    we said so: nothing in the group is eligible
        ├── APIError                      5xx    any other server error, an unusable answer
        │   ├── InternalServerError       500
        │   ├── BadGatewayError           502
        │   ├── ServiceUnavailableError   503
        │   └── APIConnectionError        500    no answer; ``.sent`` is "no" or "maybe"
        └── MidStreamError                       a stream broke after its first content chunk

An error text never holds a key, a prompt or an answer: whoever builds one passes it through
:func:`mask_secrets` first. What a caller may need of an answer is an attribute, not text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from .reasons import left_out_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .outcomes import Attempt, LeftOut, Usage

__all__ = [
    "APIConnectionError",
    "APIError",
    "AuthenticationError",
    "BadGatewayError",
    "BadRequestError",
    "ConfigurationError",
    "ContentPolicyViolationError",
    "ContextWindowExceededError",
    "InternalServerError",
    "MidStreamError",
    "NoDeploymentsAvailable",
    "NotFoundError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestError",
    "RouterClosedError",
    "ServiceUnavailableError",
    "Timeout",
    "TurnoutError",
    "UnprocessableEntityError",
    "UnsupportedParamsError",
    "mask_secrets",
]

_KEY_SHAPES = re.compile(
    r"\b(?:sk|pk|rk|key|xai|gsk)-[A-Za-z0-9_\-*]{6,}|\bBearer\s+\S+|\bAIza[A-Za-z0-9_\-]{20,}",
    re.IGNORECASE,
)


SHORT = 4
"""Characters of a secret, at most, that are only looked for where they stand alone."""


def _spotted(secret: str, text: str) -> str:
    if len(secret) > SHORT:
        return text.replace(secret, "***")
    return re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text)


def mask_secrets(text: str, *secrets: str | None) -> str:
    """`text` without the given secrets and without anything shaped like a provider key.

    A secret of a few characters, such as a local server is given, is one where it stands alone: inside words
    it would be found all over the text, which then tells nothing but the secret.
    """
    for secret in secrets:
        if secret:
            text = _spotted(secret, text)
    return _KEY_SHAPES.sub("***", text)


class TurnoutError(Exception):
    """Base of everything Turnout raises on purpose.

    One that ended a request says which, and how it came to that, whatever its class.

    Attributes:
        request_id: the request this error ended; None before it was accepted.
        attempts: after routing, one :class:`~turnout.messages.outcomes.Attempt` per attempt.
        left_out: where no deployment of the group would do, 32 of them at most, each with its reason.
        left_out_by_reason: how many more there were.
        left_out_at: router time at which they were.
    """

    request_id: str | None = None
    attempts: tuple[Attempt, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    left_out_by_reason: Mapping[str, int] = {}
    left_out_at: float = 0.0

    @property
    def story(self) -> str:
        """How it came to this: a line for each attempt, and who was left out where nobody could be asked.

        `router.explain(error.request_id)` has the rest.
        """
        lines = [_attempt_in_words(attempt) for attempt in self.attempts]
        if self.left_out or self.left_out_by_reason:
            out = left_out_in_words(self.left_out, self.left_out_by_reason, self.left_out_at)
            lines.append(f"left out: {out}")
        return "\n".join([*lines, f"{type(self).__name__}: {self}"])


class ConfigurationError(TurnoutError, ValueError):
    """A setting or a `model_list` entry is wrong: its path, what was given, what is allowed.

    Attributes:
        problems: everything that was found wrong with it, one line each. The error's own text is the first
            of them, and says how many more there are.
    """

    def __init__(self, text: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.problems = problems or (text,)


class RouterClosedError(TurnoutError, RuntimeError):
    """The router was used after `close()`, or closed while a request was open."""


class RequestError(TurnoutError):
    """One request failed.

    Attributes:
        status_code: the HTTP status that says the same.
        llm_provider: who answered, such as ``"azure"``; None before a deployment was picked.
        model: the model (or group) that was asked.
        deployment_id: whose answer this is; None when no deployment was involved.
        retry_after: seconds after which trying again makes sense, when known.
    """

    status_code: int = 500

    def __init__(
        self,
        message: str = "",
        llm_provider: str | None = None,
        model: str | None = None,
        *,
        deployment_id: str | None = None,
        status_code: int | None = None,
        retry_after: float | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.llm_provider = llm_provider
        self.model = model
        self.deployment_id = deployment_id
        if status_code is not None:
            self.status_code = status_code
        self.retry_after = retry_after
        self.request_id = request_id

    def __str__(self) -> str:
        where = f" [{self.deployment_id}]" if self.deployment_id else ""
        return f"{self.message}{where}"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by state, so an error crosses process borders with all it carries."""
        return _rebuild, (type(self), self.args, self.__dict__.copy())


def _attempt_in_words(attempt: Attempt) -> str:
    waited = f" after a wait of {attempt.wait:.3f} s" if attempt.wait else ""
    where = f"{attempt.group}/{attempt.deployment_id or 'nobody'}"
    return f"{where}{waited}: {attempt.error or 'answered'} in {attempt.seconds:.3f} s"


def _rebuild(kind: type[RequestError], args: tuple[Any, ...], state: dict[str, Any]) -> RequestError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class BadRequestError(RequestError):
    """400: the request itself is wrong; another deployment would say the same."""

    status_code = 400


class ContextWindowExceededError(BadRequestError):
    """400: the prompt is longer than the model takes, whichever words the provider used."""


class ContentPolicyViolationError(BadRequestError):
    """400: the provider's content filter refused the prompt or the answer."""


class UnsupportedParamsError(BadRequestError):
    """400 from us: no deployment of the group can do what the request needs; `left_out` says what."""


class AuthenticationError(RequestError):
    """401: this deployment's key is wrong."""

    status_code = 401


class PermissionDeniedError(RequestError):
    """403: this deployment's key may not do that."""

    status_code = 403


class NotFoundError(RequestError):
    """404: no such model, deployment or group."""

    status_code = 404


class Timeout(RequestError):  # noqa: N818  (the name its users know)
    """408: no answer in time: the attempt's, the stream's or the whole request's."""

    status_code = 408


class UnprocessableEntityError(RequestError):
    """422: the provider understood the request and refuses it."""

    status_code = 422


class RateLimitError(RequestError):
    """429 from a provider; `retry_after` holds its Retry-After."""

    status_code = 429


class NoDeploymentsAvailable(RequestError):  # noqa: N818  (the name its users know)
    """429 from us: no deployment of the group may take the request now.

    `left_out` names the candidates (32 at most) with the reason for each; `retry_after` is the
    earliest moment, in seconds from now, at which one is released; None when nobody knows.
    """

    status_code = 429


class APIError(RequestError):
    """5xx, or an answer that cannot be used."""


class InternalServerError(APIError):
    """500."""


class BadGatewayError(APIError):
    """502."""

    status_code = 502


class ServiceUnavailableError(APIError):
    """503, and 529 (overloaded)."""

    status_code = 503


class APIConnectionError(APIError):
    """No answer. `sent` tells whether the provider may have seen the request."""

    sent: Literal["no", "maybe"] = "maybe"

    def __init__(self, *args: Any, sent: Literal["no", "maybe"] = "maybe", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sent = sent


class MidStreamError(RequestError):
    """A stream broke after content had reached the caller, so it was not retried.

    Attributes:
        text: the text that arrived before the break.
        usage: tokens used so far (counted from the text when the provider did not say).
        cause: the error that broke it; also `__cause__`.
    """

    def __init__(
        self,
        *args: Any,
        text: str = "",
        usage: Usage | None = None,
        cause: BaseException | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.text = text
        self.usage = usage
        self.cause = cause
        self.__cause__ = cause
        if isinstance(cause, RequestError):
            self.status_code = cause.status_code


ERRORS_BY_STATUS: dict[int, type[RequestError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: Timeout,
    422: UnprocessableEntityError,
    429: RateLimitError,
    500: InternalServerError,
    502: BadGatewayError,
    503: ServiceUnavailableError,
    529: ServiceUnavailableError,
}


def error_class_for_status(status: int) -> type[RequestError]:
    """The class for an HTTP status: the table, else BadRequestError for 4xx, else APIError."""
    known = ERRORS_BY_STATUS.get(status)
    if known is not None:
        return known
    return BadRequestError if 400 <= status < 500 else APIError
