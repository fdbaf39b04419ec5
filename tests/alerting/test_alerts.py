"""Which happenings are told, in which words; on a fake clock, with a webhook inside the process."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace

import httpx
import pytest

from turnout import CompletionRequest, RequestError, Router
from turnout.actors.alerting import actor, alerts
from turnout.actors.alerting.actor import SERVICE, Heard
from turnout.actors.alerting.ledger import PERIOD_SECONDS
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders

MESSAGES = [{"role": "user", "content": "Hello"}]


class Office:
    """A router on a fake clock, and what its webhook was sent: (seconds, text)."""

    def __init__(self, providers=None, threshold=10, answer=None, ids=("eu", "us"), **settings):
        self.clock = FakeClock()
        self.sent = []
        self.answer = answer or (lambda number: httpx.Response(200))
        hook = {"webhook_url": "http://hooks.example/x", "alerting_threshold": threshold}
        self.router = Router(
            [
                {
                    "model_name": "gpt-4",
                    "litellm_params": {"model": "openai/gpt-4o"},
                    "model_info": {"id": name},
                }
                for name in ids
            ],
            clock=self.clock,
            seed=3,
            caller=SimulatedProviders(providers or {}),
            transport=httpx.MockTransport(self._post),
            alerting_config=hook,
            **settings,
        )

    def _post(self, request):
        self.sent.append((self.clock.now(), json.loads(request.content)["text"]))
        return self.answer(len(self.sent))

    def ask(self, model="gpt-4", **fields):
        try:
            return self.router.completion(model, MESSAGES, **fields)
        except RequestError as error:
            return error

    def send(self, model="gpt-4", **fields):
        return self.router.ask(CompletionRequest(model=model, messages=MESSAGES, **fields), block=False)

    @property
    def lines(self):
        return [line.removeprefix("• ") for _, text in self.sent for line in text.splitlines()[1:]]


@pytest.fixture
def office():
    opened = []

    def make(*args, **kwargs):
        opened.append(Office(*args, **kwargs))
        return opened[-1]

    yield make
    for one in opened:
        one.router.close()
        assert one.clock.next_timer() is None, "a timer outlived its router"


def test_a_call_is_told_while_it_hangs_and_again_when_it_is_answered_late(office):
    here = office({"eu": SimulatedProvider(latency=12.34)})
    here.ask("eu")
    here.clock.advance(60)
    assert here.lines == [
        "gpt-4/eu has not answered for 10 s",
        "gpt-4/eu answered after 12.3 s (threshold 10 s)",
    ]


def test_a_call_that_is_answered_in_time_is_not_told(office):
    here = office({"eu": SimulatedProvider(latency=9.9)})
    here.ask("eu")
    here.clock.advance(60)
    assert here.lines == []


def test_a_slow_stream_is_one_whose_first_content_is_late(office):
    here = office({"eu": SimulatedProvider(latency=1, chunk_seconds=9, text="one two three")})
    assert len(list(here.ask("eu", stream=True))) == 4
    here.clock.advance(60)
    assert here.lines == []


def test_a_cooldown_is_told(office):
    here = office({"eu": SimulatedProvider(script=[401])}, cooldown_time=30)
    here.ask("eu")
    here.clock.advance(5)
    assert here.lines == [
        "gpt-4/eu failed: AuthenticationError (401) after 0 s",
        "gpt-4/eu cools down for 30 s because of AuthenticationError",
    ]


def test_alike_failures_are_one_alert_and_a_count_after_the_period(office):
    here = office({"eu": SimulatedProvider(script=[500] * 40)}, disable_cooldowns=True)
    for _ in range(40):
        here.ask("eu")
    here.clock.advance(PERIOD_SECONDS + 2)
    counts = [line.partition(" (and ")[2] for line in here.lines]
    assert counts == ["", "39 more like it in the last 5 minutes)"]


def test_failures_of_two_deployments_are_two_alerts_in_one_message(office):
    providers = {name: SimulatedProvider(script=[500]) for name in ("eu", "us")}
    here = office(providers, disable_cooldowns=True)
    here.ask("eu")
    here.ask("us")
    here.clock.advance(2)
    assert len(here.sent) == 1
    assert len(here.lines) == 2


def test_a_storm_is_no_more_than_a_message_a_second(office):
    ids = [f"d{number}" for number in range(120)]
    here = office(
        {name: SimulatedProvider(script=[500] * 9) for name in ids}, ids=ids, disable_cooldowns=True
    )
    futures = [here.send(name) for name in ids for _ in range(5)]
    here.clock.advance(60)
    assert all(future.done() for future in futures)
    times = [at for at, _ in here.sent]
    assert len(times) == 6
    assert all(b - a >= actor.SPACING_SECONDS for a, b in itertools.pairwise(times))
    assert len(here.lines) == 120


def test_tries_come_after_pauses_that_double(office):
    here = office({"eu": SimulatedProvider(script=[500])}, answer=lambda number: httpx.Response(503))
    here.ask("eu")
    here.clock.advance(60)
    times = [at for at, _ in here.sent]
    assert [round(b - a, 3) for a, b in itertools.pairwise(times)] == [1.0, 2.0, 4.0, 8.0]
    assert here.router.health()["alerts"] == {
        "line": "<AlertActor 0 sent · 1 lost · 0 waiting>",
        "sent": 0,
        "lost": 1,
        "waiting": 0,
    }


@pytest.mark.parametrize(("said", "waits"), [("7", 7.0), ("1e9", 60.0), ("soon", 1.0), ("-3", 1.0)])
def test_a_webhooks_retry_after_is_heeded_within_reason(office, said, waits):
    def answer(number):
        return httpx.Response(429, headers={"retry-after": said}) if number == 1 else httpx.Response(200)

    here = office({"eu": SimulatedProvider(script=[500])}, answer=answer)
    here.ask("eu")
    here.clock.advance(100)
    times = [at for at, _ in here.sent]
    assert round(times[1] - times[0], 3) == waits


def test_a_dead_webhook_is_left_alone_for_a_while(office):
    providers = {name: SimulatedProvider(script=[500]) for name in ("eu", "us")}
    here = office(providers, answer=lambda number: httpx.Response(404))
    here.ask("eu")
    here.clock.advance(2)
    here.ask("us")
    here.clock.advance(actor.SETTLE_SECONDS - 3)
    assert len(here.sent) == 1
    here.clock.advance(5)
    assert len(here.sent) == 2


def test_a_transport_that_raises_anything_is_a_failed_try(office):
    def answer(number):
        raise ValueError("http://hooks.example/x")

    here = office({"eu": SimulatedProvider(script=[500])}, answer=answer)
    here.ask("eu")
    here.clock.advance(60)
    assert len(here.sent) == actor.MAX_TRIES


def test_alerts_take_no_part_in_what_happens_to_requests(office):
    def run(**config):
        clock = FakeClock()
        providers = SimulatedProviders({"eu": SimulatedProvider(script=[500, 429, 503], latency=2)}, seed=1)
        entry = {
            "model_name": "gpt-4",
            "litellm_params": {"model": "openai/gpt-4o"},
            "model_info": {"id": "eu"},
        }
        with Router(
            [entry],
            clock=clock,
            seed=1,
            caller=providers,
            num_retries=3,
            transport=httpx.MockTransport(lambda request: httpx.Response(500)),
            **config,
        ) as router:
            router.completion("gpt-4", MESSAGES)
        return [(item.stream, item.at, item.event) for item in router.events()][1:]

    alerting = {"webhook_url": "http://hooks.example/x", "alerting_threshold": 1}
    assert run() == run(alerting_config=alerting)


def test_an_actor_that_crashes_is_back_and_goes_on_listening(office):
    here = office({"eu": SimulatedProvider(script=[500])})
    board = here.router._switchboard
    first = board.services[SERVICE]
    first.tell(Heard([None]))
    here.clock.advance(1)
    assert board.services[SERVICE] is not first
    here.ask("eu")
    here.clock.advance(2)
    assert len(here.lines) == 1


def test_a_router_whose_alert_actor_is_retired_still_closes(office):
    here = office()
    for _ in range(6):
        here.router._switchboard.services[SERVICE].tell(Heard([None]))
        here.clock.advance(2)
    assert SERVICE not in here.router._switchboard.services
    assert here.router.health()["alerts"] is None


# -- the words


def label(deployment_id):
    return f"gpt-4/{deployment_id}"


def test_a_budget_that_is_used_up_is_told():
    spent = SimpleNamespace(TYPE="budget_exhausted", budget="provider:openai", limit=10.0, spent=9.996)
    told = alerts.alert_for(spent, "budgets", label)
    assert (told.kind, told.subject) == ("budget", "provider:openai")
    assert told.text == "budget provider:openai is used up: $10.00 of $10.00"


def test_names_cannot_make_links_or_call_a_channel():
    assert alerts.shown("<!channel> & co") == "&lt;!channel&gt; &amp; co"
    assert alerts.shown("x" * 500) == "x" * alerts.MAX_NAME_CHARS + "…"


def test_what_goes_well_is_no_alert():
    from turnout.messages.events import CooldownEnded, RouterStopped

    assert alerts.alert_for(CooldownEnded(), "deployment/eu", label) is None
    assert alerts.alert_for(RouterStopped(), "router", label) is None


def test_a_retired_deployment_and_lost_events_are_told():
    from turnout.messages.events import DeploymentRetired, EventsLost

    retired = alerts.alert_for(DeploymentRetired("eu", "KeyError", 5), "router", label)
    assert retired.text == "gpt-4/eu crashed again and again and was taken out of rotation"
    assert alerts.alert_for(EventsLost(7, 3), "router", label).text == "7 events could not be journalled"
