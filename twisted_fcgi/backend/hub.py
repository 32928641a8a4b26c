"""
Many sockets, one event of the reactor.

A reactor calls for each socket by itself, with a context for the log and a look at
whether it is still there, and whatever is written goes out between two such calls.
With some hundred clients that are busy at a time that is dear in two ways: the calls,
and the wake-ups: who is written to has gone to sleep again before it is written to
the next time.

A :class:`Hub` is a set of sockets of its own inside the reactor's (an epoll in an
epoll).  When some are ready the reactor calls it once; it lets up to :data:`BATCH` of
them read, and only then is sent what they wrote in the meantime
(:mod:`twisted_fcgi.backend.writing` collects it).  Measured: a third of what a small
request costs.

Where the system has no epoll, :func:`hubOf` gives the reactor itself.
"""

from __future__ import annotations

import select
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableDescriptor, IReactorFDSet, IReadDescriptor
from twisted.internet.main import CONNECTION_LOST
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_fcgi.backend.sockets import Epoll

__all__ = ["BATCH", "Collecting", "Hub", "Turn", "hubOf", "turn"]

log = Logger()

#: Sockets that are looked after in one turn of the reactor; who else waits for the
#: reactor, waits for these.
BATCH = 64

#: Some times what is read at once of a large body.  glibc gives what is freed back to the
#: system, and gets it again page by page with the next read, which costs as much as to
#: copy it; unless a block of that size has been freed before (M_MMAP_THRESHOLD in mallopt(3)).
KEPT = 1 << 20

_IN: int = getattr(select, "EPOLLIN", 0)
_OUT: int = getattr(select, "EPOLLOUT", 0)


class Collecting(Protocol):
    """Who collects what it is to send."""

    def sendCollected(self) -> None:
        """Send it."""


class Turn:
    """
    The time in which sockets are read, and what is written is collected.

    :ivar collected: who has something to send at its end; ``None`` outside of such a time.
    """

    __slots__ = ("collected",)

    def __init__(self) -> None:
        self.collected: list[Collecting] | None = None

    def begin(self) -> list[Collecting]:
        """Collect from now on."""
        collected = self.collected = []
        return collected

    def end(self, collected: list[Collecting]) -> None:
        """Send what was collected."""
        self.collected = None
        for one in collected:
            try:
                one.sendCollected()
            except Exception:
                log.failure("while what was written was sent")


#: Of the process, which has one thread that reads.
turn = Turn()


