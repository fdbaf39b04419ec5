"""A small real upstream that speaks OpenAI's wire format and misbehaves as it is told to.

As a process of its own: ``python -m turnout upstream --error-rate 0.1``, or from a test::

    with run_upstream(Behaviour(error_rate=0.1), models={"slow": Behaviour(latency=Span(0.5))}) as upstream:
        Router(model_list=[{"model_name": "m", "litellm_params": {"model": "openai/slow",
                                                                  "api_base": upstream.api_base, ...}}])
"""

from .behaviour import Behaviour, Rate, Span
from .process import Upstream, run_upstream
from .server import create_app, serve

__all__ = ["Behaviour", "Rate", "Span", "Upstream", "create_app", "run_upstream", "serve"]
