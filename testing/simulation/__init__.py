"""One seed, one run: the whole router in a simulated world of bad luck, held to its invariants."""
