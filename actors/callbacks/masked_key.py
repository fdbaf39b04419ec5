"""A key that can be compared and not be read."""

from __future__ import annotations

from typing import Self

__all__ = ["MaskedKey"]

SHOWN_FROM = 20
"""Characters from which on a key is long enough to show its ends: enough to tell two keys apart."""


def _mask(key: str) -> str:
    return f"{key[:3]}***{key[-4:]}" if len(key) >= SHOWN_FROM else "***"


class MaskedKey(str):
    """A text that holds a mask, `sk-***cdef`, and compares and hashes as the key it stands for.

    The mask is its content: whatever writes it (print, logging, an f-string, json, `+`, a pickle)
    writes that. The key itself is had by `get_secret_value()` alone.
    """

    __slots__ = ("_secret",)
    _secret: str

    def __new__(cls, key: str) -> Self:
        masked = super().__new__(cls, _mask(key))
        masked._secret = key
        return masked

    def get_secret_value(self) -> str:
        """The key."""
        return self._secret

    def __eq__(self, other: object) -> bool:
        return self._secret == (other._secret if isinstance(other, MaskedKey) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self._secret)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce_ex__(self, _protocol: object) -> tuple[type[str], tuple[str]]:
        """A pickle goes to a file or another process: only the mask does."""
        return str, (str(self),)
