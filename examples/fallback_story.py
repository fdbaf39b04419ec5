"""One request that needs four attempts and a fallback, told by its own events.

    python examples/fallback_story.py

The providers are simulated on a fake clock, so the story takes no time and is the same every time.
"""

from __future__ import annotations

from turnout import RateLimitError, Router
from turnout.messages.events import (
    AttemptFailed,
    DeploymentPicked,
    Event,
    FellBack,
    RequestAccepted,
    RequestSucceeded,
)
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders


def deployment(name: str, group: str) -> dict[str, object]:
    """One entry of a `model_list`."""
    return {
        "model_name": group,
        "litellm_params": {"model": "openai/gpt-4o"},
        "model_info": {"id": name, "input_cost_per_token": 1e-6, "output_cost_per_token": 4e-6},
    }


MODEL_LIST = [deployment("eu", "gpt-4"), deployment("us", "gpt-4"), deployment("mini", "small")]


def providers() -> SimulatedProviders:
    """One that is down, one that is asked too much, one that answers."""
    return SimulatedProviders(
        {
            "eu": SimulatedProvider(latency=0.5, script=[503, 503]),
            "us": SimulatedProvider(latency=0.25, script=[RateLimitError("slow down", retry_after=20)]),
            "mini": SimulatedProvider(latency=1.0, text="Blue light is scattered the most."),
        }
    )


def tell(event: Event) -> str:
    """An event in plain words; each says more than is shown here."""
    match event:
        case RequestAccepted():
            return f"accepted, for group {event.group}"
        case DeploymentPicked(decision=decision):
            others = [f"{left.deployment_id}: {left.reason}" for left in decision.left_out]
            return f"attempt {event.attempt} goes to {decision.deployment_id}" + (
                f" (not to {', '.join(others)})" if others else ""
            )
        case AttemptFailed():
            return f"{event.deployment_id} fails: {event.error} ({event.status_code})"
        case FellBack():
            return f"falls back from {event.from_group} to {event.to_group}"
        case RequestSucceeded():
            return f"answered by {event.deployment_id} after {event.seconds:g} s, for ${event.cost:.6f}"
    return event.TYPE.replace("_", " ")


def main() -> None:
    """Ask once, then tell what happened."""
    messages = [{"role": "user", "content": "Why is the sky blue?"}]
    with Router(
        model_list=MODEL_LIST,
        num_retries=2,
        fallbacks=[{"gpt-4": ["small"]}],
        clock=FakeClock(start=0),
        caller=providers(),
        seed=1,
    ) as router:
        answer = router.completion("gpt-4", messages)
        for recorded in router.events(f"request/{answer.route.request_id}"):
            print(f"{recorded.at:7.2f} s  {tell(recorded.event)}")
        print(f"\n{answer.choices[0].message.content}")


if __name__ == "__main__":
    main()
