"""Tests for :mod:`twisted_fcgi.service.live`."""

from __future__ import annotations

import errno
import io
import resource
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from twisted.application.service import Application, IService, Service
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import ILogObserver
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi import config
from twisted_fcgi.service.live import (
    BACKLOG,
    GRACE,
    CannotStart,
    FastCGIService,
    ListenerService,
    allowManyConnections,
)


class OccupiedReactor(MemoryReactorClock):
    """Port 81 is in use."""

    def listenTCP(self, port: int, *rest: Any, **more: Any) -> Any:
        if port == 81:
            error = OSError(errno.EADDRINUSE, "Address already in use")
            raise CannotListenError("", port, error)
        return super().listenTCP(port, *rest, **more)


class ListenerServiceTests(SynchronousTestCase):
    """One endpoint."""

    def test_listens(self) -> None:
        """It listens with a backlog as long as httpd's, unless the endpoint names another."""
        reactor = MemoryReactorClock()
        factory = Factory()
        ListenerService("tcp:80:interface=127.0.0.1", factory, reactor).startService()
        ListenerService("tcp:81:backlog=7", factory, reactor).startService()
        self.assertEqual(
            [(80, factory, BACKLOG, "127.0.0.1"), (81, factory, 7, "")], reactor.tcpServers
        )

    def test_unknownEndpoint(self) -> None:
        """A description that is none is an error before anything starts."""
        with self.assertRaises(ValueError):
            ListenerService("nonsense:80", Factory(), MemoryReactorClock())

    def test_cannotListen(self) -> None:
        """When the port is taken, starting fails with one line that names it and the reason."""
        service = ListenerService("tcp:81", Factory(), OccupiedReactor())
        with patch("sys.__stderr__", io.StringIO()) as err:
            error = self.assertRaises(CannotStart, service.privilegedStartService)
        self.assertEqual("can't listen at tcp:81: Address already in use", str(error))
        self.assertEqual(f"twistd fcgiproxy: {error}\n", err.getvalue())
        self.assertEqual(1, error.code)

    def test_stops(self) -> None:
        """It stops once, and may be stopped without having listened."""
        service = ListenerService("tcp:80", Factory(), MemoryReactorClock())
        service.startService()
        self.assertIsNone(self.successResultOf(service.stopService()))
        self.assertIsNone(self.successResultOf(service.stopService()))


    def test_stopsBeforeItListens(self) -> None:
        """An endpoint that is still coming about when the service stops is given up in silence."""
        service = ListenerService("tcp:80", Factory(), MemoryReactorClock())
        listening: Deferred[IListeningPort] = Deferred()
        with patch.object(service, "_endpoint") as endpoint:
            endpoint.listen.return_value = listening
            service.startService()
        self.assertIsNone(self.successResultOf(service.stopService()))

    def test_failsLate(self) -> None:
        """An endpoint that only finds out later that it can't listen ends the process."""
        reactor = MemoryReactorClock()
        service = ListenerService("tcp:80", Factory(), reactor)
        listening: Deferred[IListeningPort] = Deferred()
        with patch.object(service, "_endpoint") as endpoint:
            endpoint.listen.return_value = listening
            service.startService()
        with patch("sys.__stderr__", io.StringIO()) as err:
            listening.errback(OSError(errno.EACCES, "Permission denied"))
        self.assertEqual(
            "twistd fcgiproxy: can't listen at tcp:80: Permission denied\n", err.getvalue()
        )
        self.assertTrue(reactor.hasStopped)


