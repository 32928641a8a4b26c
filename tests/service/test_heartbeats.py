"""Tests for :mod:`twisted_fcgi.service.heartbeats`."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.balance import Heartbeat
from twisted_fcgi.config import loads
from twisted_fcgi.service.heartbeats import (
    COMPLAIN_AGAIN,
    LOOK_AGAIN,
    MAX_DATAGRAM,
    HeartbeatService,
    readHeartbeat,
    readStorage,
)
from twisted_fcgi.settings import HeartbeatSettings
from twisted_fcgi.web.gateway import Gateway

__all__ = ["ReadingTests", "ServiceTests"]


class ReadingTests(SynchronousTestCase):
    """What is heard."""

    def test_datagram(self) -> None:
        """What mod_heartbeat sends is understood, whatever else is said in it."""
        for data in (
            b"v=1&ready=75&busy=3",
            b"busy=3&x&ready=75&port=80&v=1",
            b"v&ready=75&busy=%33",
        ):
            self.assertEqual(Heartbeat(3, 75, 9.0), readHeartbeat(data, 9.0), data)

    def test_noDatagram(self) -> None:
        """What lacks something, or has numbers that are none or too large, is no heartbeat."""
        for data in (
            *(b"", b"v=1", b"v=1&ready=75", b"ready=75&busy=3", b"v=1&ready=x&busy=3"),
            *(b"v=1&ready=-1&busy=3", b"v=1&ready=&busy=3", "v=1&ready=٣&busy=3".encode()),
            *(b"v=1&ready=9999999999&busy=0", b"v=1&ready=1&busy=1&x=" + b"y" * MAX_DATAGRAM),
        ):
            self.assertIs(None, readHeartbeat(data, 9.0), data)

    def test_storage(self) -> None:
        """What mod_heartmonitor writes is understood; lines that say nothing are passed over."""
        text = (
            "192.0.2.1 &ready=75&busy=3&lastseen=2&port=80\n# comment\nnonsense\n"
            "192.0.2.2 &ready=1&busy=0&lastseen=-1\n2001:db8::1 &ready=8&busy=0\n192.0.2.3 &ready="
        )
        self.assertEqual(
            [("192.0.2.1", Heartbeat(3, 75, 98.0)), ("2001:db8::1", Heartbeat(0, 8, 100.0))],
            readStorage(text, 100.0),
        )


class Reactor(Clock):
    """
    Listens to nobody.

    :ivar listening: what it was asked to listen at.
    """

    def __init__(self) -> None:
        super().__init__()
        self.listening: list[tuple[Any, ...]] = []
        self.protocol: Any = None
        self.joined: list[str] = []
        self.joining: Deferred[None] = succeed(None)

    def listenUDP(self, port: int, protocol: Any, interface: str = "") -> Any:
        if port == 1:
            raise CannotListenError(interface, port, OSError("in use"))
        self.listening.append((interface, port))
        self.protocol = protocol
        protocol.makeConnection(self)
        return self

    def listenMulticast(
        self, port: int, protocol: Any, interface: str, listenMultiple: bool
    ) -> Any:
        return self.listenUDP(port, protocol, interface)

    def joinGroup(self, group: str) -> Deferred[None]:
        self.joined.append(group)
        return self.joining

    def stopListening(self) -> Deferred[None]:
        self.listening.clear()
        return succeed(None)


class ServiceTests(SynchronousTestCase):
    """What is done with it."""

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.heard: list[tuple[str, Heartbeat]] = []
        self.messages: list[str] = []
        observer: Any = self.logged
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def logged(self, event: Any) -> None:
        self.messages.append(str(event.get("reason", event.get("error"))))

    def service(self, **settings: Any) -> HeartbeatService:
        """A service that was started."""
        service = HeartbeatService(
            HeartbeatSettings(**settings),
            lambda host, beat: self.heard.append((host, beat)),
            self.reactor,
            lambda: self.reactor.seconds() + 1e9,
        )
        service.startService()
        return service

    def test_address(self) -> None:
        """Datagrams to an address are handed on, until the service stops."""
        service = self.service(listen=("192.0.2.9", 27999))
        self.assertEqual(
            ([("192.0.2.9", 27999)], []), (self.reactor.listening, self.reactor.joined)
        )
        self.reactor.advance(3.0)
        self.reactor.protocol.datagramReceived(b"v=1&ready=75&busy=3", ("192.0.2.1", 5))
        self.assertEqual([("192.0.2.1", Heartbeat(3, 75, 3.0))], self.heard)
        self.successResultOf(service.stopService())
        self.assertEqual([], self.reactor.listening)

    def test_group(self) -> None:
        """A multicast group is joined; that it can't be is logged."""
        self.service(listen=("239.0.0.1", 27999))
        self.assertEqual(["239.0.0.1"], self.reactor.joined)
        self.reactor.joining = fail(OSError("no such device"))
        self.service(listen=("239.0.0.1", 27999))
        self.assertIn("no such device", self.messages[-1])

    def test_cannotListen(self) -> None:
        """That nothing can be heard is logged, and stops nothing else."""
        self.service(listen=("192.0.2.9", 1))
        self.assertIn("in use", self.messages[-1])

    def test_nonsense(self) -> None:
        """What is no heartbeat is dropped, which is logged from time to time."""
        self.service(listen=("192.0.2.9", 27999))
        for _ in range(5):
            self.reactor.protocol.datagramReceived(b"hello", ("192.0.2.1", 5))
        self.assertEqual(([], 1), (self.heard, len(self.messages)))
        self.assertIn("what 192.0.2.1 sent is no heartbeat: 'hello'", self.messages[0])
        self.reactor.advance(COMPLAIN_AGAIN)
        self.reactor.protocol.datagramReceived(b"hello", ("192.0.2.1", 5))
        self.assertEqual(2, len(self.messages))

    def test_file(self) -> None:
        """A file is read when it has changed, and what it says is as old as it is."""
        with TemporaryDirectory() as directory:
            path = Path(directory, "hb.dat")
            service = self.service(storage=str(path))
            self.assertIn("No such file", self.messages[-1])
            path.write_text("192.0.2.1 &ready=75&busy=3&lastseen=2&port=80\n")
            os.utime(path, (1e9 - 5, 1e9 - 5))
            self.reactor.pump([LOOK_AGAIN] * 3)
            self.assertEqual([("192.0.2.1", Heartbeat(3, 75, -7.0))], self.heard)
            path.write_text("192.0.2.1 &ready=7&busy=3&lastseen=0&port=80\n")
            os.utime(path, (1e9 + 3, 1e9 + 3))
            self.reactor.advance(LOOK_AGAIN)
            self.assertEqual(("192.0.2.1", Heartbeat(3, 7, 3.0)), self.heard[-1])
            service.stopService()
        self.assertEqual([], self.reactor.getDelayedCalls())

    def test_balancers(self) -> None:
        """A gateway's balancers learn of their members' heartbeats."""
        gateway = Gateway(
            loads(
                '<Proxy "balancer://b">\nBalancerMember "fcgi://192.0.2.1"\n'
                'BalancerMember "fcgi://192.0.2.2"\nProxySet lbmethod=heartbeat\n</Proxy>\n'
            ),
            self.reactor,
        )
        gateway.heard("192.0.2.2", Heartbeat(1, 5, 0.0))
        balancer = gateway.balancers[0].balancer
        elected = {balancer.elect(1.0) for _ in range(20)}
        self.assertEqual({balancer.members[1]}, elected)
