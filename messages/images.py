"""Images: what is asked, and what comes back."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from .outcomes import Demand
from .prompt_size import estimate
from .requests import WholeRequest
from .responses import Record, Routed
from .texts import size_of

__all__ = ["Image", "ImageGenerationRequest", "ImageResponse", "ImageUsage"]


class ImageGenerationRequest(WholeRequest):
    """Images of what a text describes. `n`, `size`, `quality`, ... reach the provider as given."""

    KIND: ClassVar[str] = "image_generation"

    prompt: str = Field(min_length=1)

    def demand(self) -> Demand:
        """The prompt's tokens; what an image takes is learned."""
        size = size_of(self.prompt)
        return Demand(estimate(size), None, size.text_bytes, size.fixed_tokens)


class Image(Record):
    """One of them: behind an address, or in base64."""

    url: str | None = None
    b64_json: str | None = None
    revised_prompt: str | None = None


class ImageUsage(Record):
    """Tokens, of a model that is sold by the token. A field that the provider left out is None."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: Record | None = None


class ImageResponse(Routed):
    """Images in OpenAI's shape, with `.route`. `usage` is there for models that are sold by the token."""

    created: int | None = 0
    data: list[Image]
    usage: ImageUsage | None = None
