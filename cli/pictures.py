"""Pictures that commands write beside what they print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .failure import Failure

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_place", "write_picture"]


def check_place(file: Path) -> None:
    """Before long work: whether there is a place to write its picture.

    Raises:
        Failure: there is none.
    """
    if file.is_dir():
        msg = f"the picture cannot be written: {file}: it is a directory"
        raise Failure(msg)
    if not file.parent.is_dir():
        msg = f"the picture cannot be written: {file}: there is no directory {file.parent}"
        raise Failure(msg)


def write_picture(file: Path, picture: str) -> None:
    """Write it where it was asked for.

    Raises:
        Failure: it cannot be written there.
    """
    try:
        file.write_text(picture, encoding="utf-8")
    except OSError as error:
        msg = f"the picture cannot be written: {file}: {error.strerror}"
        raise Failure(msg) from None
