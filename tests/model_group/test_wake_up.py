"""Who waits is woken by what it waits for itself, whoever waits before it and for what."""

from turnout import CompletionRequest, Router
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders

MESSAGES = [{"role": "user", "content": "x" * 24}]


def entry(name, **params):
    return {"model_name": "g", "litellm_params": {"model": "openai/m", **params}, "model_info": {"id": name}}


def test_one_that_waits_for_tokens_is_not_kept_by_one_that_waits_longer_for_another_deployment():
    clock = FakeClock(0.0)
    providers = SimulatedProviders(default=SimulatedProvider(latency=0.5, text="a b c d"))
    entries = [entry("a", tpm=40), entry("b", rpm=1)]
    with Router(entries, clock=clock, caller=providers, on_exhausted="wait", timeout=300) as router:

        def send(model, tokens):
            asked = CompletionRequest(model=model, messages=MESSAGES, max_tokens=tokens)
            return router.ask(asked, block=False)

        send("a", 26)  # leaves room for a short one
        clock.advance(20.0)
        send("b", 4)
        clock.advance(1.0)
        longest = send("b", 4)  # until 80 s
        clock.advance(1.0)
        waits = send("g", 26)  # until 60 s
        clock.advance(40.0)
        assert waits.done()
        assert waits.get(timeout=0).route.deployment_id == "a"
        assert not longest.done()
        clock.advance(20.0)
        assert longest.done()
