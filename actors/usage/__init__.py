"""What a router has used: counts, tokens, money and times, folded from its events."""
