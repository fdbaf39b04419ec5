"""`python -m turnout demo`: the whole router at work, live, over HTTP on this machine."""

from .command import add_to

__all__ = ["add_to"]
