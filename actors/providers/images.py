"""Image generation."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ...messages.images import ImageResponse
from ...messages.outcomes import Usage
from ...messages.values import replace
from .openai import DocumentCodec
from .usage import usage_from

if TYPE_CHECKING:
    from ...messages.commands import Call

__all__ = ["ImageCodec", "usage_of_images"]


MAX_IMAGES_BYTES = 256 * 1024 * 1024
"""Of one answer: ten large images in base64 are 80 MB and more."""


class ImageCodec(DocumentCodec):
    """Image generation of one deployment."""

    PATH: ClassVar[str] = "/images/generations"
    MEMBER: ClassVar[str] = "data"
    ANSWER = ImageResponse

    max_body = MAX_IMAGES_BYTES

    def usage(self, response: ImageResponse, call: Call) -> Usage:
        return usage_of_images(response)


def usage_of_images(response: ImageResponse) -> Usage:
    """Its tokens, where they were told, and how many images there are."""
    told = Usage() if response.usage is None else usage_from(response.usage.model_dump())
    if told.estimated and not told.total_tokens:
        told = (
            Usage()
        )  # an empty block tells nothing; what is sold by the piece has a known cost all the same
    return replace(told, images=len(response.data))
