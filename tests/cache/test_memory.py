"""The cache in memory against an oracle that does the same in the obvious way."""

from hypothesis import given
from hypothesis import strategies as st

from turnout.actors.cache.memory import ENTRY_BYTES, MemoryCache
from turnout.messages.caching import PART_BYTES, Kept


def kept(size):
    return Kept("completion", False, "g", "d", 0.0, (b"x" * size,))


def whole(size):
    return size + PART_BYTES + ENTRY_BYTES + 1


steps = st.lists(
    st.tuples(
        st.sampled_from("abcdef"), st.integers(0, 300) | st.none(), st.integers(1, 9), st.integers(0, 3)
    ),
    max_size=60,
)


@given(steps, st.integers(1, 4), st.integers(600, 2500))
def test_it_is_what_an_obvious_list_would_be(steps, max_entries, max_bytes):
    cache = MemoryCache(max_entries, max_bytes)
    rows = []  # (key, kept, until), least recently used first
    now = 0.0
    for key, size, ttl, passed in steps:
        now += passed
        row = next((row for row in rows if row[0] == key), None)
        if row is not None:
            rows.remove(row)
        if size is None:
            alive = row is not None and row[2] > now
            assert cache.get(key, now) == (row[1] if alive else None)
            rows += [row] if alive else []
            continue
        fits = whole(size) <= max_bytes
        assert cache.put(key, kept(size), now + ttl) == fits
        rows += [(key, kept(size), now + ttl)] if fits else []
        while len(rows) > max_entries or sum(whole(len(r[1].parts[0])) for r in rows) > max_bytes:
            rows.pop(0)
        assert len(cache) == len(rows)
        assert cache.bytes == sum(whole(len(r[1].parts[0])) for r in rows) <= max_bytes


def test_what_was_read_last_stays_longest():
    cache = MemoryCache(2, 10_000)
    cache.put("a", kept(1), 9.0)
    cache.put("b", kept(1), 9.0)
    cache.get("a", 0.0)
    cache.put("c", kept(1), 9.0)
    assert (cache.get("a", 0.0) is None, cache.get("b", 0.0) is None) == (False, True)


def test_it_says_how_full_it_is():
    cache = MemoryCache(2, 10_000)
    cache.put("k", kept(10), 9.0)
    assert repr(cache) == f"<MemoryCache 1/2 · {whole(10)}/10000 bytes>"
