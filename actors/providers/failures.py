"""The one place where what others raise and answer becomes our errors.

No text made here holds a key, a prompt or an answer: a provider's message is shortened, keys are
masked, and a message that quotes the request is withheld (its codes are not).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from ...messages import errors
from ...messages.errors import APIConnectionError, APIError, RequestError, Timeout, mask_secrets
from ...messages.redaction import is_secret_name
from ...messages.texts import texts_in
from .complaints import Complaint, class_for, class_for_text, complaint_of, read_complaint
from .reply_headers import MAX_RETRY_AFTER, retry_after
from .transport import sent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...messages.deployment import Deployment
    from ...messages.requests import Request

__all__ = [
    "broken_connection",
    "class_named",
    "error_named",
    "foreign_error",
    "fresh_copy",
    "prompt_texts",
    "refusal",
    "unexpected",
    "unusable",
]

E = TypeVar("E", bound=RequestError)

MAX_TEXT = 500
"""Characters of a provider's message that reach an error text."""

QUOTE_CHARS = 24
QUOTE_STEP = 8
"""A message that shares a run of 32 characters with the prompt shares an aligned window of 24."""

SHORT_QUOTE_CHARS = 8
"""A whole message of the prompt, if it has as many characters, must not appear either."""

_NAMES = {
    "APITimeoutError": Timeout,
    "TimeoutError": Timeout,
    "APIStatusError": APIError,
    "ConflictError": errors.BadRequestError,
    "OSError": APIConnectionError,
}
_OURS = {
    kind.__name__: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, RequestError)
}


def refusal(
    deployment: Deployment,
    status: int,
    headers: httpx.Headers,
    body: bytes,
    now: float,
    *,
    prompt: Iterable[str] = (),
    max_retry_after: float = MAX_RETRY_AFTER,
) -> RequestError:
    """The error for an answer that is one: by its status, or an error object in a 200."""
    complaint = read_complaint(body)
    if complaint is None:
        kind = headers.get("content-type", "an unnamed type").partition(";")[0][:60]
        text = f"{len(body)} bytes of {kind} that say no more"
        complaint = Complaint()
    else:
        text = _told(complaint, deployment, prompt)
    wait = retry_after(headers, now, max_retry_after)
    if wait.ignored is not None:
        text = mask_secrets(f"{text}; ignored {wait.ignored}")
    # an error object inside a good answer keeps the status of its class
    return _signed(
        class_for(status, complaint),
        f"{deployment.provider} answered {status}: {text}",
        deployment,
        status_code=status if status >= 400 else None,
        retry_after=wait.seconds,
    )


def unusable(deployment: Deployment, what: str) -> APIError:
    """An answer that cannot be used; `what` is ours, and quotes nothing of it."""
    return _signed(APIError, f"{deployment.provider} answered {what}", deployment)


def broken_connection(deployment: Deployment, error: BaseException) -> RequestError:
    """No answer, or only a part: the error of a transport."""
    if isinstance(error, httpx.DecodingError):
        return unusable(deployment, "a body that its Content-Encoding does not decode")
    text = mask_secrets(str(error) or type(error).__name__, *_secrets(deployment))[:MAX_TEXT]
    failure = APIConnectionError(
        f"no answer from {deployment.provider}: {text}",
        deployment.provider,
        deployment.model,
        deployment_id=deployment.id,
        sent=sent(error),
    )
    failure.__cause__ = error
    return failure


def foreign_error(error: BaseException, deployment: Deployment) -> RequestError:
    """Anyone's exception as one of ours: ours, an SDK's (by status, body or name), or by its words."""
    if isinstance(error, RequestError):
        return fresh_copy(error, deployment)
    if isinstance(error, httpx.TransportError):
        return broken_connection(deployment, error)
    complaint = complaint_of(getattr(error, "body", None)) or Complaint(str(error))
    status = getattr(error, "status_code", None)
    kind = class_named(type(error))
    if type(status) is int and 400 <= status < 600:
        told = class_for(status, complaint)
        # the name may know better than the status (a context error is a plain 400), never worse
        kind = kind if kind is not None and issubclass(kind, told) else told
    else:
        status = None
        kind = _by_words(complaint, kind) or APIError
    text = mask_secrets(complaint.message or type(error).__name__, *_secrets(deployment))[:MAX_TEXT]
    wait = getattr(error, "retry_after", None)
    return _signed(
        kind,
        text,
        deployment,
        status_code=status,
        retry_after=float(wait) if isinstance(wait, (int, float)) and 0 <= wait <= MAX_RETRY_AFTER else None,
    )


