"""
The seams between the layers.

A request goes down through them, a response comes up::

    front --serve()--> Gateway --open()--> member --> IStream
      ^ IBody  (upload, pushed into the IStream)
      IResponse <-- Gateway <-- IStreamReceiver

Calls are imperative (``write``), notifications are past tense
(``stdoutReceived``).  No call answers with a Deferred: this is the hot path.
Everything runs in the reactor's thread.
"""

from __future__ import annotations

from zope.interface import Attribute, Interface

__all__ = ["IBody", "IBodyConsumer", "IExchange", "IGateway", "IMember", "IResponse",
           "IStream", "IStreamReceiver"]


class IBodyConsumer(Interface):
    """Takes a request body as it comes."""

    def write(data: bytes) -> None:
        """A part of the body; never empty."""

    def finish() -> None:
        """The body is complete."""

    def fail(error) -> None:
        """
        The rest of the body will not come.

        :param error: a :class:`twisted_fcgi.errors.RequestError`: the client left,
            sent bad framing, too much, or nothing for too long.
        """


class IBody(Interface):
    """
    A request body, pushed by a front.

    It begins paused: nothing is delivered, and a front reads no more of the
    client than its own buffer holds, until :meth:`deliver`.
    """

    length = Attribute("Bytes in all; ``None`` when not known (chunked).")
    replayable = Attribute(
        "Whether :meth:`deliver` begins with the first byte: until it is called, and of a "
        "body that is kept also afterwards."
    )

    def deliver(consumer) -> None:
        """
        Begin to push the body into an :class:`IBodyConsumer`.

        May call the consumer before it returns.  A front whose client asked for
        ``100-continue`` says so to the client now.
        """

    def pause() -> None:
        """Push nothing until :meth:`resume`."""

    def resume() -> None:
        """Go on; may call the consumer before it returns."""

    def discard() -> None:
        """No one wants (the rest of) the body; a front reads and drops it, or closes."""


class IResponse(Interface):
    """
    A front's side of one response; the front frames it for its client.

    ``writeHead``, any number of ``write``, then ``finish``; or ``abort`` at any
    time.  Nothing may be called after ``finish`` or ``abort``.
    """

    def writeHead(head) -> None:
        """
        Begin the response; may be held back until the first ``write``, ``flush`` or ``finish``.

        :param head: a :class:`twisted_fcgi.message.ResponseHead`; not to be changed, other
            responses may have it, too.
        """

    def write(data: bytes) -> None:
        """A part of the body.  A front drops it for HEAD, 204 and 304."""

    def flush() -> None:
        """Send on what was held back."""

    def finish() -> None:
        """The response is complete."""

    def abort() -> None:
        """
        The response can't be completed.

        The client's connection is closed at once, so that nobody takes what was
        sent for a whole response.
        """


class IExchange(Interface):
    """What a front tells the gateway about a request that it handed over."""

    def clientGone() -> None:
        """The client's connection ended; nothing may be written any more."""

    def pauseProducing() -> None:
        """The client does not take any more of the response for now."""

    def resumeProducing() -> None:
        """It does again."""


class IGateway(Interface):
    """Serves requests; knows no front."""

    def serve(request, body, response):
        """
        Serve one request.

        :param request: a :class:`twisted_fcgi.message.Request`.
        :param body: an :class:`IBody`, or ``None`` for a request without one.
        :param response: an :class:`IResponse`.
        :returns: an :class:`IExchange`.  The response may be finished before this
            returns.
        """


class IStreamReceiver(Interface):
    """Takes what an application sends for one stream."""

    def stdoutReceived(data: bytes) -> None:
        """A part of the response; never empty."""

    def streamEnded(end) -> None:
        """
        END_REQUEST came with FCGI_REQUEST_COMPLETE.

        :param end: a :class:`twisted_fcgi.wire.EndRequest`, with ``appStatus``.
        """

    def streamFailed(error) -> None:
        """
        The stream ended in another way; nothing else will come.

        :param error: a :class:`twisted_fcgi.errors.RequestError`.  When its
            ``retryable`` is true, nothing of the request had an effect.
        """


class IStream(Interface):
    """
    One request to an application.

    It takes the request's body by itself, from the :class:`IBody` given to
    :meth:`IMember.open`, and pauses it when the application does not keep up.
    """

    def abort() -> None:
        """
        The response is not wanted any more.

        Nothing is told to the receiver from now on.  ABORT_REQUEST is sent if the
        request was begun; the connection is closed when the application does not
        end the request within ``abortGrace``.
        """

    def pauseProducing() -> None:
        """Deliver no more stdout, and stop reading once the limit is buffered."""

    def resumeProducing() -> None:
        """Deliver again; may call the receiver before it returns."""


class IMember(Interface):
    """One FastCGI server with its connections."""

    settings = Attribute("The :class:`twisted_fcgi.settings.MemberSettings`.")
    endpoint = Attribute("Where it is connected to, an ``IStreamClientEndpoint``.")

    def open(params, body, receiver, role=1, timeout=None):
        """
        Send one request: on an idle connection, on a new one, or after waiting.

        :param params: the ``(name, value)`` pairs, a sequence of two bytes each; or what
            :func:`twisted_fcgi.wire.encodePairs` makes of them.
        :param body: an :class:`IBody` whose length is known, or ``None``.
        :param receiver: an :class:`IStreamReceiver`.
        :param role: :class:`twisted_fcgi.wire.Role`.
        :param timeout: seconds of silence that are borne, unless the member's
            settings say so themselves.
        :returns: an :class:`IStream`.  The receiver may be called before this returns.
        """

    def askWhetherItLeaves(told):
        """
        Find out whether the application ends, after it closed a request's connection.

        :param told: called once, with ``True`` when it does and is waited for (``patience``),
            so that a request that may be sent twice can be.  May be called before this
            returns.
        """

    def stop():
        """
        Use it no more: idle connections are closed, requests go on to their end.

        :returns: a Deferred that fires when its last connection is gone.
        """
