"""Tests for :mod:`twisted_fcgi.wire.events`."""

from __future__ import annotations

from itertools import product
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.wire import EndRequest, Event, Stderr, Stdout, StdoutEnded, joined
from twisted_fcgi.wire.events import PARTS

_events = st.lists(
    st.one_of(
        st.builds(Stdout, st.integers(1, 2), st.binary(min_size=1, max_size=3)),
        st.builds(Stderr, st.integers(1, 2), st.binary(min_size=1, max_size=3)),
        st.builds(StdoutEnded, st.integers(1, 2)),
    )
)


class JoinedTests(SynchronousTestCase):
    """Tests for :func:`joined`."""

    def test_joined(self) -> None:
        """Parts that stand side by side become one; what stands between keeps its place."""
        end = EndRequest(1, 0, 0)
        events: list[Event] = [
            Stdout(1, b"a"), Stdout(1, b"b"), Stderr(1, b"!"), Stdout(1, b"c"), Stdout(2, b"x"),
            Stdout(1, b"d"), StdoutEnded(1), end,
        ]  # fmt: skip
        expected: list[Event] = [
            Stdout(1, b"ab"), Stderr(1, b"!"), Stdout(1, b"c"), Stdout(2, b"x"), Stdout(1, b"d"),
            StdoutEnded(1), end,
        ]  # fmt: skip
        self.assertEqual(joined(events), expected)

    @given(_events)
    def test_nothingElseChanges(self, events: list[Event]) -> None:
        """Each stream stays what it was, and so does everything else."""

        def output(events: list[Any], kind: Any, requestId: int) -> bytes:
            return b"".join(
                event.data for event in events
                if type(event) is kind and event.requestId == requestId
            )  # fmt: skip

        after = joined(events)
        for kind, requestId in product((Stdout, Stderr), (1, 2)):
            self.assertEqual(output(after, kind, requestId), output(events, kind, requestId))
        others = [event for event in events if type(event) not in PARTS]
        self.assertEqual([event for event in after if type(event) not in PARTS], others)
