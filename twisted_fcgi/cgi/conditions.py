"""
What httpd adds to a script's response head before it is sent.

What is known of its body, a Last-Modified that is a date and not in the
future, and, when the script left the status to the server, the evaluation of the
client's If-... fields against the script's ETag and Last-Modified
(``ap_meets_conditions``).  Range and If-Range have no part in it: a script's output
is always sent whole.
"""

from __future__ import annotations

import re
from calendar import timegm
from email.utils import formatdate

from twisted_fcgi.cgi.metadata import addMetadata
from twisted_fcgi.headers import Headers
from twisted_fcgi.http import REASONS
from twisted_fcgi.message import Request, ResponseHead, Route

__all__ = ["applyConditions", "evaluateConditions", "formatDate", "parseDate"]

_MONTHS = (b"jan", b"feb", b"mar", b"apr", b"may", b"jun",
           b"jul", b"aug", b"sep", b"oct", b"nov", b"dec")  # fmt: skip

# The three forms of RFC 9110, 5.6.7.  What follows is ignored, so each zone counts
# as GMT, as in apr_date_parse_http.
_date = re.compile(
    rb"[A-Za-z]+,? +"
    rb"(?:(?P<day>\d\d?)[ -](?P<month>[A-Za-z]{3})[ -](?P<year>\d{4}|\d\d)"
    rb"|(?P<ascMonth>[A-Za-z]{3}) (?P<ascDay>[ \d]\d))"
    rb" (?P<hour>[01]\d|2[0-3]):(?P<minute>[0-5]\d):(?P<second>[0-5]\d|60)"
    rb"(?: (?P<ascYear>\d{4}))?"
).match
_etags = re.compile(rb'(W/)?("[^"]*")').findall


def parseDate(value: bytes | None) -> int | None:
    """
    Read an HTTP date.

    :returns: seconds since 1970, or ``None`` for anything that is no date.
    """
    match = _date(value) if value is not None else None
    if match is None:
        return None
    month = (match["month"] or match["ascMonth"]).lower()
    year = match["year"] or match["ascYear"]
    if month not in _MONTHS or year is None:
        return None
    years = int(year)
    if len(year) == 2:
        years += 1900 if years >= 70 else 2000
    day = int(match["day"] or match["ascDay"])
    if years < 1970 or not 1 <= day <= 31:
        return None
    clock = (int(match["hour"]), int(match["minute"]), int(match["second"]))
    return timegm((years, _MONTHS.index(month) + 1, day, *clock))


def formatDate(seconds: int) -> bytes:
    """An HTTP date, of seconds since 1970."""
    return formatdate(seconds, usegmt=True).encode("ascii")


def applyConditions(request: Request, route: Route, head: ResponseHead, now: float) -> bool:
    """
    Complete a script's response head, in place.

    :param now: seconds since 1970.
    :returns: whether a condition failed: ``head`` is then a 304 or a 412, and the
        script's body is not sent.
    """
    headers = head.headers
    names = headers.names()
    if (b"content-type" not in names or route.describes) and head.status not in (204, 304):
        addMetadata(headers, route)
    modified = None
    if b"last-modified" in names:
        modified = _tidyLastModified(head, now)
    if (
        head.statusGiven
        or head.status != 200
        or not request.headers.isConditional()
        or request.method not in (b"GET", b"HEAD")
    ):
        return False
    status = evaluateConditions(request.headers, headers.get(b"etag"), modified, now)
    if status is None:
        return False
    head.status = status
    head.reason = REASONS[status]
    if status == 304:
        head.contentLength = None
        for name in (b"content-type", b"content-encoding", b"content-language"):
            headers.remove(name)
    else:
        head.contentLength = 0
    return True


def _tidyLastModified(head: ResponseHead, now: float) -> int | None:
    value = head.headers.get(b"last-modified")
    modified = parseDate(value)
    if modified is None:
        head.headers.remove(b"last-modified")
        return None
    modified = min(modified, int(now))
    tidy = formatDate(modified)
    if tidy != value:
        head.headers.set(b"Last-Modified", tidy)
    return modified


def evaluateConditions(
    fields: Headers,
    etag: bytes | None,
    modified: int | None,
    now: float,
    isRead: bool = True,
) -> int | None:
    """
    Hold a request's conditions against what it would get (RFC 9110, 13).

    As in httpd, all conditions that are there have to allow a 304.

    :param fields: the header fields of the request.
    :param etag: the entity tag of the answer, with its quotes.
    :param modified: when the answer changed, in seconds since 1970.
    :param isRead: whether the method is GET or HEAD; no other has a 304.
    :returns: 304, 412, or ``None`` when the answer is to be sent.
    """
    tags = fields.get(b"if-match")
    if tags is not None and not _matches(tags, etag, weak=False):
        return 412
    unchanged = []
    if (date := fields.get(b"if-unmodified-since")) is not None:
        since = parseDate(date)
        # Without a Last-Modified the answer is as new as can be.
        if since is not None and since < (now if modified is None else modified):
            return 412
        unchanged.append(False)
    if (tags := fields.get(b"if-none-match")) is not None:
        if not isRead:
            return 412 if _matches(tags, etag, weak=False) else None
        unchanged.append(_matches(tags, etag, weak=True))
    if (date := fields.get(b"if-modified-since")) is not None:
        since = parseDate(date)
        # A date in the future says nothing (RFC 9110, 13.1.3).
        unchanged.append(since is not None and modified is not None and modified <= since <= now)
    return 304 if isRead and unchanged and all(unchanged) else None


def _matches(tags: bytes, etag: bytes | None, weak: bool) -> bool:
    """Whether a list of entity tags has this one (RFC 9110, 8.8.3.2), or is a star."""
    if tags.startswith(b"*"):
        return True
    if etag is None:
        return False
    if weak:
        opaque = etag.removeprefix(b"W/")
        return any(opaque == tag for _, tag in _etags(tags))
    return any(etag == tag for prefix, tag in _etags(tags) if not prefix)
