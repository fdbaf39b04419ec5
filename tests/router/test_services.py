"""Actors beside the way of a request: it lives on without them, and they are restarted like any other."""

from turnout import Router
from turnout.actors.runtime.actor import LoopActor, where_it_broke
from turnout.messages.commands import ActorCrashed
from turnout.testing import FakeClock, SimulatedProviders

ENTRY = {"model_name": "gpt-4", "litellm_params": {"model": "openai/gpt-4o"}, "model_info": {"id": "eu"}}
MESSAGES = [{"role": "user", "content": "Hello"}]


class Fragile(LoopActor):
    """Dies of every message."""

    def __init__(self, dispatcher, switchboard):
        super().__init__(dispatcher)
        self._switchboard = switchboard

    def handlers(self):
        return {str: self._break}

    def _break(self, text):
        raise ValueError(text)

    def on_crash(self, error, message):
        crash = ActorCrashed("service", "fragile", where_it_broke(error), message)
        self.send(self._switchboard.supervisor, crash)


def test_a_service_comes_back_under_its_name_and_is_given_up_when_it_crashes_again_and_again():
    clock = FakeClock()
    with Router([ENTRY], clock=clock, caller=SimulatedProviders()) as router:
        wiring = router._wiring
        system, board, dispatcher = wiring.system, wiring.switchboard, router._dispatcher
        wiring.start_service("fragile", lambda: system.start(Fragile, dispatcher, board))
        first = board.services["fragile"]
        first.tell("boom")
        clock.advance(1)
        assert board.services["fragile"] is not first
        assert board.services["fragile"].is_alive()
        for _ in range(5):
            board.services["fragile"].tell("boom")
            clock.advance(2)
        assert "fragile" not in board.services
        assert list(router.health()["failed"]) == ["service/fragile"]
        assert router.completion("gpt-4", MESSAGES).route.deployment_id == "eu"
