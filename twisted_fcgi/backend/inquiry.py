"""
One question to a member, on a connection of its own.

Health checks ask this way, and probes of members in error state.  A member's own
connections, its limits and its queue play no part: that they are all in use says nothing
of the application.  The question is a :class:`~twisted_fcgi.settings.CheckMethod`:
whether it takes a connection, whether it answers FCGI_GET_VALUES, or what it answers to
a request.

Limits: all of it, from the connect to the last byte, has one time; of a body what
:class:`~twisted_fcgi.cgi.checks.CheckAnswer` keeps.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import LogLevel
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_fcgi.backend.attempt import Attempt
from twisted_fcgi.backend.connection import ending
from twisted_fcgi.backend.protocol import FastCGIClientProtocol
from twisted_fcgi.cgi.checks import CheckAnswer, checkVariables
from twisted_fcgi.cgi.response import ResponseParser
from twisted_fcgi.errors import ConnectionDied, RequestError, ResponseTimedOut
from twisted_fcgi.interfaces import IStreamReceiver
from twisted_fcgi.settings import CheckMethod, MemberSettings
from twisted_fcgi.wire import EndRequest

__all__ = ["Inquiry"]


@implementer(IStreamReceiver)
class Inquiry:
    """
    A question.

    :param settings: of the member.
    :param method: what it is asked; for a request, its ``check`` says the rest.
    :param endpoint: connects to it.
    :param seconds: for all of it; the connect has its ``connectionTimeout``, if that is less.
    :ivar timedOut: whether that was too short.
    """

    def __init__(
        self,
        settings: MemberSettings,
        method: CheckMethod,
        endpoint: IStreamClientEndpoint,
        reactor: Any,
        seconds: float,
    ) -> None:
        self.settings = settings
        self.endpoint = endpoint
        self.reactor = reactor
        self.factory = Factory.forProtocol(
            partial(
                FastCGIClientProtocol,
                reactor,
                name=settings.address,
                keepConnection=False,
                abortGrace=settings.abortGrace,
            )
        )
        self.factory.noisy = False
        self.timedOut = False
        self._method = method
        self._seconds = seconds
        self._over = False
        self._until = 0.0
        self._timer: IDelayedCall | None = None
        self._attempt: Attempt | None = None
        self._connection: FastCGIClientProtocol | None = None
        self._parser = ResponseParser(settings.maxResponseHead)
        self._answer: CheckAnswer | None = None
        self._done: Deferred[CheckAnswer | None] = Deferred(lambda _: self._end(CancelledError()))

    def begin(self) -> Deferred[CheckAnswer | None]:
        """
        Ask.

        :returns: the answer to a request, ``None`` for that to anything else.  It fails
            with a :class:`~twisted_fcgi.errors.RequestError`, or ``CancelledError``.
        """
        self._until = self.reactor.seconds() + self._seconds
        seconds = min(self._seconds, self.settings.connectTimeout or self._seconds)
        self._timer = self.reactor.callLater(seconds, self._tooLong)
        self._attempt = Attempt(self, seconds)
        self._attempt.begin()
        return self._done

    def cancel(self) -> None:
        """The answer is not wanted any more."""
        self._done.cancel()

    # AttemptOwner

    def isPatient(self, code: int | None) -> bool:
        """See :meth:`twisted_fcgi.backend.attempt.AttemptOwner.isPatient`."""
        return False

    def connected(self, attempt: Attempt, connection: FastCGIClientProtocol) -> None:
        """See :meth:`twisted_fcgi.backend.attempt.AttemptOwner.connected`."""
        self._attempt = None
        self._connection = connection
        # What it complains about each time is told once, by what becomes of the answer.
        connection.stderrLog.level = LogLevel.debug
        method = self._method
        if method is CheckMethod.TCP:
            self._end(None)
            return
        if self._timer is not None:
            self._timer.reset(self._until - self.reactor.seconds())
        if method is CheckMethod.FCGI:
            asked = connection.getValues((b"FCGI_MPXS_CONNS",))
            asked.addCallbacks(lambda _: self._end(None), self._notAnswered)
        else:
            connection.open(checkVariables(self.settings), None, self, timeout=self._seconds + 1)

    def attemptEnded(self, attempt: Attempt, error: RequestError | None) -> None:
        """See :meth:`twisted_fcgi.backend.attempt.AttemptOwner.attemptEnded`."""
        self._attempt = None
        self._end(error or CancelledError())

    # IStreamReceiver

    def stdoutReceived(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:
            try:
                body = self._parser.receive(data)
            except RequestError as error:
                self._end(error)
                return
            head = self._parser.head
            if head is None or body is None:
                return
            data = body
            answer = self._answer = CheckAnswer(self.settings.check, head)
            if self._method.request != "GET":
                self._end(answer)  # as httpd, which does not wait for a body
                return
        answer.receive(data)

    def streamEnded(self, end: EndRequest) -> None:
        try:
            self._parser.finish()
        except RequestError as error:
            self._end(error)
        else:
            self._end(self._answer)

    def streamFailed(self, error: RequestError) -> None:
        self._end(error)

    # Inside

    def _notAnswered(self, failure: Failure) -> None:
        self._end(ConnectionDied(f"{self.settings.address} {ending(failure)} before it answered"))

    def _tooLong(self) -> None:
        self._timer = None
        self.timedOut = True
        if self._attempt is not None:
            self._attempt.expired()
        else:
            address = self.settings.address
            self._end(ResponseTimedOut(f"{address} did not answer within {self._seconds:g} s"))

    def _end(self, outcome: CheckAnswer | Exception | None) -> None:
        """Nothing more is asked; say so once."""
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        if self._attempt is not None:
            self._attempt.cancel()
        connection = self._connection
        if connection is not None and connection.streams:
            connection.transport.abortConnection()
        elif connection is not None:
            connection.close()
        if isinstance(outcome, Exception):
            self._done.errback(outcome)
        else:
            self._done.callback(outcome)
