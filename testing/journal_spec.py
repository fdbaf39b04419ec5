"""What every journal store must do, as tests: subclass it, say how a store is opened, run pytest.

::

    class TestMyStore(JournalSpec):
        survives_reopening = True

        def open(self, folder):
            return MyStore(folder / "events")
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from ..actors.journal.codec import Recorded
from ..actors.journal.ports import ACCOUNT, Snapshot
from ..messages.events import (
    CallOpened,
    CooldownEnded,
    CooldownStarted,
    RequestAccepted,
    RequestCancelled,
    RouterStarted,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ..actors.journal.ports import ForgetfulStore, JournalStore

__all__ = ["JournalSpec"]


def _event(number: int, text: str = "gpt-4") -> CallOpened:
    return CallOpened(f"call-{number}", text, number / 8)


def _line(position: int, stream: str, version: int) -> Recorded:
    return Recorded(position, stream, version, 1_000.0 + position, _event(position))


_TWO_STREAMS = [
    _line(1, "deployment/a", 1),
    _line(2, "deployment/b", 1),
    _line(3, "deployment/a", 2),
    _line(4, "deployment/b", 2),
    _line(5, "deployment/a", 3),
]


def _request(position: int, name: str, version: int, *, ends: bool = False) -> Recorded:
    event: Any = CallOpened("call", name, 0.5)  # whatever comes in between
    if version == 1:
        event = RequestAccepted(name, "chat", "g", "g", stream=False, deadline=9e9, input_tokens=1)
    elif ends:
        event = RequestCancelled(name, 1, 0.5)
    return Recorded(position, f"request/{name}", version, 1_000.0 + position, event)


_TWO_REQUESTS = [
    _request(1, "over", 1),
    _line(2, "deployment/a", 1),
    _request(3, "open", 1),
    _line(4, "deployment/b", 1),
    _request(5, "over", 2, ends=True),
    _line(6, "deployment/a", 2),
    _request(7, "open", 2),
    _line(8, "deployment/a", 3),
    _line(9, "deployment/b", 2),
    _request(10, "open", 3, ends=True),
    _line(11, "deployment/a", 4),
]
"""Of a store that forgets: one request is over before position 6, the other is open from 3 to 10."""


class JournalSpec:
    """Subclass, override `open` (and the attributes that differ), and let pytest collect it."""

    survives_reopening = True
    """Whether a store opened again on the same folder still has everything."""

    forgets = True
    """Whether it is a `ForgetfulStore`, of which `journal_max_age` and `journal_max_bytes` can be asked."""

    def open(self, folder: Path) -> JournalStore:
        """Open the store that keeps its files in `folder`; the same one each time."""
        raise NotImplementedError

    def _filled(self, folder: Path) -> JournalStore:
        store = self.open(folder)
        store.append(_TWO_STREAMS[:2])
        store.append(_TWO_STREAMS[2:])
        return store

    # -- reading

    def test_a_new_store_is_empty(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        assert list(store.read()) == []
        assert (store.last_position(), store.last_version("router"), store.versions()) == (0, 0, {})
        assert store.snapshot("router") is None
        store.close()

    def test_all_streams_are_read_in_the_order_of_positions(self, tmp_path: Path) -> None:
        store = self._filled(tmp_path)
        assert list(store.read()) == _TWO_STREAMS
        store.close()

    def test_one_stream_is_read_without_the_others(self, tmp_path: Path) -> None:
        store = self._filled(tmp_path)
        assert list(store.read("deployment/b")) == [_TWO_STREAMS[1], _TWO_STREAMS[3]]
        assert list(store.read("deployment/")) == []
        store.close()

    def test_reading_starts_after_any_position(self, tmp_path: Path) -> None:
        store = self._filled(tmp_path)
        for after in range(7):
            assert list(store.read(after=after)) == _TWO_STREAMS[after:]
            assert list(store.read("deployment/a", after)) == [
                line for line in _TWO_STREAMS[after:] if line.stream == "deployment/a"
            ]
        store.close()

    def test_a_limit_takes_the_first_ones(self, tmp_path: Path) -> None:
        store = self._filled(tmp_path)
        assert list(store.read(limit=0)) == []
        assert list(store.read(after=1, limit=3)) == _TWO_STREAMS[1:4]
        assert list(store.read("deployment/a", limit=2)) == [_TWO_STREAMS[0], _TWO_STREAMS[2]]
        assert list(store.read(limit=100)) == _TWO_STREAMS
        store.close()

    def test_a_read_that_is_left_half_way_keeps_nobody_from_writing(self, tmp_path: Path) -> None:
        store = self._filled(tmp_path)
        reading = iter(store.read())
        next(reading)
        store.append([_line(6, "deployment/a", 4)])
        assert store.last_position() == 6
        store.close()

    def test_events_come_back_equal_whatever_their_text(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        texts = [
            "",
            "größer 東京 🚀",
            "\x00\x01\x1f",
            'quotes " and \\ and \n',
            "\u2028",
            "'; DROP TABLE runs;--",
            "%",
            "?",
        ]
        lines = [
            Recorded(n, f"deployment/{text}", 1, 0.0, _event(n, text)) for n, text in enumerate(texts, 1)
        ]
        store.append(lines)
        assert list(store.read()) == lines
        for line in lines:
            assert list(store.read(line.stream)) == [line]
        store.close()

    def test_times_and_numbers_come_back_exactly(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        at = 1_795_000_000.123456789
        line = Recorded(1, "deployment/a", 1, at, CooldownStarted(at + 0.1, 1e-9, "Timeout", 2**53))
        store.append([line])
        (again,) = store.read()
        assert again == line
        store.close()

    # -- writing

    def test_a_batch_of_ten_thousand_events_is_one_append(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        lines = [_line(n, f"deployment/{n % 7}", (n - 1) // 7 + 1) for n in range(1, 10_001)]
        store.append(lines)
        assert list(store.read()) == lines
        assert [line.version for line in store.read("deployment/3")] == list(range(1, 1430))
        assert store.last_position() == 10_000
        store.close()

    def test_an_empty_batch_is_no_event(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        store.append([])
        assert list(store.read()) == []
        store.close()

    def test_a_batch_given_twice_is_written_once_or_refused(self, tmp_path: Path) -> None:
        store = self._filled(tmp_path)
        with suppress(Exception):  # refusing is as good; what counts is what is stored
            store.append(_TWO_STREAMS[2:])
        assert list(store.read()) == _TWO_STREAMS
        store.close()

    def test_a_gap_in_positions_and_versions_is_kept_as_it_is(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        lines = [_line(1, "deployment/a", 1), _line(7, "deployment/a", 4), _line(8, "deployment/a", 5)]
        store.append(lines)
        assert list(store.read()) == lines
        assert list(store.read("deployment/a", 1)) == lines[1:]
        assert store.last_version("deployment/a") == 5
        store.close()

    # -- where it stands

    def test_it_knows_its_last_position_and_versions(self, tmp_path: Path) -> None:
        store = self._filled(tmp_path)
        assert store.last_position() == 5
        assert (store.last_version("deployment/a"), store.last_version("deployment/zzz")) == (3, 0)
        store.close()

    def test_the_versions_of_all_streams_leave_out_those_of_requests(self, tmp_path: Path) -> None:
        store = self._filled(tmp_path)
        store.append(
            [
                Recorded(6, "request/1", 1, 0.0, RequestCancelled("1", 1, 0.5)),
                Recorded(7, "request/2", 1, 0.0, RequestCancelled("2", 1, 0.5)),
                Recorded(8, "router", 1, 0.0, CooldownEnded()),
            ]
        )
        assert store.versions() == {"deployment/a": 3, "deployment/b": 2, "router": 1}
        assert store.last_version("request/2") == 1
        store.close()

    # -- snapshots

    def test_the_latest_snapshot_of_a_stream_is_kept(self, tmp_path: Path) -> None:
        store = self._filled(tmp_path)
        first = Snapshot("deployment/a", 2, 3, 10.5, {"open": {}, "totals": [1, 2.5, None, True, "ü"]})
        second = Snapshot("deployment/a", 3, 5, 11.5, {"open": {"call-1": {"reserved": 7}}})
        other = Snapshot("deployment/b", 1, 2, 9.0, {})
        for snapshot in (first, other, second):
            store.save_snapshot(snapshot)
        assert store.snapshot("deployment/a") == second
        assert store.snapshot("deployment/b") == other
        assert store.snapshot("deployment/c") is None
        store.close()

    def test_a_snapshot_counts_as_a_position_and_a_version(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        store.save_snapshot(Snapshot("deployment/a", 40, 90, 1.0, {}))
        assert store.last_position() == 90
        assert store.last_version("deployment/a") == 40
        assert store.versions() == {"deployment/a": 40}
        store.close()

    def test_a_snapshot_may_be_ahead_of_the_events_that_were_not_lost(self, tmp_path: Path) -> None:
        store = self._filled(tmp_path)
        store.save_snapshot(Snapshot("deployment/a", 9, 20, 1.0, {}))
        assert store.last_position() == 20
        assert store.last_version("deployment/a") == 9
        assert store.versions() == {"deployment/a": 9, "deployment/b": 2}
        store.close()

    # -- the end, and a new beginning

    def test_closing_twice_is_closing_once(self, tmp_path: Path) -> None:
        store = self._filled(tmp_path)
        store.close()
        store.close()

    def test_a_store_opened_again_goes_on_where_it_ended(self, tmp_path: Path) -> None:
        store = self._filled(tmp_path)
        store.save_snapshot(Snapshot("deployment/a", 3, 5, 1.0, {"n": 1}))
        store.close()
        again = self.open(tmp_path)
        if self.survives_reopening:
            again.append([_line(6, "deployment/a", 4)])
            assert list(again.read()) == [*_TWO_STREAMS, _line(6, "deployment/a", 4)]
            assert again.versions() == {"deployment/a": 4, "deployment/b": 2}
            assert again.snapshot("deployment/a") == Snapshot("deployment/a", 3, 5, 1.0, {"n": 1})
        else:
            assert list(again.read()) == []
        again.close()

    # -- forgetting

    def _forgetful(self, folder: Path, lines: Iterable[Recorded], counted: int) -> ForgetfulStore:
        """One that holds these events, and whose account has counted so far."""
        store = cast("ForgetfulStore", self.open(folder))
        for line in lines:  # each alone: a store may cut between batches only
            store.append([line])
        store.save_snapshot(Snapshot(ACCOUNT, 0, counted, 1.0, {}))
        return store

    @staticmethod
    def _trim(store: ForgetfulStore, cut: int) -> frozenset[str]:
        """Trim to the end; the streams that no snapshot covers."""
        while True:
            step = store.trim(cut, "the spec", 2_000.0)
            if not step.more:
                return step.uncovered

    @staticmethod
    def _positions(store: JournalStore, stream: str | None = None) -> list[int]:
        return [line.position for line in store.read(stream)]

    def test_a_request_that_was_over_goes_and_one_that_was_open_stays_whole(self, tmp_path: Path) -> None:
        if not self.forgets:
            return
        store = self._forgetful(tmp_path, _TWO_REQUESTS, 11)
        self._trim(store, 7)
        assert self._positions(store, "request/over") == []
        assert self._positions(store, "request/open") == [3, 7, 10]
        self._trim(store, 10)
        assert self._positions(store, "request/open") == []
        store.close()

    def test_the_requests_of_a_router_that_died_are_over_when_the_next_one_starts(
        self, tmp_path: Path
    ) -> None:
        if not self.forgets:
            return
        started = Recorded(8, "router", 1, 1_008.0, RouterStarted(None, {}))
        store = self._forgetful(tmp_path, [*_TWO_REQUESTS[:7], started, _request(9, "new", 1)], 9)
        self._trim(store, 7)
        assert self._positions(store, "request/open") == [3, 7]
        self._trim(store, 9)
        assert self._positions(store, "request/open") == []
        assert self._positions(store, "request/new") == [9]
        store.close()

    def test_of_an_owner_what_came_before_its_last_snapshot_goes(self, tmp_path: Path) -> None:
        if not self.forgets:
            return
        store = self._forgetful(tmp_path, _TWO_REQUESTS, 11)
        snapshot = Snapshot("deployment/a", 3, 8, 1_008.0, {"three": 3})
        store.save_snapshot(snapshot)
        self._trim(store, 10)
        assert self._positions(store, "deployment/a") == [11]
        assert store.snapshot("deployment/a") == snapshot
        assert store.last_version("deployment/a") == 4
        store.close()

    def test_a_snapshot_that_is_later_than_the_cut_does_not_count(self, tmp_path: Path) -> None:
        if not self.forgets:
            return
        for position, at in (
            (8, 1_008.0),
            (6, 1_009.0),
        ):  # a snapshot forgets what was over when it was taken
            folder = tmp_path / str(position)
            folder.mkdir()
            store = self._forgetful(folder, _TWO_REQUESTS, 11)
            store.save_snapshot(Snapshot("deployment/a", 3, position, at, {}))
            self._trim(store, 7)
            assert self._positions(store, "deployment/a") == [2, 6, 8, 11]
            store.close()

    def test_what_deployments_did_while_a_request_is_open_stays_with_it(self, tmp_path: Path) -> None:
        if not self.forgets:
            return
        store = self._forgetful(tmp_path, _TWO_REQUESTS, 11)
        store.save_snapshot(Snapshot("deployment/a", 2, 6, 1_006.0, {}))
        self._trim(store, 7)
        assert self._positions(store, "deployment/a") == [2, 6, 8, 11]
        self._trim(store, 10)
        assert self._positions(store, "deployment/a") == [8, 11]
        store.close()

    def test_a_stream_without_a_snapshot_stays_and_is_named(self, tmp_path: Path) -> None:
        if not self.forgets:
            return
        store = self._forgetful(tmp_path, _TWO_REQUESTS, 11)
        store.save_snapshot(Snapshot("deployment/a", 4, 11, 1_011.0, {}))
        assert self._trim(store, 11) == {"deployment/b"}
        assert self._positions(store) == [4, 9]
        assert store.versions() == {"deployment/a": 4, "deployment/b": 2, ACCOUNT: 0}
        store.close()

    def test_nothing_goes_that_the_account_has_not_counted(self, tmp_path: Path) -> None:
        if not self.forgets:
            return
        store = self._forgetful(tmp_path, _TWO_REQUESTS, 4)
        self._trim(store, 11)
        assert self._positions(store) == list(range(1, 12))
        store.save_snapshot(Snapshot(ACCOUNT, 0, 5, 1.0, {}))
        self._trim(store, 11)
        assert self._positions(store, "request/over") == []
        assert store.trimmed().position <= 5
        store.close()

    def test_what_is_gone_is_told(self, tmp_path: Path) -> None:
        if not self.forgets:
            return
        store = self._forgetful(tmp_path, _TWO_REQUESTS, 11)
        assert store.trimmed().events == 0
        self._trim(store, 7)
        told = store.trimmed()
        assert (told.position, told.at, told.events) == (7, 1_007.0, 2)
        assert (told.on, told.reason) == (2_000.0, "the spec")
        self._trim(store, 10)
        assert (store.trimmed().position, store.trimmed().events) == (10, 5)
        self._trim(store, 3)
        assert store.trimmed().position == 10
        store.close()

    def test_positions_go_on_when_everything_is_gone(self, tmp_path: Path) -> None:
        if not self.forgets:
            return
        lines = [_request(1, "x", 1), _request(2, "x", 2, ends=True)]
        store = self._forgetful(tmp_path, lines, 2)
        self._trim(store, 2)
        assert list(store.read()) == []
        assert store.last_position() == 2
        store.append([_line(3, "deployment/a", 1)])
        assert self._positions(store) == [3]
        store.close()

    def test_what_is_held_is_known_before_it_is_cut(self, tmp_path: Path) -> None:
        if not self.forgets:
            return
        store = self._forgetful(tmp_path, _TWO_REQUESTS, 9)
        held = store.holdings()
        assert (held.last, held.first_at, held.counted) == (11, 1_001.0, 9)
        assert [store.last_before(at) for at in (0.0, 1_000.9, 1_001.0, 1_006.5, 9e9)] == [0, 0, 1, 6, 11]
        store.close()

    def test_events_may_be_appended_between_the_steps_of_a_trim(self, tmp_path: Path) -> None:
        if not self.forgets:
            return
        store = self._forgetful(tmp_path, _TWO_REQUESTS, 11)
        position = 11
        while True:
            position += 1
            more = store.trim(10, "the spec", 2_000.0).more
            store.append([_line(position, "deployment/a", position - 7)])
            if not more:
                break
        assert self._positions(store, "deployment/a")[-1] == position == store.last_position()
        assert self._positions(store, "request/open") == []
        store.close()

    def test_a_trim_that_was_cut_short_is_brought_to_its_end_by_the_next(self, tmp_path: Path) -> None:
        if not (self.forgets and self.survives_reopening):
            return
        for steps in range(1, 30):
            folder = tmp_path / str(steps)
            folder.mkdir()
            store = self._forgetful(folder, _TWO_REQUESTS, 11)
            over = not all(store.trim(10, "the spec", 2_000.0).more for _ in range(steps))
            store.close()
            store = cast("ForgetfulStore", self.open(folder))
            self._trim(store, 10)
            self._trim(store, 11)
            assert [line for line in store.read() if line.stream.startswith("request/")] == []
            assert store.trimmed().events == 5
            store.close()
            if over:
                return
        msg = "a trim of eleven events takes a bounded number of steps"
        raise AssertionError(msg)
