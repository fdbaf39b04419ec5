"""One module for each figure, each with `measure(*, quick) -> list[Figure]`."""
