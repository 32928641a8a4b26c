"""
Settings to a running service: listeners, the gateway behind them, the log.

Starting is all or nothing: when one address can't be listened at, the process
ends with the reason.  Stopping is graceful, within :data:`GRACE` seconds: no new
clients, responses that were begun are finished, then connections are closed.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast

from twisted.application.service import IService, IServiceCollection, MultiService, Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred, DeferredList, TimeoutError
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.failure import Failure

from twisted_fcgi import versionText
from twisted_fcgi.backend.accepting import acceptEagerly
from twisted_fcgi.errors import PeerRefused
from twisted_fcgi.service.errorlog import ErrorLog
from twisted_fcgi.service.process import HeededSignals
from twisted_fcgi.settings import Settings
from twisted_fcgi.web.factory import HTTPFactory
from twisted_fcgi.web.gateway import Gateway

__all__ = ["GRACE", "CannotStart", "FastCGIService", "ListenerService", "allowManyConnections"]

#: Seconds that running requests are given when the service stops.
GRACE = 10.0

#: Connections that wait to be accepted; the kernel's own limit may be lower.  httpd's
#: ListenBacklog of 511 lets a thousand clients that come at once wait a second.
BACKLOG = 4096

#: Open files that are asked for, if the limit for the process may be raised so far; a
#: request takes two.
FILES = 1048576

log = Logger()


class CannotStart(SystemExit, Exception):
    """
    The service can't be started; its text says why.

    Raised while twistd starts: as an ``Exception`` it is reported to the process
    that waits for a daemon, and removes the pid file; as a ``SystemExit`` it ends a
    foreground process with status 1 and without a traceback.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.code = 1