def _by_words(complaint: Complaint, named: type[RequestError] | None) -> type[RequestError] | None:
    """A class name that says something beats words, save where the words say it more exactly."""
    told = class_for_text(complaint)
    if named is None or (told is not None and issubclass(told, named)):
        return told
    return named


def class_named(kind: type) -> type[RequestError] | None:
    """Our class for a class of the same (or a known) name, its bases included."""
    for base in kind.__mro__:
        found = _OURS.get(base.__name__) or _NAMES.get(base.__name__)
        if found is not None:
            return found
    return None


def error_named(name: str) -> type[RequestError] | None:
    """Our class of this name, such as "RateLimitError"."""
    return _OURS.get(name) or _NAMES.get(name)


def fresh_copy(error: RequestError, deployment: Deployment) -> RequestError:
    """The same error without the history of an earlier raise: no traceback, no attempts, no context."""
    copy: RequestError = type(error).__new__(type(error), *error.args)
    copy.args = error.args
    copy.__dict__.update(error.__dict__)
    copy.attempts = ()
    copy.request_id = None
    copy.deployment_id = deployment.id
    copy.llm_provider = error.llm_provider or deployment.provider
    copy.model = error.model or deployment.model
    return copy


def unexpected(deployment: Deployment, error: BaseException) -> APIError:
    """Something that should not happen, such as a bug in a transport. Its text is not shown."""
    failure = _signed(APIError, f"the call failed unexpectedly ({type(error).__name__})", deployment)
    failure.__cause__ = error
    return failure


def prompt_texts(request: Request) -> list[str]:
    """Every text of a request: its prompt, its input, its messages."""
    texts = texts_in(getattr(request, "prompt", None)) + texts_in(getattr(request, "input", None))
    for message in getattr(request, "messages", None) or ():
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, str):
            texts.append(content)
        elif isinstance(content, list):
            parts = [part.get("text") for part in content if isinstance(part, dict)]
            texts += [text for text in parts if isinstance(text, str)]
    return texts


def _told(complaint: Complaint, deployment: Deployment, prompt: Iterable[str]) -> str:
    message = mask_secrets(complaint.message, *_secrets(deployment))
    if len(message) > MAX_TEXT:
        message = f"{message[:MAX_TEXT]}…"
    codes = ", ".join(dict.fromkeys(complaint.codes))
    if any(_quotes(message, text) or _quotes(codes, text) for text in prompt):
        return "(its message quotes the request and is withheld)"
    codes = mask_secrets(codes, *_secrets(deployment))
    return f"{message} ({codes})" if codes else message


def _quotes(message: str, text: str) -> bool:
    if SHORT_QUOTE_CHARS <= len(text) <= MAX_TEXT and text in message:
        return True
    starts = range(0, len(message) - QUOTE_CHARS + 1, QUOTE_STEP)
    return any(message[start : start + QUOTE_CHARS] in text for start in starts)


def _secrets(deployment: Deployment) -> tuple[str, ...]:
    key = deployment.api_key
    token = deployment.wire.get("azure_ad_token")
    secrets = [] if key is None else [key.get_secret_value()]
    if isinstance(token, str):
        secrets.append(token)
    headers = deployment.wire.get("extra_headers")
    if isinstance(headers, dict):
        hidden = [value for name, value in headers.items() if is_secret_name(name)]
        secrets += [value for value in hidden if isinstance(value, str)]
    return tuple(secrets)


def _signed(kind: type[E], text: str, deployment: Deployment, **details: Any) -> E:
    return kind(text, deployment.provider, deployment.model, deployment_id=deployment.id, **details)
