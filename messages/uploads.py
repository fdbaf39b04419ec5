"""A file that is to be sent: a path, bytes, or an open file. It is looked at here, and not read.

An attempt that fails is followed by another, on another deployment maybe, so a file must be there to be
read again: a path is opened anew for each attempt, an open file is read from where it stood.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import IO, Any

from attrs import field, frozen

__all__ = ["Upload", "parse_upload"]

_SOUNDS = (
    (b"RIFF", 0, "wav"),
    (b"ID3", 0, "mp3"),
    (b"\xff\xfb", 0, "mp3"),
    (b"OggS", 0, "ogg"),
    (b"fLaC", 0, "flac"),
    (b"\x1aE\xdf\xa3", 0, "webm"),
    (b"ftyp", 4, "m4a"),
)
"""How files begin: providers go by the ending of a name, which bytes have not."""


@frozen
class Upload:
    """What to send.

    Attributes:
        name: how the file is called; without the folders it is in.
        source: a path, the bytes, or the open file.
        kind: its media type; None is what its name says.
        start: where an open file stood.
    """

    name: str
    source: Path | bytes | IO[bytes] = field(repr=False)
    kind: str | None = None
    start: int = 0

    def size(self) -> int:
        """Bytes that are there now.

        Raises:
            OSError, ValueError: it cannot be read (any more).
        """
        source = self.source
        if isinstance(source, bytes):
            return len(source)
        if isinstance(source, Path):
            return source.stat().st_size
        return max(0, source.seek(0, os.SEEK_END) - self.start)


def parse_upload(value: Any) -> Upload:
    """A path, bytes, an open file, or (name, one of these) or (name, one of these, media type).

    Raises:
        ValueError: it is none of these, or cannot be read twice.
    """
    if isinstance(value, Upload):
        return value
    if not isinstance(value, tuple):
        return _upload(value, None, None)
    if len(value) not in (2, 3) or not all(isinstance(text, str) for text in (value[0], *value[2:])):
        msg = "a tuple must be (name, file) or (name, file, media type)"
        raise ValueError(msg)
    return _upload(value[1], value[0], value[2] if len(value) == 3 else None)


def _upload(value: Any, name: str | None, kind: str | None) -> Upload:
    if isinstance(value, (bytes, bytearray, memoryview)):
        content = bytes(value)
        return Upload(name or f"audio.{_ending(content)}", content, kind)
    if isinstance(value, (str, os.PathLike)):
        path = Path(value)
        if not path.is_file():
            msg = "there is no such file"
            raise ValueError(msg)
        return Upload(name or path.name, path, kind)
    return _open_file(value, name, kind)


def _open_file(file: Any, name: str | None, kind: str | None) -> Upload:
    if isinstance(file, io.TextIOBase):
        msg = 'must be opened for bytes: open(path, "rb")'
        raise ValueError(msg)
    if not callable(getattr(file, "read", None)):
        msg = f"must be a path, bytes or a file open for reading, not {type(file).__name__}"
        raise ValueError(msg)
    try:
        start = file.tell() if file.seekable() else None
    except (AttributeError, OSError):
        start = None
    if start is None:
        msg = "an open file must be seekable, since a retry sends it again: give a path, or its bytes"
        raise ValueError(msg)
    called = getattr(file, "name", None)
    named = Path(called).name if isinstance(called, str) else ""
    return Upload(name or named or "audio.mp3", file, kind, start)


def _ending(content: bytes) -> str:
    for mark, position, ending in _SOUNDS:
        if content.startswith(mark, position):
            return ending
    return "mp3"