def allowManyConnections() -> None:
    """Raise the soft limit of open files to the hard one, as far as is ever needed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _withBacklog(description: str) -> str:
    known = description.startswith(("tcp:", "tcp6:", "ssl:", "unix:"))
    if not known or ":backlog=" in description:
        return description
    return f"{description}:backlog={BACKLOG}"


class ListenerService(Service):
    """
    Listens at one endpoint.

    :param description: a Twisted server endpoint description.
    :param factory: of the protocols.
    :raises ValueError: when the description is none.
    """

    def __init__(self, description: str, factory: IProtocolFactory, reactor: Any) -> None:
        self.description = description
        self._endpoint = serverFromString(reactor, _withBacklog(description))
        self._factory = factory
        self._reactor = reactor
        self._listening: Deferred[IListeningPort | None] | None = None
        self._starting: Failure | None = None

    def privilegedStartService(self) -> None:
        """
        Listen; before privileges are given up.

        :raises CannotStart: with the reason.
        """
        self._listening = self._endpoint.listen(self._factory)
        self._listening.addCallbacks(self._listens, self._failed)
        failure, self._starting = self._starting, None
        if failure is not None:
            raise CannotStart(self._reasonOf(failure))

    def startService(self) -> None:
        super().startService()
        if self._listening is None:
            self.privilegedStartService()

    def _listens(self, port: IListeningPort) -> IListeningPort:
        acceptEagerly(port)
        log.info("Listening at {url}", url=self._urlOf(port.getHost()))
        return port

    def _urlOf(self, address: Any) -> str:
        """What to open, where that can be said."""
        if not isinstance(address, IPv4Address | IPv6Address):
            return str(getattr(address, "name", address))
        scheme = "https" if self.description.startswith("ssl:") else "http"
        host = f"[{address.host}]" if isinstance(address, IPv6Address) else address.host
        return f"{scheme}://{host}:{address.port}/"

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return  # stopped before it came about
        self._starting = failure
        reason = self._reasonOf(failure)
        log.critical("{reason}", reason=reason)
        # twistd has made a log of the other one.
        print(f"twistd fcgiproxy: {reason}", file=sys.__stderr__)
        if self.running:
            # An endpoint that only now finds out.
            self._reactor.stop()

    def _reasonOf(self, failure: Failure) -> str:
        error = failure.value
        if isinstance(error, CannotListenError):
            error = error.socketError
        reason = getattr(error, "strerror", None) or str(error)
        return f"can't listen at {self.description}: {reason}"

    def stopService(self) -> Deferred[None]:
        """Listen no more; connections stay."""
        super().stopService()
        listening, self._listening = self._listening, None
        return Deferred.fromCoroutine(self._end(listening))

    async def _end(self, listening: Deferred[IListeningPort | None] | None) -> None:
        if listening is not None:
            listening.cancel()
            port = await listening
            if port is not None:
                stopping = port.stopListening()
                if stopping is not None:
                    await stopping


class FastCGIService(MultiService):
    """
    All that a configuration asks for.

    :param settings: the configuration.
    :param applications: services of our own that requests may go to: started before
        and stopped after everything else.
    :param notices: what else is to be said in the log at the start.
    :raises OSError: when the ErrorLog can't be opened.
    """

    def __init__(
        self,
        settings: Settings,
        reactor: Any,
        applications: Iterable[IService] = (),
        notices: Iterable[str] = (),
    ) -> None:
        super().__init__()
        self._settings = settings
        self._reactor = reactor
        self._notices = tuple(notices)
        self._signals = HeededSignals(reactor)
        self._errorLog = (
            ErrorLog(settings.errorLog, settings.logLevel) if settings.errorLog else None
        )
        self.gateway = Gateway(settings, reactor)
        main = settings.main
        limits = main.limits if main.keepAlive else replace(main.limits, keepAliveTimeout=0.0)
        if settings.heartbeats is not None:
            from twisted_fcgi.service.heartbeats import HeartbeatService

            heartbeats = HeartbeatService(settings.heartbeats, self.gateway.heard, reactor)
            heartbeats.setServiceParent(self)
        self.factory = HTTPFactory(self.gateway, limits, reactor, clientTimeout=main.timeout)
        for application in applications:
            application.setServiceParent(self)
        self.listeners = [
            ListenerService(listener.endpoint, self.factory, reactor)
            for listener in settings.listeners
        ]
        for listener in self.listeners:
            listener.setServiceParent(self)

    def setServiceParent(self, parent: IServiceCollection) -> None:
        """Become a service of an application, whose log goes to ErrorLog if there is one."""
        if self._errorLog is not None and isinstance(parent, Componentized):
            # The place where twistd looks for another log than its own.
            cast(Any, parent).setComponent(ILogObserver, self._errorLog)
        super().setServiceParent(parent)

    def privilegedStartService(self) -> None:
        log.info("twisted_fcgi {version}", version=versionText())
        for notice in (*self._settings.notices, *self._notices):
            log.warn("{notice}", notice=notice)
        allowManyConnections()
        self._checkTLS()
        super().privilegedStartService()

    def startService(self) -> None:
        super().startService()
        self._signals.start()
        self.gateway.start()

    def _checkTLS(self) -> None:
        """
        Read the certificates that members are spoken to with.

        :raises CannotStart: when they can't be used.
        """
        secured = dict.fromkeys(member.tls for member in self._settings.members if member.tls)
        if secured:
            from twisted_fcgi.backend.tls import contextOf  # needs pyOpenSSL
        for settings in secured:
            try:
                contextOf(settings)
            except PeerRefused as error:
                reason = f"TLS to members: {error.reason}"
                log.critical("{reason}", reason=reason)
                print(f"twistd fcgiproxy: {reason}", file=sys.__stderr__)
                raise CannotStart(reason) from None

    def stopService(self) -> Deferred[None]:
        """Stop gracefully."""
        self._signals.stop()
        return Deferred.fromCoroutine(self._end())

    async def _end(self) -> None:
        await DeferredList([listener.stopService() for listener in self.listeners])
        await self._within("responses to be finished", self.factory.drain())
        for channel in tuple(self.factory.channels):
            cast(Any, channel.transport).abortConnection()
        await self._within("applications to let go", self.gateway.stop())
        await cast("Deferred[Any]", super().stopService())

    async def _within(self, what: str, deferred: Deferred[Any]) -> None:
        """Wait for something, but not for ever."""
        try:
            await deferred.addTimeout(GRACE, self._reactor)
        except TimeoutError:
            log.warn("Stopping; waited {grace:g} s in vain for {what}", grace=GRACE, what=what)
