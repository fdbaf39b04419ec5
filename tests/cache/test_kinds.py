"""Whatever is asked in words and answered in words or numbers is cached: chats, texts, embeddings."""

import pytest

from turnout import Router
from turnout.actors.cache.answers import CACHED_KINDS
from turnout.testing import FakeClock


def entry(answer, **params):
    params = {"model": "openai/some-model", "mock_response": answer, **params}
    return {"model_name": "m", "litellm_params": params, "model_info": {"id": "eu"}}


@pytest.fixture
def router():
    made = []

    def make(answer, **params):
        made.append(Router([entry(answer, **params)], cache_responses=True, clock=FakeClock()))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_embeddings(router):
    one = router([0.25, -0.5])
    first, second = (one.embedding("m", input=["a", "b"]) for _ in range(2))
    assert second.route.cache_hit
    assert second.model_dump() == first.model_dump()
    assert not one.embedding("m", input=["b", "a"]).route.cache_hit
    assert not one.embedding("m", input=["a", "b"], dimensions=2).route.cache_hit


def test_embeddings_that_were_divided_are_one_answer(router):
    one = router([0.25, -0.5], max_batch_size=1)
    first, second = (one.embedding("m", input=["a", "b", "c"]) for _ in range(2))
    assert second.route.cache_hit
    assert [item.index for item in second.data] == [item.index for item in first.data] == [0, 1, 2]


def test_text_completions(router):
    one = router("once upon a time")
    first, second = (one.text_completion("m", prompt="once") for _ in range(2))
    assert second.route.cache_hit
    assert second.model_dump() == first.model_dump()


def test_streams_of_text_completions(router):
    one = router("once upon a time")
    first = one.text_completion("m", prompt="once", stream=True)
    chunks = [chunk.model_dump() for chunk in first]
    second = one.text_completion("m", prompt="once", stream=True)
    assert [chunk.model_dump() for chunk in second] == chunks
    assert second.route.cache_hit


def test_a_key_of_ones_own_is_of_one_kind(router):
    one = router("once upon a time")
    one.text_completion("m", prompt="once", cache={"key": "mine"})
    chat = one.completion("m", [{"role": "user", "content": "x"}], cache={"key": "mine"})
    assert not chat.route.cache_hit
    assert chat.choices[0].message.content == "once upon a time"


def test_what_is_a_file_or_a_verdict_of_the_moment_is_not_cached():
    assert {"completion", "embedding", "text_completion"} == CACHED_KINDS
