"""Forms with a file in them, read piece by piece as they are sent."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import httpx

from ...messages.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from httpx._multipart import MultipartStream

    from ...messages.uploads import Upload

__all__ = ["FileReader", "Form", "form_fields"]


class FileReader:
    """One attempt's way through a file: from its start to the size it had then, whoever else reads it.

    An open file is sought before each read, so that attempts side by side do not disturb each other. The
    two must be one step, since all share the file's position: it is read on the loop, where nothing comes
    between, in pieces small enough not to hold it up. A path is opened for this reader alone, and may be
    read in a thread.
    """

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self._position = 0
        self._opened: IO[bytes] | None = None
        self.size = self._told(upload.size)
        self.off_loop = isinstance(upload.source, Path)

    def __repr__(self) -> str:
        return f"<FileReader {self._position}/{self.size} bytes>"

    def __del__(self) -> None:
        self.close()

    @staticmethod
    def _told(read: Callable[..., Any], *args: Any) -> Any:
        """What a file gives, or an error that names it and not the place it is in."""
        try:
            return read(*args)
        except (OSError, ValueError) as error:
            msg = f"the file cannot be read ({type(error).__name__})"
            raise BadRequestError(msg) from error

    def read(self, size: int) -> bytes:
        """The next bytes; empty at the end.

        Raises:
            BadRequestError: the file cannot be read, or became shorter than it was.
        """
        wanted = min(size, self.size - self._position)
        if wanted <= 0:
            return b""
        data: bytes = self._told(self._read, wanted)
        if not data:
            msg = "the file became shorter while it was sent"
            raise BadRequestError(msg)
        self._position += len(data)
        return data

    def _read(self, wanted: int) -> bytes:
        source = self._upload.source
        if isinstance(source, bytes):
            return source[self._position : self._position + wanted]
        if isinstance(source, Path):
            if self._opened is None:
                self._opened = source.open("rb")
            return self._opened.read(wanted)
        source.seek(self._upload.start + self._position)
        return source.read(wanted)

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """httpx asks for the size this way, and begins at the beginning."""
        self._position = self.size if whence == os.SEEK_END else offset
        return self._position

    def close(self) -> None:
        """Close what was opened here; a file of the caller's stays open, and stands where it stood."""
        opened, self._opened = getattr(self, "_opened", None), None
        if opened is not None:
            opened.close()
        source = self._upload.source
        if not isinstance(source, (bytes, Path)):
            with suppress(OSError, ValueError):  # closed by its owner in the meantime
                source.seek(self._upload.start)


class Form(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that is made as it is sent, by our own transport or any of httpx's.

    Attributes:
        off_loop: making a piece reads a disk, which is a thread's business.
    """

    def __init__(self, pieces: MultipartStream, reader: FileReader) -> None:
        self._pieces = pieces
        self._reader = reader
        self.off_loop = reader.off_loop

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._pieces)

    def close(self) -> None:
        """No more pieces are wanted."""
        self._reader.close()

    async def aclose(self) -> None:
        """The same."""
        self.close()


def form_fields(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters as the fields of a form, lists and dicts named as OpenAI's own client names them."""
    fields: dict[str, Any] = {}
    for name, value in params.items():
        _flatten(name, value, fields)
    return fields


def _flatten(name: str, value: Any, fields: dict[str, Any]) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _flatten(f"{name}[{key}]", item, fields)
    elif isinstance(value, (list, tuple)):
        for item in value:
            if isinstance(item, (dict, list, tuple)):
                _flatten(f"{name}[]", item, fields)
            else:
                fields.setdefault(f"{name}[]", []).append(_text(name, item))
    elif value is not None:
        fields[name] = _text(name, value)


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    msg = f"parameter {name[:60]!r} cannot be written in a form"
    raise BadRequestError(msg)
