import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.actors.journal import codec
from turnout.actors.journal.codec import Recorded, decode_event, encode_event, upcaster
from turnout.actors.journal.ports import UnreadableEventError
from turnout.messages import events as e
from turnout.messages.events import EVENT_TYPES, CallStarted, DeploymentPicked, RequestSucceeded
from turnout.messages.outcomes import Decision, LeftOut

LEFT_OUT = (
    LeftOut("azure-eu", "cooling_down", until=1_795_000_001.25),
    LeftOut("azure-us", "context_window", need=9000.0, has=8192.0, detail="prompt ü"),
)
DECISION = Decision(
    "gpt-4",
    "adaptive",
    "openai-1",
    3,
    0.125,
    0.75,
    (("openai-1", 0.125), ("openai-2", 0.5)),
    LEFT_OUT,
    {"rpm": 40},
)

CONFIG = {"litellm_params": {"model": "openai/gpt-4", "rpm": 3}}

# No field has its default, so one that gets lost is seen.
SAMPLES = [
    e.RouterStarted(2**70, {"num_retries": 2, "fallbacks": [{"gpt-4": ["claude-3"]}], "timeout": None}),
    e.RouterStopped(),
    e.CacheHit("r1", "turnout:9782ba8c", "gpt-4", "openai-1", 1.5, shared=True),
    e.CacheLost("ConnectionError"),
    e.CacheRestored(3),
    e.DeploymentAdded("openai-1", "gpt-4", CONFIG, ("litellm_params.api_key",), listed=False),
    e.DeploymentUpdated("openai-1", "gpt-4", CONFIG, ("litellm_params.api_key",), listed=True),
    e.DeploymentRemoved("openai-1", "gpt-4", listed=True),
    e.ModelListSet(
        (e.DeploymentAdded("openai-2", "gpt-4", CONFIG, ("litellm_params.api_key",), listed=False),),
        (e.DeploymentUpdated("openai-3", "gpt-4", CONFIG),),
        (e.DeploymentRemoved("openai-4", "gpt-4"),),
    ),
    e.DeploymentRestarted("openai-1", "ZeroDivisionError", 2),
    e.DeploymentRetired("openai-1", "ZeroDivisionError", 5),
    e.CostReset(),
    e.EventsLost(17, 4711),
    e.CallStarted("r1.1", "r1", 112, stream=True, probe=True, set_aside=0.25),
    e.CallOpened("r1.1", "r1", 0.25),
    e.CallSucceeded("r1.1", "r1", 12, 20, 0.0012, 0.5, 0.25, 4, estimated=True, charged=0.5),
    e.CallFailed("r1.1", "r1", "RateLimitError", 429, True, 0.5, 12, 1, 0.001, 2.5, "maybe", 0.25, 0.5),
    e.CallCancelled("r1.1", "r1", "the caller left", 0.5, 12, 3, 0.001, 0.5),
    e.CallAbandoned("r1.1", "r1"),
    e.CooldownStarted(1_795_000_001.25, 2.0, "Timeout", 3),
    e.CooldownEnded(),
    e.BudgetExhausted("deployment:openai-1", 10.0, 9.75, 1_795_046_400.0),
    e.BudgetReserved("r1.1", "openai-1", {"provider:openai": 0.25, "tag:team-a": 0.125}),
    e.BudgetSettled("r1.1", 0.125),
    e.CheckStarted("openai-1.check7", 5),
    e.HealthChecked(
        "openai-1.check7", True, 0.5, 8, 1, 0.001, counted=True, error="Timeout", status_code=408
    ),
    e.ClockSetBack(7200.5),
    e.LimitsObserved(2, 4000, 1_795_000_060.5),
    e.RequestAccepted("r1", "completion", "gpt-4", "gpt-4", True, 1_795_000_600.5, 12, 1),
    e.DeploymentPicked("r1", "r1.1", 1, DECISION),
    e.AttemptFailed("r1", "r1.1", "gpt-4", "openai-1", "Timeout", 408, 0.5, 1.5),
    e.WaitStarted("r1", "gpt-4", 1_795_000_001.25, LEFT_OUT),
    e.RetryScheduled("r1", "gpt-4", "RateLimitError", 1.5),
    e.HedgeRefused("r1", "r1.1h"),
    e.HedgeSettled("r1", "r1.1h", "r1.1", "azure-eu", 4.25),
    e.FellBack("r1", "gpt-4", "claude-3", "Timeout"),
    e.RequestSucceeded("r1", "claude-3", "anthropic-1", 3, 1, 1, 1.5, 4.25, 0.0025),
    e.RequestFailed("r1", "NoDeploymentsAvailable", 429, 3, 1, 1, 1.5, 4.25, LEFT_OUT, {"tpm": 2}),
    e.RequestCancelled("r1", 2, 4.25),
]

EVERY_VERSION = Path(__file__).with_name("every_version.jsonl")
"""A line for every version of every event ever written. Lines are added, never changed or removed."""

OURS = {kind: cls for kind, cls in EVENT_TYPES.items() if cls.__module__ == "turnout.messages.events"}


def lines():
    return [json.loads(line) for line in EVERY_VERSION.read_text("utf-8").splitlines()]


