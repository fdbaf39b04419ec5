import pytest

from turnout import CompletionRequest, Router
from turnout.messages.errors import RequestError
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders

MIDNIGHT = 1_800_057_600.0
"""The beginning of a day in UTC."""
MESSAGES = [{"role": "user", "content": "x" * 24}]
"""10 tokens as we estimate them, and as a simulated provider counts them."""


class Town:
    """A router on a fake clock whose calls take `latency` and cost what their tokens say.

    A token of input costs 1 cent, one of output 10: a call of 10 tokens and `text` of n words is
    expected to cost 0.10 + 0.10 · max_tokens.
    """

    def __init__(self, entries, text="a b c d", latency=1.0, **settings):
        self.clock = settings.pop("clock", None) or FakeClock(MIDNIGHT)
        self.providers = SimulatedProviders(default=SimulatedProvider(latency=latency, text=text))
        self.router = Router(entries, clock=self.clock, caller=self.providers, seed=3, **settings)

    def send(self, model="g", **request):
        asked = CompletionRequest(model=model, messages=MESSAGES, **{"max_tokens": 4, **request})
        return self.router.ask(asked, block=False)

    def ask(self, model="g", **request):
        future = self.send(model, **request)
        self.clock.advance(2.0)
        return future.get(timeout=0)

    def error(self, model="g", **request):
        with pytest.raises(RequestError) as raised:
            self.ask(model, **request)
        return raised.value

    def budgets(self):
        return self.router.health()["budgets"]

    def events(self, *types):
        return [r.event for r in self.router.events() if r.event.TYPE in types]

    def crash(self, name, message_type):
        """Let the next message of this type kill the actor."""
        board = self.router._switchboard
        ref = board.services.get(name) or board.deployments.get(name)

        def broken(_message):
            raise RuntimeError("broken on purpose")

        ref._actor_weakref().message_handlers[message_type] = broken

    def close(self):
        self.router.close()


def entry(name="d", model="openai/m", group="g", **params):
    prices = {"input_cost_per_token": 0.01, "output_cost_per_token": 0.1}
    return {
        "model_name": group,
        "litellm_params": {"model": model, **prices, **params},
        "model_info": {"id": name},
    }


@pytest.fixture
def town():
    """Makes a router; all of them are closed, and audited: what is set aside is nothing in the end."""
    towns = []

    def make(entries, **settings):
        towns.append(Town(entries, **settings))
        return towns[-1]

    make.entry = entry
    yield make
    for one in towns:
        if not one.router._lifecycle.closed:
            one.clock.advance(10_000)
            assert [b["reserved"] for b in one.budgets().values()] == [0.0] * len(one.budgets())
            one.close()
