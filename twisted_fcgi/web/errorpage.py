"""
Our own small pages for the statuses that no application answers.

Nothing of a request is ever echoed, so that there is nothing to escape and each
page can be kept.
"""

from __future__ import annotations

from functools import cache

from twisted_fcgi.headers import Headers
from twisted_fcgi.interfaces import IResponse
from twisted_fcgi.message import DROPS_CONNECTION, REASONS, ResponseHead

__all__ = ["errorPage", "writeErrorPage"]

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


def writeErrorPage(response: IResponse, status: int, headers: Headers | None = None) -> None:
    """
    Answer with our own page.

    :param headers: further fields, such as Allow or Location.
    """
    reason, page = errorPage(status)
    fields = Headers() if headers is None else headers
    fields.add(b"Content-Type", b"text/html; charset=iso-8859-1")  # httpd's
    close = status in DROPS_CONNECTION
    response.writeHead(ResponseHead(status, reason, fields, len(page), close))
    response.write(page)
    response.finish()
