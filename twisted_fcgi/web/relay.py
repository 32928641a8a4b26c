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

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from twisted.logger import Logger
from zope.interface import implementer

from twisted_fcgi.backend.retries import IDEMPOTENT, SENT_AGAIN
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
from twisted_fcgi.web.errorpage import Refusal
from twisted_fcgi.web.outgoing import GatheringResponse
from twisted_fcgi.web.spool import spool
from twisted_fcgi.web.terms import Terms
from twisted_fcgi.wire import EndRequest, Role

if TYPE_CHECKING:
    from twisted_fcgi.web.attempts import BalancedAttempts

__all__ = ["OVERRIDDEN_LIMIT", "Exchange", "ExchangeOwner"]

log = Logger()

#: Most bytes that are read of a response in whose place another page is sent.
OVERRIDDEN_LIMIT = 1048576

_NOBODY = RequestError("no member can be asked", 503)

_RESPONDER = Role.RESPONDER.value


class ExchangeOwner(Protocol):
    """Who lets requests be exchanged."""

    reactor: Any

    def memberOf(self, settings: MemberSettings) -> IMember:
        """The live member of some settings."""

    def refuse(
        self,
        request: Request,
        route: Route,
        body: IBody | None,
        response: IResponse,
        refusal: Refusal,
    ) -> IExchange:
        """Answer a request, of whose body nothing was read or which has none, with an error."""


