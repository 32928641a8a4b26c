"""
One request on its way through an application, and its response back.

Strategy: an :class:`Exchange` is the only object that knows both sides of a
request.  To the front it is the :class:`~twisted_fcgi.interfaces.IExchange`, to
the stream the :class:`~twisted_fcgi.interfaces.IStreamReceiver`.  It holds no
part of a body: what comes is written on in the same turn, and a side that can't
take more pauses the other.  Only ``flushpackets=auto`` gathers, in a
:class:`~twisted_fcgi.web.outgoing.GatheringResponse`, up to a limit and for ``flushwait``.

The head is written with the first byte of the body, unless ``flushpackets`` says
otherwise.  Until then a failure is an error page, or goes on to another member when its
error says that nothing had an effect, or a balancer's :class:`BalancedAttempts` that it
does not matter, and when the request's body can be had from its first byte.  An
application that has no other beside it gets the request again if it turns out to be
restarted (``IMember.askWhetherItLeaves``), :data:`SENT_AGAIN` times at most.  After it,
the client's connection is aborted: nobody shall take a cut response for a whole one
(httpd ends it as if it were complete).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from twisted_fcgi.backend.retries import IDEMPOTENT
from twisted_fcgi.cgi.conditions import applyConditions
from twisted_fcgi.cgi.params import encodedVariables, variables
from twisted_fcgi.cgi.response import ResponseParser, fieldsForError
from twisted_fcgi.errors import (
    BadRequest,
    BrokenResponse,
    ConnectionDied,
    Fault,
    RequestError,
)
from twisted_fcgi.http import DROPS_CONNECTION, REASONS
from twisted_fcgi.interfaces import (
    IBody,
    IExchange,
    IMember,
    IResponse,
    IStream,
    IStreamReceiver,
)
from twisted_fcgi.message import Request, ResponseHead, Route
from twisted_fcgi.settings import Flush, MemberSettings
from twisted_fcgi.web.attempts import SENT_AGAIN, BalancedAttempts
from twisted_fcgi.web.errorpage import Refusal
from twisted_fcgi.web.outgoing import GatheringResponse
from twisted_fcgi.web.spool import spool
from twisted_fcgi.wire import EndRequest

__all__ = ["OVERRIDDEN_LIMIT", "Exchange", "Refuse"]

log = Logger()

#: Most bytes that are read of a response in whose place another page is sent.
OVERRIDDEN_LIMIT = 1048576

#: Answers a request, of whose body nothing was read or which has none, with an error.
Refuse = Callable[[Request, Route, "IBody | None", IResponse, Refusal], IExchange]

_BODYLESS = frozenset((204, 304))

_NOBODY = RequestError("no member can be asked", 503)

_OFF = Flush.OFF


def _isOverridden(status: int, statuses: frozenset[int] | None) -> bool:
    """Whether ProxyErrorOverride is for a status (``ap_proxy_should_override``)."""
    return status >= 400 if not statuses else status in statuses


@implementer(IExchange, IStreamReceiver)
class Exchange:
    """
    One request and its response.

    :param attempts: the members to try, in their order, each with the route for it;
        the next one is asked for only when an attempt failed without effect.
    :param connect: a member's live :class:`~twisted_fcgi.interfaces.IMember`.
    :param refuse: answers with an error.
    """

    _member: MemberSettings | None = None
    _stream: IStream | None = None
    _parser: ResponseParser | None = None
    _head: ResponseHead | None = None
    _page: IExchange | None = None
    _overridden: ResponseHead | None = None
    _begun = False
    _remaining: int | None = None
    _bodyless = False
    _flushing = False
    _gathering: GatheringResponse | None = None
    _paused = False
    _ended = False
    _again = 0
    _sent = 0
    _received = 0

    def __init__(
        self,
        request: Request,
        route: Route,
        body: IBody | None,
        response: IResponse,
        attempts: Iterator[tuple[MemberSettings, Route]],
        connect: Callable[[MemberSettings], IMember],
        refuse: Refuse,
        reactor: IReactorTime,
    ) -> None:
        self._request = request
        self._route = route
        self._body = body
        self._response = response
        self._attempts = attempts
        self._connect = connect
        self._refuse = refuse
        self._reactor = reactor
        if request.method == b"HEAD":
            self._bodyless = True

    def start(self) -> None:
        """Count the body when its length is unknown, then ask the first member."""
        body = self._body
        if body is None:
            self._attempt(_NOBODY)
            return
        limits = self._route.host.limits
        limit = self._route.bodyLimit
        if body.length is None:
            spool(body, limits.spoolMemory, limit, self._bodySpooled)
        elif limit and body.length > limit:
            reason = f"Content-Length {body.length} is over LimitRequestBody {limit}"
            self._fail(BadRequest(reason, 413))
        elif isinstance(self._attempts, BalancedAttempts) and self._attempts.keepsBody:
            spool(body, limits.spoolMemory, limit, self._bodySpooled)
        else:
            self._attempt(_NOBODY)

    def _bodySpooled(self, result: IBody | RequestError) -> None:
        if isinstance(result, RequestError):
            if not self._ended:
                self._fail(result)
        elif self._ended:
            result.discard()
        else:
            self._body = result
            self._request.contentLength = result.length
            self._attempt(_NOBODY)

    def _attempt(self, error: RequestError) -> None:
        """
        Ask the next member.

        :param error: what the client is told when there is none.
        """
        attempts = self._attempts
        try:
            member, route = next(attempts, (None, self._route))
            if member is None:
                if isinstance(attempts, BalancedAttempts) and attempts.wait(
                    partial(self._attempt, error)
                ):
                    return
                if error is _NOBODY and self._route.balancer is not None:
                    raise RequestError(f"{self._route.balancer}: {error.reason}", error.status)
                raise error
            params = encodedVariables(self._request, route, member)
        except RequestError as refusal:
            self._fail(refusal)
            return
        self._member = member
        self._route = route
        self._sent = len(params) + (self._request.contentLength or 0)
        self._parser = ResponseParser(member.maxResponseHead)
        host = route.host
        stream = self._connect(member).open(
            params,
            self._body,
            self,
            timeout=host.timeout if host.proxyTimeout is None else host.proxyTimeout,
        )
        # open() may have told all before it returned: the end, or a failure and then
        # the next attempt, whose stream is the one that counts.
        if self._ended:
            stream.abort()
        elif self._member is member:
            self._stream = stream
            if self._paused:
                stream.pauseProducing()

    def told(self) -> dict[bytes, bytes]:
        """The variables that the application was told that has answered."""
        if self._member is None or not self._received:
            return {}
        try:
            return dict(variables(self._request, self._route, self._member))
        except RequestError:  # what ProxyFCGISetEnvIf looks at has changed since
            return {}

    # The application's side.

    def stdoutReceived(self, data: bytes) -> None:
        self._received += len(data)
        parser = self._parser
        if parser is not None:
            try:
                rest = parser.receive(data)
            except BrokenResponse as error:
                self._fail(error)
                return
            if rest is None:
                return
            assert parser.head is not None and self._member is not None
            self._headReceived(parser.head, self._member)
            data = rest
        if not data or self._bodyless:
            if self._overridden is not None and self._received > OVERRIDDEN_LIMIT:
                self._answerInstead(self._overridden)
            return
        remaining = self._remaining
        if remaining is not None:
            if len(data) > remaining:
                self._report("the body is longer than its Content-Length; the excess is cut")
                self._bodyless = True
                data = data[:remaining]
            self._remaining = remaining - len(data)
        if self._head is not None:
            self._begin(self._head)
        self._response.write(data)
        if self._flushing:
            self._response.flush()

    def _headReceived(self, head: ResponseHead, member: MemberSettings) -> None:
        self._parser = None
        self._head = head
        route = self._route
        attempts = self._attempts
        if isinstance(attempts, BalancedAttempts):
            cookie = attempts.cookie()
            if cookie is not None:
                head.headers.add(b"Set-Cookie", cookie)
            attempts.answered(head.status)
        if route.status:
            # The page about an error: its status is the error's, unless it says otherwise.
            if not head.statusGiven:
                head.status = route.status
                head.reason = REASONS[route.status]
            head.close = head.close or route.status in DROPS_CONNECTION
            head.headers.merge(route.fields)
        elif (
            route.directory.overridesErrors
            and route.initial
            and _isOverridden(head.status, route.directory.overriddenStatuses)
        ):
            # Its page is read to the end, unless that is far, so that its connection can be
            # used again.
            self._head, self._overridden, self._bodyless = None, head, True
            return
        failed = applyConditions(self._request, route, head, self._reactor.seconds())
        if failed or head.status in _BODYLESS:
            self._bodyless = True
        if not self._bodyless:
            self._remaining = head.contentLength
        if self._request.vary and not route.changesFields:
            head.headers.vary(self._request.vary)
        flush = member.flush
        if flush is not _OFF:
            if flush is Flush.ON:
                self._flushing = True
            else:
                self._response = self._gathering = GatheringResponse(
                    self._response, member.flushWait, self._reactor
                )
            self._begin(head)

    def _answerInstead(self, head: ResponseHead) -> None:
        """ProxyErrorOverride: our page, in place of the application's."""
        assert self._member is not None
        self._answer(Refusal(head.status, fieldsForError(head), head.reason, self.told()))

    def _begin(self, head: ResponseHead) -> None:
        """Write the head; from now on a failure can't be told to the client any more."""
        self._head = None
        self._begun = True
        self._response.writeHead(head)
        if self._flushing:
            self._response.flush()

    def streamEnded(self, end: EndRequest) -> None:
        self._stream = None
        if self._parser is not None:
            try:
                self._parser.finish()
            except BrokenResponse as error:
                self._fail(error)
                return
        if self._overridden is not None:
            self._answerInstead(self._overridden)
            return
        if self._remaining:
            reason = f"the body ended {self._remaining} bytes before its Content-Length"
            self._fail(BrokenResponse(reason))
            return
        self._end()
        if self._head is not None:
            self._begin(self._head)
        self._response.finish()

    def streamFailed(self, error: RequestError) -> None:
        self._stream = None
        attempts, body = self._attempts, self._body
        if self._begun or not (body is None or body.replayable):
            again = False
        elif isinstance(attempts, BalancedAttempts):
            again = attempts.mayGoOn(error)
            if again:
                attempts.failed(error)
        else:
            again = error.retryable and self._parser is not None
        if self._mayAskAgain(error):
            assert self._member is not None
            self._again += 1
            self._connect(self._member).askWhetherItLeaves(partial(self._askAgain, error))
        elif again:
            self._head = self._overridden = self._remaining = None
            self._bodyless = self._request.method == b"HEAD"
            self._attempt(error)
        else:
            self._fail(error)

    def _mayAskAgain(self, error: RequestError) -> bool:
        """Whether the only application there is may get a request again, if it is restarted."""
        return (
            isinstance(error, ConnectionDied)
            and not isinstance(self._attempts, BalancedAttempts)
            and (error.retryable or self._request.method in IDEMPOTENT)
            and self._parser is not None
            and (self._body is None or self._body.replayable)
            and self._again < SENT_AGAIN
        )

    def _askAgain(self, error: RequestError, leaves: bool) -> None:
        if self._ended:
            return
        if leaves and self._member is not None:
            self._attempts = iter([(self._member, self._route)])
            self._attempt(error)
        else:
            self._fail(error)

    # The client's side.

    def clientGone(self) -> None:
        if self._page is not None:
            self._page.clientGone()
        elif not self._ended:
            self._report("499: the client left before its response was complete")
            self._end()
            if self._gathering is not None:
                self._gathering.forget()

    def pauseProducing(self) -> None:
        self._paused = True
        producing = self._page or self._stream
        if producing is not None:
            producing.pauseProducing()

    def resumeProducing(self) -> None:
        self._paused = False
        producing = self._page or self._stream
        if producing is not None:
            producing.resumeProducing()

    # Ends.

    def _fail(self, error: RequestError) -> None:
        """Answer with an error page, or cut a response that has begun."""
        self._report(f"{error.status}: {error.reason}")
        if (
            error.fault is Fault.APPLICATION
            and self._parser is not None
            and isinstance(self._attempts, BalancedAttempts)
        ):
            self._attempts.failed(error)
        if self._overridden is not None:
            self._answerInstead(self._overridden)
        elif self._begun:
            self._end()
            self._response.abort()
        else:
            refusal = Refusal(error.status)
            if error.retryAfter:
                refusal.fields.add(b"Retry-After", b"%d" % error.retryAfter)
            self._answer(refusal)

    def _answer(self, refusal: Refusal) -> None:
        """Let somebody else make the page about an error."""
        body = self._body
        if body is not None and body.replayable:
            self._body = None  # a script that makes the page gets it
        else:
            body = None
        self._end()
        self._page = page = self._refuse(
            self._request, self._route, body, self._response, refusal
        )
        if self._paused:
            page.pauseProducing()

    def _end(self) -> None:
        """Nothing more is wanted from the application or of the body."""
        self._ended = True
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.abort()
        if self._body is not None:
            self._body.discard()
        if isinstance(self._attempts, BalancedAttempts):
            self._attempts.ended(self._sent, self._received)

    def _report(self, reason: str) -> None:
        log.warn(
            '[client {client}] "{line}" to {member}: {reason}',
            client=self._request.client.host.decode("ascii"),
            line=self._request.line.decode("latin-1").encode("unicode_escape").decode("ascii"),
            member=self._member.address if self._member is not None else "no member",
            reason=reason,
        )
