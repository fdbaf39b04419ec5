"""Orchestration: what happens to a request as a whole. Floor 3.

Here: the Supervisor, its desks and the live side of a request. `planning/`: what decides, pure.
`fleet/`: which deployments there are, and how they are. `stories/`: events in plain words.
`face/`: the Router, its methods, and how its actors are put together.
"""
