"""A bounded part of what the fuzz targets can do, the same each time."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from fuzz import client, pairs
from twisted_fcgi.wire import Violation

__all__ = ["FuzzTests"]

COUNT = 2000


class FuzzTests(SynchronousTestCase):
    """Each target on generated inputs."""

    def test_client(self) -> None:
        """The invariant of ``fuzz/client.py`` holds."""
        good = 0
        for number in range(COUNT):
            data = client.generate(Random(f"test/{number}"))
            client.target(data)
            if len(data) > 2:
                events = client.opened(data[0] % 4).receive(data[2:])
                good += len(events) > 2 and not isinstance(events[-1], Violation)
        self.assertGreater(good, COUNT // 50, "inputs that get far are among them")

    def test_pairs(self) -> None:
        """The invariant of ``fuzz/pairs.py`` holds."""
        for number in range(COUNT):
            pairs.target(pairs.generate(Random(f"test/{number}")))
