"""Books of its own for all that a simulated router does, and the judgements that they allow."""
