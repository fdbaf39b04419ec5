"""The town of the router's tests."""

from tests.router.conftest import hello, town

__all__ = ["hello", "town"]
