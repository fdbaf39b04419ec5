"""The log of what happened: protocol, codec, and the stores in memory and in SQLite."""
