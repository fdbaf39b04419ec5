"""One endpoint: its health, cooldown and usage, owned by one actor."""
