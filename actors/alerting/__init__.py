"""Alerts: what goes wrong, told to a webhook, beside the way of requests."""
