"""How far what is recorded may be from what the books foretell, and how soon it must come."""

from __future__ import annotations

__all__ = ["LEARNED", "ROUNDING", "SOON", "STALE"]

STALE = 0.01
"""Seconds after which a group must know what its deployments can take."""

SOON = 1.0
"""Seconds after which something must have been done about a request, whatever its group has been through."""

ROUNDING = 1e-6
"""Seconds by which sums of times may differ from the times they stand for."""

LEARNED = 1.01
"""A prompt may be taken for so much longer than it is estimated: a provider's own count of the long prompts
(two tokens more in 679, at most) teaches a deployment how long others are; short ones teach it nothing."""
