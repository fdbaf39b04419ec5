"""When a store is asked, when it is left alone, and what of it is news."""

from turnout.actors.cache.outage import MAX_FAILURES, PAUSE_SECONDS, StoreHealth


def test_the_first_failure_is_news_and_so_is_the_end():
    health = StoreHealth()
    assert health.failed("lookups", "down", 0)
    assert not health.failed("writes", "down", 0)
    assert (health.reason, health.lost_in_it) == ("down", 2)
    assert health.worked("lookups")
    assert (health.reason, health.lost) == (None, 2)
    assert not health.worked("lookups")


def test_after_failures_in_a_row_it_is_left_alone_but_for_one_try_in_a_while():
    health = StoreHealth()
    for _ in range(MAX_FAILURES):
        assert not health.avoids("lookups", 0)
        health.failed("lookups", "down", 0)
    assert health.avoids("lookups", PAUSE_SECONDS - 0.1)
    assert not health.avoids("lookups", PAUSE_SECONDS)
    assert health.avoids("lookups", PAUSE_SECONDS + 0.1)
    health.worked("lookups")
    assert not health.avoids("lookups", PAUSE_SECONDS + 0.1)


def test_a_server_that_answers_and_takes_nothing_is_still_asked():
    health = StoreHealth()
    for _ in range(MAX_FAILURES):
        health.failed("writes", "full", 0)
        health.worked("lookups")
    assert health.avoids("writes", 1)
    assert not health.avoids("lookups", 1)
    assert health.reason == "full"


def test_each_outage_counts_its_own_losses():
    health = StoreHealth()
    health.failed("lookups", "down", 0)
    health.worked("lookups")
    health.failed("lookups", "down", 9)
    health.skipped()
    assert (health.lost, health.lost_in_it) == (3, 2)
