"""A hit in the cache is told as a success that cost nothing."""

from __future__ import annotations

import pytest

from turnout.testing import FakeClock

MESSAGES = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize("stream", [False, True])
def test_a_hit_is_told_as_a_success_with_cache_hit_and_no_cost(kit, make_router, stream):
    seen = kit.Sync()
    router = make_router(clock=FakeClock(), cache_responses=True, callbacks=[seen])

    def ask():
        answer = router.completion("gpt-4", MESSAGES, stream=stream)
        return "".join(c.choices[0].delta.content or "" for c in answer) if stream else answer

    ask(), ask()
    first, second = seen.of("success")
    assert (first[1]["cache_hit"], second[1]["cache_hit"]) == (False, True)
    assert second[1]["response_cost"] == 0.0
    assert second[1]["litellm_params"]["model_info"]["id"] == "eu"
    assert second[2].choices[0].message.content == "Hello there"
    assert second[3] == second[4]
    assert seen.story.count("pre") == 1  # nobody was asked


def test_the_answer_of_a_hit_is_the_callers_own_with_its_route(kit, make_router):
    seen = kit.Sync()
    router = make_router(clock=FakeClock(), cache_responses=True, callbacks=[seen])
    router.completion("gpt-4", MESSAGES)
    answer = router.completion("gpt-4", MESSAGES)
    assert seen.of("success")[1][2] is answer
    assert answer.route.cache_hit


def test_a_hit_without_callbacks_makes_nothing_to_tell(kit, make_router):
    router = make_router(clock=FakeClock(), cache_responses=True)
    router.completion("gpt-4", MESSAGES)
    router.completion("gpt-4", MESSAGES)
    assert not router._wiring.observer._held
