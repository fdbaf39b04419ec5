"""Which deployments a router has, what a change of them leads to, and how they are."""
