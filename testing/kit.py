"""One deployment actor on the bench: give it a command, see events, state, reply and mail.

Every message is turned into bytes and back before the actor gets it, every event after it recorded
it; and after each step the state must equal a replay of the stream from nothing and from a snapshot.

::

    kit = ActorTestKit({"model_name": "gpt-4", "litellm_params": {"model": "openai/gpt-4", "rpm": 1}})
    step = kit.start_call("r1.1")
    assert [type(event).__name__ for event in step.events] == ["CallStarted"]
    assert kit.start_call("r2.1").mail_to("group")[0].left_out.reason == "rpm"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from attrs import field, frozen

from ..actors.deployment.actor import DeploymentActor, DeploymentPorts
from ..actors.deployment.state import DeploymentState
from ..actors.runtime.actor import LoopActor
from ..actors.runtime.channel import Channel
from ..actors.runtime.dispatcher import ManualDispatcher
from ..actors.runtime.switchboard import Switchboard
from ..messages.commands import Assign, Call, CancelCall, StartCall
from ..messages.requests import CompletionRequest
from ..messages.settings import RouterSettings, parse_model_list
from ..supervisor.planning.compile_rules import limits_of
from .fake_clock import FakeClock
from .serialise import event_round_trip, message_round_trip
from .simulated import SimulatedProvider, SimulatedProviders

if TYPE_CHECKING:
    from ..messages.events import Event

__all__ = ["ActorTestKit", "Step"]


@frozen
class Step:
    """What one command (or the passing of time) led to.

    Attributes:
        events: recorded in this step, in order.
        mail: (receiver, message) that the actor sent: "group" or "supervisor".
        state: the state afterwards, as plain values.
        reply: what an ask was answered with.
    """

    events: tuple[Event, ...]
    mail: tuple[tuple[str, Any], ...]
    state: dict[str, Any]
    reply: Any = None

    def mail_to(self, receiver: str) -> list[Any]:
        """The messages for one receiver."""
        return [message for to, message in self.mail if to == receiver]


@frozen
class _Log:
    """An event log in a list, checking what a journal checks."""

    rows: list[tuple[str, int, float, Event]] = field(factory=list)

    def append(self, stream: str, version: int, at: float, event: Event) -> int:
        last = self.rows[-1][1] if self.rows else 0
        assert version == last + 1, f"version {version} of {stream} follows {last}"
        self.rows.append((stream, version, at, event_round_trip(event)))
        return len(self.rows)

    def save_snapshot(self, _snapshot: Any) -> None:
        """The kit takes its own snapshots, at every step."""


class _Mailbox(LoopActor):
    """Stands in for another actor and keeps what it is told."""

    def __init__(self, dispatcher: ManualDispatcher, name: str, mail: list[tuple[str, Any]]) -> None:
        super().__init__(dispatcher)
        self._name = name
        self._mail = mail

    def on_receive(self, message: Any) -> None:
        self._mail.append((self._name, message))


class ActorTestKit:
    """A deployment actor, alone, on a fake clock, with a simulated provider.

    Args:
        entry: the deployment, as in a `model_list`.
        provider: how it answers.
        settings: of the router it believes to be in (`allowed_fails`, `cooldown_time`, ...).
    """

    def __init__(
        self, entry: dict[str, Any], provider: SimulatedProvider | None = None, **settings: Any
    ) -> None:
        self.clock = FakeClock()
        self.dispatcher = ManualDispatcher(self.clock)
        router = RouterSettings(**settings)
        (self.deployment,) = parse_model_list([entry], defaults={})
        self._limits = limits_of(self.deployment, router)
        self._mail: list[tuple[str, Any]] = []
        self._log = _Log()
        board = Switchboard()
        board.supervisor = _Mailbox.start(self.dispatcher, "supervisor", self._mail)
        board.groups[self.deployment.model_name] = _Mailbox.start(self.dispatcher, "group", self._mail)
        caller = SimulatedProviders(default=provider or SimulatedProvider()).connect(self.dispatcher)
        ports = DeploymentPorts(self.dispatcher, self._log, caller, board, router.stream_timeout)
        self._refs = [board.supervisor, board.groups[self.deployment.model_name]]
        self.ref = DeploymentActor.start(
            ports, self.deployment, DeploymentState(self.deployment.id, self._limits)
        )
        self._refs.append(self.ref)
        self.dispatcher.run_now()
        self._mail.clear()

    @property
    def events(self) -> tuple[Event, ...]:
        """All events so far."""
        return tuple(event for *_, event in self._log.rows)

    def tell(self, message: Any) -> Step:
        """Send a message and run until nothing more happens without time passing."""
        return self._step(lambda: self.ref.tell(message_round_trip(message)))

    def ask(self, message: Any) -> Step:
        """The same, with the reply."""
        future = self.ref.ask(message_round_trip(message), block=False)
        step = self._step(lambda: None)
        return Step(step.events, step.mail, step.state, future.get())

    def advance(self, seconds: float) -> Step:
        """Let time pass."""
        return self._step(lambda: self.clock.advance(seconds))

    def start_call(self, call_id: str, *, stream: bool = False, **request: Any) -> Step:
        """Tell the actor to start a call, as its group would."""
        params = {"model": self.deployment.model_name, "messages": [{"role": "user", "content": "Hi"}]}
        asked = CompletionRequest(**{**params, **request, "stream": stream})
        channel: Channel[Any] | None = Channel(self.dispatcher) if stream else None
        call = Call(
            call_id,
            call_id.partition(".")[0],
            1,
            asked,
            asked.demand(),
            self.clock.now() + 600.0,
            stream,
            None,
            channel,
        )
        return self.tell(StartCall(Assign(call)))

    def cancel_call(self, call_id: str, reason: str = "caller left") -> Step:
        """Tell the actor that the caller has gone."""
        return self.tell(CancelCall(call_id, reason))

    def close(self) -> None:
        """Stop the actors."""
        for ref in self._refs:
            ref.stop(block=False)
        self.dispatcher.run_now()
        self.dispatcher.close()

    def _step(self, act: Any) -> Step:
        before = len(self._log.rows)
        self._mail.clear()
        act()
        self.dispatcher.run_now()
        mail = tuple((to, message_round_trip(message)) for to, message in self._mail)
        return Step(tuple(row[3] for row in self._log.rows[before:]), mail, self._state())

    def _state(self) -> dict[str, Any]:
        """The actor's state, after proof that its events alone lead there."""
        actor = self.ref._actor_weakref()  # pykka has no other way to the actor
        assert actor is not None, "the actor is gone"
        now = self.clock.now()
        live: dict[str, Any] = actor.state.snapshot(now)
        replayed = resumed = DeploymentState(self.deployment.id, self._limits)
        for _, _, at, event in self._log.rows:
            resumed = self._by_snapshot(resumed, at)
            replayed.apply(event, at)
            resumed.apply(event, at)
        assert replayed.snapshot(now) == live, "the state is not what its events say"
        assert resumed.snapshot(now) == live, "the state is not what its events say, snapshots between them"
        return live

    def _by_snapshot(self, state: DeploymentState, at: float) -> DeploymentState:
        """The state, written as a snapshot and read back."""
        written = msgspec.json.decode(msgspec.json.encode(state.snapshot(at)))
        return DeploymentState.restore(self.deployment.id, self._limits, written)
