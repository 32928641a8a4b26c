"""
What a request ends with that fails: its ErrorDocument, or a small page of our own.

Nothing of a request is ever echoed in our pages, so that there is nothing to escape and
each can be kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from twisted.logger import Logger
from zope.interface import implementer

from twisted_fcgi.errors import quoted
from twisted_fcgi.expr import EvaluationError, RequestContext
from twisted_fcgi.headers import Headers
from twisted_fcgi.http import DROPS_CONNECTION, REASONS
from twisted_fcgi.interfaces import IExchange, IResponse
from twisted_fcgi.message import Request, ResponseHead, Route, Source
from twisted_fcgi.routing.aliases import CONTROL

__all__ = ["ANSWERED", "Document", "Refusal", "errorDocument", "errorPage", "writeErrorPage"]

log = Logger()

_SENTENCES = {
    301: "The page has moved.",
    302: "The page is at another address for now.",
    400: "The request could not be understood.",
    401: "This page needs a name and a password.",
    403: "You may not see this page.",
    404: "There is no page at this address.",
    405: "This page can't be asked for in this way.",
    408: "The request took too long to arrive.",
    411: "The request has to say how long its body is.",
    412: "A condition that the request made does not hold.",
    413: "The request is too large.",
    414: "The address is too long.",
    417: "The request expects something that is not offered here.",
    429: "There were too many requests in a short time; please try again later.",
    431: "The request's header fields are too large.",
    500: "Something went wrong on this server.",
    501: "This server can't do what the request asks for.",
    502: "The application behind this server gave an answer that can't be used.",
    503: "The application behind this server can't be reached now; please try again later.",
    504: "The application behind this server did not answer in time.",
    505: "This version of HTTP is not spoken here.",
}
_OTHERS = {
    3: "The page is at another address.",
    4: "The request can't be answered.",
    5: "The server could not answer the request.",
}

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>body {{ font: 1.1em sans-serif; margin: 3em auto; max-width: 36em; padding: 0 1em }}</style>
</head>
<body>
<h1>{title}</h1>
<p>{sentence}</p>
</body>
</html>
"""


@implementer(IExchange)
class _Answered:
    """The exchange of a request that was answered at once."""

    def clientGone(self) -> None: ...

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...


#: It can be shared: nothing can happen to it any more.
ANSWERED = _Answered()


@cache
def errorPage(status: int) -> tuple[bytes, bytes]:
    """
    A page for an error or a redirect.

    :returns: the reason phrase, and the page: HTML in ASCII.
    """
    reason = REASONS.get(status, b"Error")
    title = f"{status} {reason.decode('ascii')}"
    sentence = _SENTENCES.get(status) or _OTHERS.get(status // 100, _OTHERS[5])
    return reason, _PAGE.format(title=title, sentence=sentence).encode("ascii")


@dataclass(slots=True)
class Refusal:
    """
    An error or a redirect that a request ends with.

    :ivar fields: for the response, such as Allow or Location.
    :ivar reason: the phrase, where it is not the usual one.
    :ivar told: the variables that an application got before.
    :ivar close: whether the client's connection ends after it.
    """

    status: int
    fields: Headers = field(default_factory=Headers)
    reason: bytes = b""
    told: dict[bytes, bytes] = field(default_factory=dict)
    close: bool = False

    def __post_init__(self) -> None:
        self.close = self.close or self.status in DROPS_CONNECTION


class Document(NamedTuple):
    """
    What an ErrorDocument makes of an error: a text, or a URL.

    :ivar url: a local path, or the URL of another place; empty for a text.
    """

    text: bytes = b""
    url: bytes = b""


def errorDocument(request: Request, route: Route, status: int) -> Document | None:
    """
    The ErrorDocument for a status, as it is for a request.

    :returns: ``None`` for our own page.
    """
    documents = route.directory.errorDocuments
    document = None if documents is None else documents.get(status)
    if document is None or document.made is None:
        return None
    try:
        made = document.made(RequestContext(request, route))
    except EvaluationError as error:
        log.error("ErrorDocument {status}: {error}", status=status, error=error)
        return None
    if document.isText:
        return Document(text=made)
    if CONTROL.search(made):
        url = quoted(made)
        log.error("ErrorDocument {status}: control character in {url}", status=status, url=url)
        return None
    return Document(url=made)


def writeErrorPage(response: IResponse, refusal: Refusal, text: bytes | None = None) -> None:
    """
    Answer with our own page.

    :param text: ErrorDocument's, in place of the page.
    """
    status, fields = refusal.status, refusal.fields
    reason, page = errorPage(status)
    if text is not None:
        page = text
    phrase = refusal.reason or reason
    if status in (204, 304):  # by a Redirect
        response.writeHead(ResponseHead(status, phrase, fields, source=Source.ERROR))
        response.finish()
        return
    fields.add(b"Content-Type", b"text/html; charset=iso-8859-1")  # httpd's
    length, close = len(page), refusal.close
    response.writeHead(ResponseHead(status, phrase, fields, length, close, source=Source.ERROR))
    response.write(page)
    response.finish()