@implementer(IExchange, IStreamReceiver)
class Exchange:
    """
    One request and its response.

    :param attempts: the members of a balancer, the next one of whom is asked only when an
        attempt failed without effect; ``None`` when the route has the only one.
    """

    _member: MemberSettings | None = None
    _terms: Terms | None = None
    _stream: IStream | None = None
    _parser: ResponseParser | None = None
    _head: ResponseHead | None = None
    _page: IExchange | None = None
    _overridden: ResponseHead | None = None
    _hasHead = False
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
        owner: ExchangeOwner,
        request: Request,
        route: Route,
        body: IBody | None,
        response: IResponse,
        attempts: BalancedAttempts | None,
    ) -> None:
        self._owner = owner
        self._request = request
        self._route = route
        self._body = body
        self._response = response
        self._attempts = attempts

    def start(self) -> None:
        """Count the body when its length is unknown, then ask the first member."""
        if self._request.method == b"HEAD":
            self._bodyless = True
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
        elif self._attempts is not None and self._attempts.keepsBody:
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
        route = self._route
        try:
            if attempts is None:
                member = route.members[0]
            else:
                found = attempts.nextMember()
                if found is None:
                    if attempts.wait(partial(self._attempt, error)):
                        return
                    if error is _NOBODY:
                        raise RequestError(f"{route.balancer}: {error.reason}", error.status)
                    raise error
                member, route = found, attempts.memberRoute
            params = encodedVariables(self._request, route, member)
        except RequestError as refusal:
            self._fail(refusal)
            return
        terms: Terms | None = route.terms
        if terms is None:
            terms = route.terms = Terms(route)
        if terms.member is not member:
            terms.meet(member, self._owner.memberOf(member))
        self._member = member
        self._route = route
        self._terms = terms
        self._parser = None
        self._hasHead = False
        if attempts is not None:
            self._sent = len(params) + (self._request.contentLength or 0)
        live = self._owner.memberOf(member) if terms.live is None else terms.live
        stream = live.open(params, self._body, self, _RESPONDER, terms.timeout)
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
        if not self._hasHead:
            rest = self._readHead(data)
            if rest is None:
                return
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

    def _readHead(self, data: bytes) -> bytes | None:
        """
        Take a part of what comes before the body.

        :returns: the first bytes of the body; ``None`` before that, and after a failure.
        """
        terms, parser, attempts = self._terms, self._parser, self._attempts
        assert terms is not None
        isFirst = parser is None
        if parser is None:
            usual, lines = terms.usual, terms.usualLines
            if usual is not None and data.startswith(lines) and self._isPlain():
                self._accept(usual if attempts is None else attempts.responded(usual))
                return data[len(lines) :]
            parser = self._parser = ResponseParser(terms.maxHead)
        try:
            rest = parser.receive(data)
        except BrokenResponse as error:
            self._fail(error)
            return None
        if rest is None or parser.head is None:
            return None
        head = parser.head if attempts is None else attempts.responded(parser.head)
        if not self._route.status and terms.isOverridden(head.status):
            # Its page is read to the end, unless that is far, so that its connection can be
            # used again.
            self._hasHead = self._bodyless = True
            self._overridden = head
            return rest
        self._complete(head)
        self._accept(head)
        known = parser.known if isFirst and self._route.lasting else None
        if known is not None and known == head and self._isPlain():
            terms.remember(known, data[: len(data) - len(rest)])
        return rest

    def _isPlain(self) -> bool:
        """Whether nothing of the request has a say in the response's head."""
        request = self._request
        return not request.vary and not request.headers.isConditional()

    def _complete(self, head: ResponseHead) -> None:
        """Make of an application's head, in place, what it is for the client."""
        request, route = self._request, self._route
        if route.status:
            # The page about an error: its status is the error's, unless it says otherwise.
            if not head.statusGiven:
                head.status = route.status
                head.reason = REASONS[route.status]
            head.close = head.close or route.status in DROPS_CONNECTION
            head.headers.merge(route.fields)
        if applyConditions(request, route, head, self._owner.reactor.seconds()):
            self._bodyless = True
        if request.vary and not route.changesFields:
            head.headers.vary(request.vary)

    def _accept(self, head: ResponseHead) -> None:
        """Hold a head that is as the client gets it, until the body begins."""
        assert self._terms is not None and self._member is not None
        self._hasHead = True
        self._head = head
        if head.status == 204 or head.status == 304:
            self._bodyless = True
        if not self._bodyless:
            self._remaining = head.contentLength
        if self._terms.flushes:
            if self._member.flush is Flush.ON:
                self._flushing = True
            else:
                self._response = self._gathering = GatheringResponse(
                    self._response, self._member.flushWait, self._owner.reactor
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
        if not self._hasHead:
            parser = self._parser or ResponseParser()
            try:
                parser.finish()
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
        if self._mayAskAgain(error):
            assert self._member is not None
            self._again += 1
            self._owner.memberOf(self._member).askWhetherItLeaves(partial(self._askAgain, error))
        elif self._mayGoOn(error):
            self._head = self._overridden = self._remaining = None
            self._bodyless = self._request.method == b"HEAD"
            self._attempt(error)
        else:
            self._fail(error)

    def _mayGoOn(self, error: RequestError) -> bool:
        """Whether another member of the balancer may get the request; it is told of the last."""
        attempts, body = self._attempts, self._body
        if self._begun or attempts is None or not (body is None or body.replayable):
            return False
        if not attempts.mayGoOn(error):
            return False
        attempts.failed(error)
        return True

    def _mayAskAgain(self, error: RequestError) -> bool:
        """Whether the only application there is may get a request again, if it is restarted."""
        return (
            isinstance(error, ConnectionDied)
            and self._attempts is None
            and (error.retryable or self._request.method in IDEMPOTENT)
            and not self._hasHead
            and (self._body is None or self._body.replayable)
            and self._again < SENT_AGAIN
        )

    def _askAgain(self, error: RequestError, leaves: bool) -> None:
        if self._ended:
            return
        if leaves:
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
        attempts = self._attempts
        if attempts is not None and error.fault is Fault.APPLICATION and not self._hasHead:
            attempts.failed(error)
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
        self._page = page = self._owner.refuse(
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
        if self._attempts is not None:
            self._attempts.ended(self._sent, self._received)

    def _report(self, reason: str) -> None:
        log.warn(
            '[client {client}] "{line}" to {member}: {reason}',
            client=self._request.client.host.decode("ascii"),
            line=self._request.line.decode("latin-1").encode("unicode_escape").decode("ascii"),
            member=self._member.address if self._member is not None else "no member",
            reason=reason,
        )
