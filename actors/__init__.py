"""Everything that owns state. Floor 2: imports `messages` only."""
