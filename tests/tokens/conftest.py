"""The town of the router's tests, and the house of the group's."""

from tests.model_group.conftest import house, make
from tests.router.conftest import hello, town

__all__ = ["hello", "house", "make", "town"]
