"""Orchestration: what happens to a request as a whole. Floor 3."""
