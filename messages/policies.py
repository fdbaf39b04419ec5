"""Policies a user may set: retries by error, allowed failures by error, alerting."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)

from .problems import configuration_error

__all__ = ["AlertingConfig", "AllowedFailsPolicy", "Count", "RetryPolicy", "Seconds", "Settings"]

MAX_RETRIES = 1_000
MAX_ALLOWED_FAILS = 10_000


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        msg = "must be a number, not True or False"
        raise ValueError(msg)
    return value


NotBool = BeforeValidator(_no_bool)
"""True is an int to Python, and a mistake to us."""

Seconds = Annotated[float, NotBool, Field(allow_inf_nan=False)]
Count = Annotated[int, NotBool]
Retries = Annotated[int, NotBool, Field(ge=0, le=MAX_RETRIES)]
AllowedFails = Annotated[int, NotBool, Field(ge=0, le=MAX_ALLOWED_FAILS)]


class Settings(BaseModel):
    """Base of what users configure: frozen, complete, and wrong in one clear way.

    Raises:
        ConfigurationError: a field is wrong or unknown.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, protected_namespaces=()
    )

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            owner = type(self).__name__
            raise configuration_error(error, known=type(self).model_fields, owner=owner) from None


BACKOFF_FIELDS = frozenset({"base_delay", "max_delay", "backoff_factor", "jitter"})
"""The part of a retry policy that says how long the pauses are."""

_BY_CLASS = {
    "BadRequestError": "BadRequestError",
    "ContextWindowExceededError": "BadRequestError",
    "AuthenticationError": "AuthenticationError",
    "Timeout": "TimeoutError",
    "RateLimitError": "RateLimitError",
    "ContentPolicyViolationError": "ContentPolicyViolationError",
    "InternalServerError": "InternalServerError",
}
"""The policies' word for each error class of ours that they can speak of."""


class RetryPolicy(Settings):
    """How often an error is retried in its group, and how long the pauses grow.

    Two shapes in one: retries by error class (`TimeoutErrorRetries=2`; None leaves it to
    `num_retries`), and `max_retries` with its back-off. `max_retries` stands in for the router's
    `num_retries`; a deployment's or a request's own still go before it. Before retry k (0, 1, ...)
    on the same deployment a rate-limited call pauses up to
    min(`max_delay`, `base_delay` · `backoff_factor` ** k) seconds, drawn at random with `jitter`.
    """

    BadRequestErrorRetries: Retries | None = None
    """Retries after a `BadRequestError` or `ContextWindowExceededError`; none leaves it to `num_retries`."""
    AuthenticationErrorRetries: Retries | None = None
    """Retries after an `AuthenticationError`; none leaves it to `num_retries`."""
    TimeoutErrorRetries: Retries | None = None
    """Retries after a `Timeout`; none leaves it to `num_retries`."""
    RateLimitErrorRetries: Retries | None = None
    """Retries after a `RateLimitError`; none leaves it to `num_retries`."""
    ContentPolicyViolationErrorRetries: Retries | None = None
    """Retries after a `ContentPolicyViolationError`; none leaves it to `num_retries`."""
    InternalServerErrorRetries: Retries | None = None
    """Retries after an `InternalServerError`; none leaves it to `num_retries`."""

    max_retries: Retries | None = None
    """Retries in a group, in place of the router's `num_retries`."""
    base_delay: Seconds = Field(default=0.5, ge=0)
    """Seconds that the pause after a first 429 may last."""
    max_delay: Seconds = Field(default=8.0, ge=0)
    """Seconds that no pause exceeds."""
    backoff_factor: Seconds = Field(default=2.0, ge=1)
    """By how much each pause may last longer than the one before."""
    jitter: bool = True
    """Draw the pause at random, up to its length."""

    def retries_for(self, error_class_name: str) -> int | None:
        """Retries for this class of error; None when the policy does not speak of it."""
        name = _BY_CLASS.get(error_class_name)
        return None if name is None else getattr(self, f"{name}Retries")


class AllowedFailsPolicy(Settings):
    """Failures of one class that a deployment may have in a minute before it cools down."""

    BadRequestErrorAllowedFails: AllowedFails | None = None
    """Failures with a `BadRequestError` or `ContextWindowExceededError`."""
    AuthenticationErrorAllowedFails: AllowedFails | None = None
    """Failures with an `AuthenticationError`."""
    TimeoutErrorAllowedFails: AllowedFails | None = None
    """Failures with a `Timeout`."""
    RateLimitErrorAllowedFails: AllowedFails | None = None
    """Failures with a `RateLimitError`."""
    ContentPolicyViolationErrorAllowedFails: AllowedFails | None = None
    """Failures with a `ContentPolicyViolationError`."""
    InternalServerErrorAllowedFails: AllowedFails | None = None
    """Failures with an `InternalServerError`."""

    def by_error(self) -> dict[str, int]:
        """{error class name: allowed failures}, for the classes that are set."""
        allowed = {}
        for error, name in _BY_CLASS.items():
            limit = getattr(self, f"{name}AllowedFails")
            if limit is not None:
                allowed[error] = limit
        return allowed


class AlertingConfig(Settings):
    """Where alerts go, and after how many seconds a call counts as slow.

    The address of a webhook is its password, so it is kept as a secret.
    """

    webhook_url: SecretStr
    """Where alerts are sent to; kept as a secret."""
    alerting_threshold: Seconds = Field(default=300.0, gt=0)
    """Seconds after which a call counts as slow, or as hanging while it is open; of a stream: to its
    first content."""

    @field_validator("webhook_url")
    @classmethod
    def _is_a_web_address(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("http://", "https://")):
            msg = "must be an http or https URL"
            raise ValueError(msg)
        return value