class ServiceTests(SynchronousTestCase):
    """The service as a whole."""

    def setUp(self) -> None:
        self.reactor = OccupiedReactor()

    def service(self, text: str, *applications: IService) -> FastCGIService:
        return FastCGIService(config.loads(text), self.reactor, applications)

    def connected(self, service: FastCGIService) -> StringTransport:
        """A client's connection."""
        channel = service.factory.buildProtocol(None)
        transport = StringTransport()
        channel.makeConnection(transport)
        self.addCleanup(lambda: service.factory.channels.discard(channel))
        return transport

    def test_listensEverywhere(self) -> None:
        """There is a listener for each Listen, and all make connections of one factory."""
        service = self.service("Listen 127.0.0.1:82\nListen 83")
        service.privilegedStartService()
        self.assertEqual(
            [(82, service.factory), (83, service.factory)],
            [server[:2] for server in self.reactor.tcpServers],
        )

    def test_allOrNothing(self) -> None:
        """One port that is taken keeps the service from starting."""
        service = self.service("Listen 80\nListen 81")
        with patch("sys.__stderr__", io.StringIO()):
            self.assertRaises(CannotStart, service.privilegedStartService)

    def test_certificates(self) -> None:
        """Certificates for members that can't be used keep the service from starting."""
        with TemporaryDirectory() as folder:
            path = Path(folder, "ca.pem")
            path.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n")
            service = self.service(
                f"Listen 80\nSSLProxyCACertificateFile {path}\nProxyPass / fcgis://app.example:9001/"
            )
            with patch("sys.__stderr__", io.StringIO()) as said:
                self.assertRaises(CannotStart, service.privilegedStartService)
            self.assertIn(str(path), said.getvalue())
            self.assertEqual([], self.reactor.tcpServers)

    def test_errorLog(self) -> None:
        """With an ErrorLog, an application's log goes there and not to twistd's own."""
        with TemporaryDirectory() as folder:
            path = Path(folder, "error.log")
            application: Any = Application("test")
            self.service(f"ErrorLog {path}\nLogLevel info").setServiceParent(application)
            observer = application.getComponent(ILogObserver)
            observer({"log_format": "hello"})
            self.assertIn("hello", path.read_text())

    def test_noErrorLog(self) -> None:
        """Without one, twistd's log stays as it is."""
        application: Any = Application("test")
        self.service("Listen 80").setServiceParent(application)
        self.assertIsNone(application.getComponent(ILogObserver, None))

    def test_errorLogThatCannotBeOpened(self) -> None:
        """An ErrorLog that can't be opened is an error before anything starts."""
        with self.assertRaises(OSError):
            self.service("ErrorLog /")

    def test_applicationsFirst(self) -> None:
        """Applications of our own run before anybody can ask, and until nobody does any more."""
        order: list[str] = []

        class Application(Service):
            def privilegedStartService(inner) -> None:
                order.append(f"start, {len(self.reactor.tcpServers)} listeners")

            def stopService(inner) -> None:
                order.append("stop")

        service = self.service("Listen 80", Application())
        service.privilegedStartService()
        service.startService()
        self.connected(service)
        stopping = service.stopService()
        self.assertEqual(["start, 0 listeners"], order)
        self.reactor.advance(GRACE)
        self.successResultOf(stopping)
        self.assertEqual(["start, 0 listeners", "stop"], order)

    def test_stopsWhenNobodyIsThere(self) -> None:
        """Without clients, stopping takes no time, and leaves no timer behind."""
        service = self.service("Listen 80")
        service.startService()
        self.successResultOf(service.stopService())
        self.assertEqual([], self.reactor.getDelayedCalls())

    def test_grace(self) -> None:
        """A client that does not go is cut when its time is over."""
        service = self.service("Listen 80")
        service.startService()
        transport = self.connected(service)
        channel = next(iter(service.factory.channels))
        channel.dataReceived(b"GET / HTTP/1.1\r\nHost: ")
        stopping = service.stopService()
        self.reactor.advance(GRACE - 0.1)
        self.assertNoResult(stopping)
        self.assertFalse(transport.disconnecting)
        self.reactor.advance(0.1)
        self.assertTrue(transport.disconnected)
        self.successResultOf(stopping)


class AllowManyConnectionsTests(SynchronousTestCase):
    """Open files."""

    def limitAfter(self, soft: int, hard: int) -> object:
        getrlimit = patch.object(resource, "getrlimit", lambda _: (soft, hard))
        with getrlimit, patch.object(resource, "setrlimit") as setrlimit:
            allowManyConnections()
        return setrlimit.call_args and setrlimit.call_args.args[1]

    def test_raised(self) -> None:
        """The soft limit becomes the hard one, or as many as are of use."""
        endless = resource.RLIM_INFINITY
        self.assertEqual((4096, 4096), self.limitAfter(1024, 4096))
        self.assertEqual((1048576, endless), self.limitAfter(1024, endless))

    def test_kept(self) -> None:
        """It is never lowered."""
        self.assertIsNone(self.limitAfter(4096, 4096))
        self.assertIsNone(self.limitAfter(resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self.assertIsNone(self.limitAfter(2000000, 3000000))
