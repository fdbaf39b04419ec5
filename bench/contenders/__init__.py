"""The routers that are compared, each in a process of its own, in its own environment.

Nothing here imports a router before its process is told which one it is, and nothing imports more
than the standard library besides, so the same code runs in every environment.
"""
