"""Money: what is spent and set aside, and the actor that owns what several deployments share."""
