"""What decides about a request: rules, plan, fallbacks, hedges, names. Pure."""