def test_every_event_type_has_a_sample():
    assert {type(sample) for sample in SAMPLES} == set(OURS.values())


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.TYPE)
def test_an_event_comes_back_equal_and_of_its_type(sample):
    again = decode_event(sample.TYPE, sample.VERSION, encode_event(sample))
    assert again == sample
    assert type(again) is type(sample)
    assert repr(again) == repr(sample)  # tuples are tuples again, floats floats


def test_every_version_ever_written_is_in_the_file():
    """A new event, or a new version of one, needs a line in every_version.jsonl."""
    promised = {(kind, version) for kind, cls in OURS.items() for version in range(1, cls.VERSION + 1)}
    assert {(line["type"], line["version"]) for line in lines()} >= promised


@pytest.mark.parametrize("line", lines(), ids=lambda line: f"{line['type']}-{line['version']}")
def test_every_version_ever_written_is_read(line):
    event = decode_event(line["type"], line["version"], json.dumps(line["fields"]))
    assert line["type"] == event.TYPE
    if line["version"] == event.VERSION:
        now = json.loads(encode_event(event))
        assert still_there(line["fields"], now) == line["fields"], (
            "a field was renamed, removed or retyped: raise VERSION and write an upcaster"
        )


def still_there(written, now):
    """What is written now of the fields there were: new ones with a default change nothing, at any depth."""
    if isinstance(written, dict) and isinstance(now, dict):
        return {name: still_there(value, now.get(name, "gone")) for name, value in written.items()}
    if isinstance(written, list) and isinstance(now, list) and len(written) == len(now):
        return [still_there(*pair) for pair in zip(written, now, strict=True)]
    return now


texts = st.text(st.characters(codec="utf-8"))
numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(texts, texts, st.integers(0), st.booleans(), st.booleans())
def test_any_text_and_number_survives(call, request, reserved, stream, probe):
    event = CallStarted(call, request, reserved, stream, probe)
    assert decode_event("call_started", 1, encode_event(event)) == event


left_out = st.builds(
    LeftOut,
    texts,
    st.sampled_from(["rpm", "tags", "budget"]),
    st.none() | numbers,
    st.none() | numbers,
    st.none() | numbers,
)
decisions = st.builds(
    Decision,
    texts,
    texts,
    texts,
    st.integers(0),
    st.none() | numbers,
    st.none() | numbers,
    st.lists(st.tuples(texts, numbers)).map(tuple),
    st.lists(left_out).map(tuple),
    st.dictionaries(texts, st.integers(0)),
)


@given(decisions)
def test_any_decision_survives(decision):
    event = DeploymentPicked("r1", "r1.1", 1, decision)
    assert decode_event("deployment_picked", 1, encode_event(event)) == event


def test_an_unknown_event_is_one_clear_error():
    with pytest.raises(
        UnreadableEventError, match=r"an event 'brand_new' \(version 3\), which is not known here"
    ):
        decode_event("brand_new", 3, b"{}")


@pytest.mark.parametrize("version", [0, -1, 2, 99])
def test_a_version_that_is_not_ours_is_one_clear_error(version):
    with pytest.raises(
        UnreadableEventError, match=f"'call_started' in version {version}; the newest known here is 1"
    ):
        decode_event("call_started", version, b"{}")


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"{}", b'{"call_id": 7, "request_id": "r", "reserved": 1}', b"\xff\xfe", b"null"],
)
def test_damaged_fields_are_one_clear_error(data):
    with pytest.raises(UnreadableEventError, match="'call_started'"):
        decode_event("call_started", 1, data)


def test_old_versions_are_read_step_by_step(monkeypatch):
    monkeypatch.setattr(codec, "_UPCASTERS", {})
    monkeypatch.setattr(CallStarted, "VERSION", 3)

    @upcaster("call_started", from_version=1)
    def _(fields):
        return {"call_id": fields["id"], "request_id": fields["request"]}

    @upcaster("call_started", from_version=2)
    def _(fields):
        return {**fields, "reserved": 100}

    assert decode_event("call_started", 1, b'{"id":"c","request":"r"}') == CallStarted("c", "r", 100)
    assert decode_event("call_started", 2, b'{"call_id":"c","request_id":"r"}') == CallStarted("c", "r", 100)
    assert decode_event("call_started", 3, encode_event(CallStarted("c", "r", 7))) == CallStarted("c", "r", 7)


def test_a_version_without_an_upcaster_is_one_clear_error(monkeypatch):
    monkeypatch.setattr(CallStarted, "VERSION", 2)
    with pytest.raises(UnreadableEventError, match="no upcaster reads 'call_started' version 1"):
        decode_event("call_started", 1, encode_event(CallStarted("c", "r", 7)))


def test_two_upcasters_for_one_version_are_a_mistake(monkeypatch):
    monkeypatch.setattr(codec, "_UPCASTERS", {})
    upcaster("call_started", from_version=1)(dict)
    with pytest.raises(AssertionError, match="two upcasters for call_started version 1"):
        upcaster("call_started", from_version=1)(dict)


def test_what_is_recorded_cannot_be_changed():
    recorded = Recorded(1, "router", 1, 0.0, RequestSucceeded("r", "g", "d", 1, 0, 0, 0.0, 1.0, None))
    with pytest.raises(AttributeError):
        recorded.version = 2