@implementer(IReadDescriptor)
class Hub:
    """
    Sockets that a reactor looks after as one.

    To a transport it is the reactor.  It is only known to the real one while it has
    sockets.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._epoll: Epoll = Epoll()
        #: Of each socket: its number, which it no longer knows once it is closed, and what
        #: it waits for.
        self._known: dict[Any, tuple[int, int]] = {}
        self._sockets: dict[int, Any] = {}
        #: Sockets that came while others were looked after: what is told of their numbers
        #: is about those that had them before.
        self._young: set[int] = set()
        #: What there is to do in this turn: numbers and events.
        self._ready: list[tuple[int, int]] = []
        self.callLater = reactor.callLater
        self.seconds = reactor.seconds
        bytes(KEPT)

    def __getattr__(self, name: str) -> Any:
        """Who asks a transport for its reactor, may want more of it."""
        return getattr(self._reactor, name)

    # What a transport asks of its reactor.

    def addReader(self, reader: Any) -> None:
        """See :meth:`twisted.internet.interfaces.IReactorFDSet.addReader`."""
        self._add(reader, _IN)

    def addWriter(self, writer: Any) -> None:
        """See :meth:`twisted.internet.interfaces.IReactorFDSet.addWriter`."""
        self._add(writer, _OUT)

    def removeReader(self, reader: Any) -> None:
        """See :meth:`twisted.internet.interfaces.IReactorFDSet.removeReader`."""
        if reader in self._known:
            self._remove(reader, _IN)

    def removeWriter(self, writer: Any) -> None:
        """See :meth:`twisted.internet.interfaces.IReactorFDSet.removeWriter`."""
        if writer in self._known:
            self._remove(writer, _OUT)

    def _add(self, socket: Any, interest: int) -> None:
        number, known = self._known.get(socket, _NOTHING)
        if known & interest:
            return
        interest |= known
        if known:
            self._epoll.modify(number, interest)
        else:
            if not self._known:
                self._reactor.addReader(self)
            number = socket.fileno()
            self._epoll.register(number, interest)
            self._sockets[number] = socket
            self._young.add(number)
        self._known[socket] = number, interest

    def _remove(self, socket: Any, interest: int) -> None:
        number, known = self._known[socket]
        rest = known & ~interest
        if rest == known:
            return
        if rest:
            self._epoll.modify(number, rest)
            self._known[socket] = number, rest
            return
        del self._known[socket]
        if self._sockets.get(number) is socket:
            del self._sockets[number]
            try:
                self._epoll.unregister(number)
            except OSError:
                pass  # it was closed first
        if not self._known:
            self._reactor.removeReader(self)

    # What the reactor asks.

    def fileno(self) -> int:
        """See :meth:`twisted.internet.interfaces.IFileDescriptor.fileno`."""
        return self._epoll.fileno()

    def doRead(self) -> None:
        """Look after the sockets that are ready."""
        sockets = self._sockets
        ready = self._ready = self._epoll.poll(0, BATCH)
        self._young.clear()
        collected = turn.begin()
        try:
            for number, event in ready:
                socket = sockets.get(number)
                if socket is None or number in self._young:
                    continue
                why = None
                try:
                    if event & _IN:
                        why = socket.doRead()
                        if event & _OUT and not why and socket in self._known:
                            why = socket.doWrite()
                    elif event & _OUT:
                        why = socket.doWrite()
                    else:
                        why = CONNECTION_LOST
                except BaseException as error:
                    log.failure("while {socket!r} was looked after", socket=socket)
                    why = error
                if why:
                    try:
                        self._ended(socket, why, bool(event & _IN))
                    except Exception:
                        # Or the reactor would take it for the end of the hub.
                        log.failure("while {socket!r} was told of its end", socket=socket)
        finally:
            turn.end(collected)

    def readNow(self, socket: Any) -> None:
        """Let a socket that came in this turn read in it: there may be something already."""
        number, interest = self._known.get(socket, _NOTHING)
        if interest & _IN:
            self._young.discard(number)
            self._ready.append((number, _IN))

    def _ended(self, socket: Any, why: BaseException, reading: bool) -> None:
        """Tell a socket that it is over, or its peer's half of it."""
        done = isinstance(why, ConnectionDone)
        if reading and done and IHalfCloseableDescriptor.providedBy(socket):
            self.removeReader(socket)
            socket.readConnectionLost(_DONE)
        else:
            if socket in self._known:
                self._remove(socket, _IN | _OUT)
            socket.connectionLost(_DONE if done else Failure(why))

    def connectionLost(self, reason: Failure) -> None:
        """The reactor ends, and with it all sockets."""
        for socket in list(self._sockets.values()):
            socket.connectionLost(reason)

    def logPrefix(self) -> str:
        """See :meth:`twisted.internet.interfaces.ILoggingContext.logPrefix`."""
        return "hub"


_DONE = Failure(ConnectionDone())

#: Of a socket that is not in a hub.
_NOTHING = -1, 0

_hubs: WeakKeyDictionary[Any, Hub] = WeakKeyDictionary()


def hubOf(reactor: Any) -> Any:
    """
    The hub of a reactor, or the reactor itself where there can be none.

    :param reactor: of any kind.
    """
    if not _IN or not IReactorFDSet.providedBy(reactor):
        return reactor
    hub = _hubs.get(reactor)
    if hub is None:
        hub = _hubs[reactor] = Hub(reactor)
    return hub
