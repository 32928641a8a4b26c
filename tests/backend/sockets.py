"""What sockets are given in tests: a reactor that a test drives, a protocol that records."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["PollingReactor", "Reactor", "Recorder"]


class Reactor(Clock):
    """Who is to be asked for reading and writing; and each asks when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[Any] = set()
        self.writers: set[Any] = set()
        self.addReader = self.readers.add
        self.addWriter = self.writers.add
        self.removeReader = self.readers.discard
        self.removeWriter = self.writers.discard

    def turn(self) -> None:
        """One turn of the reactor."""
        for one, ask, asking in [(r, "doRead", self.readers) for r in self.readers] + [
            (w, "doWrite", self.writers) for w in self.writers
        ]:
            why = getattr(one, ask)() if one in asking else None
            if why is not None:
                self.removeReader(one)
                self.removeWriter(one)
                one.connectionLost(Failure(why))


@implementer(IReactorFDSet)
class PollingReactor(Reactor):
    """One that says that it can be asked to: there may be a hub in it."""


class Recorder(Protocol):
    """Records what it is told."""

    def __init__(self) -> None:
        self.data = b""
        self.reason: Failure | None = None
        self.answer: Any = None
        self.takesMuch = False

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        if self.answer is not None:
            self.answer()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.reason = reason
