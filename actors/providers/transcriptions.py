"""Transcriptions: a form with a file in it goes out, a document or a plain text comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import httpx

from ...messages.audio import TranscriptionResponse
from ...messages.outcomes import Usage
from .multipart import FileReader, Form, form_fields
from .openai import DocumentCodec
from .usage import usage_from
from .wire import Decoded, Post, head_of

if TYPE_CHECKING:
    from ...messages.commands import Call

__all__ = ["TranscriptionCodec"]

_PLAIN = frozenset({"srt", "text", "vtt"})
_SET_BY_THE_FORM = frozenset({b"content-type", b"content-length"})


class TranscriptionCodec(DocumentCodec):
    """Transcriptions of one deployment."""

    PATH: ClassVar[str] = "/audio/transcriptions"
    MEMBER: ClassVar[str] = "text"
    ANSWER = TranscriptionResponse

    def encode(self, call: Call) -> httpx.Request:
        """The request; httpx makes the form, reads the file as it is sent and knows how long it will be."""
        url, headers, params = self._prepared(call)
        upload = params.pop("file")
        reader = FileReader(upload)
        kept = [header for header in headers if header[0].lower() not in _SET_BY_THE_FORM]
        part: tuple[Any, ...] = (upload.name, reader, *(() if upload.kind is None else (upload.kind,)))
        request = httpx.Request("POST", url, headers=kept, data=form_fields(params), files={"file": part})
        request.stream = Form(request.stream, reader)  # type: ignore[arg-type]  # a form's is a MultipartStream
        return request

    def post(self, call: Call) -> Post:
        request = self.encode(call)
        head = head_of("POST", request.url, request.headers.raw) + b"\r\n"
        return Post(str(request.url), head, request.stream)  # type: ignore[arg-type]  # the Form

    def decode(self, body: bytes, call: Call, kind: str = "") -> Decoded:
        if call.request.wire_params().get("response_format", self.default("response_format")) not in _PLAIN:
            return super().decode(body, call, kind)
        refused = self.complained(body, call) if body.startswith(b"{") else None
        if refused is not None:
            raise refused
        return Decoded(TranscriptionResponse.model_validate({"text": body.decode("utf-8", "replace")}), None)

    def usage(self, response: TranscriptionResponse, call: Call) -> Usage | None:
        if response.usage is not None:
            return usage_from(response.usage)
        duration = response.get("duration")
        known = isinstance(duration, (int, float)) and not isinstance(duration, bool) and duration >= 0
        return Usage(seconds=float(duration)) if known else None
