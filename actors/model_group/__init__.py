"""The group of deployments that can stand in for each other: who is eligible, who is chosen, who waits."""
