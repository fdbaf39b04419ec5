"""The Router: a thin shell around the actors, its methods by their subject, and the wiring."""
