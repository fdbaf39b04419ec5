"""pykka's actors on one event loop (or, for tests and the simulator, on none)."""
