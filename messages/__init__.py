"""The values that travel: requests, responses, settings, commands, events, outcomes, errors.

Floor 1 of the house. Nothing here imports anything else of ours, and nothing here does I/O.
"""
