"""The key compares equal to the real one and prints masked."""

from __future__ import annotations

import copy
import json
import logging
import pickle

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from turnout.actors.callbacks.masked_key import MaskedKey
from turnout.testing import FakeClock

KEY = "sk-" + "live0123456789abcdef"
MESSAGES = [{"role": "user", "content": "Hello"}]


def test_a_callback_gets_a_key_that_equals_the_real_one(kit, make_router):
    seen = kit.Sync()
    make_router(clock=FakeClock(), callbacks=[seen]).completion("gpt-4", MESSAGES)
    key = seen.of("success")[0][1]["litellm_params"]["api_key"]
    assert isinstance(key, str)
    assert key == KEY
    assert key == KEY
    assert key in {KEY: 1}
    assert KEY in {key: 1}
    assert hash(key) == hash(KEY)
    assert key != "sk-another"
    assert key != str(key)
    assert key.get_secret_value() == KEY


@given(st.text(min_size=4, max_size=80, alphabet=st.characters(codec="ascii", categories=["L", "N", "P"])))
def test_no_way_of_writing_it_writes_it(secret):
    key = MaskedKey(secret)
    log = logging.LogRecord("x", 10, "x", 1, "%s %r", (key, key), None)
    written = [
        str(key), repr(key), f"{key}", f"{key!s:>40}", "%s" % key, key.__format__(""), key + "", "" + key,  # noqa: UP031
        ", ".join(str(part) for part in [key, key]), key[:],
        json.dumps({"k": key}), json.dumps({key: 1}), repr({"k": key}), log.getMessage(),
        key.encode().decode(), key.lower(), key.strip(), pickle.dumps(key).decode("latin1"),
        msgspec.json.encode({"k": str(key)}).decode(),
    ]  # fmt: skip
    lowered = secret.lower()
    # a secret so short or odd that the notation around it contains it proves nothing
    assert not [text for text in written if lowered in text.lower() and lowered not in "***'\"{k: 1}"]


def test_copies_are_it(make_router):
    key = MaskedKey(KEY)
    assert copy.copy(key) is key
    assert copy.deepcopy({"k": key})["k"] is key


def test_a_pickle_holds_the_mask_only():
    assert pickle.loads(pickle.dumps(MaskedKey(KEY))) == str(MaskedKey(KEY))


def test_a_long_key_shows_its_ends_so_that_two_can_be_told_apart():
    assert str(MaskedKey(KEY)) == "sk-***cdef"
    assert str(MaskedKey("short-key")) == "***"
