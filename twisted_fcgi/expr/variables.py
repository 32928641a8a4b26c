"""
The variables of the language: ``%{NAME}``, in any case.

A row is a name, what it does, and a line of documentation.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from twisted_fcgi.expr.context import Word

__all__ = ["VARIABLES", "Variable"]


@dataclass(frozen=True)
class Variable:
    """A row of :data:`VARIABLES`."""

    name: bytes
    evaluate: Word
    doc: str


def _requestVariable(name: bytes) -> Word:
    return lambda context: context.variable(name) or b""


def _headerVariable(header: bytes) -> Word:
    return lambda context: context.header(header) or b""


def _timeVariable(form: str) -> Word:
    return lambda context: time.strftime(form, time.localtime(context.now)).encode("ascii")


VARIABLES: dict[bytes, Variable] = {
    row.name: row
    for row in [
        *(
            Variable(name, _requestVariable(name), doc)
            for name, doc in (
                (b"REQUEST_METHOD", "the method"),
                (b"REQUEST_SCHEME", "http or https"),
                (b"REQUEST_URI", "the decoded path"),
                (b"REQUEST_FILENAME", "the file, or the URL of the application"),
                (b"SCRIPT_FILENAME", "the same as REQUEST_FILENAME"),
                (b"LAST_MODIFIED", "the file's time, as 20101231235959"),
                (b"SCRIPT_USER", "the name of the file's owner"),
                (b"SCRIPT_GROUP", "the name of the file's group"),
                (b"PATH_INFO", "the path behind the script"),
                (b"QUERY_STRING", "the query, as sent"),
                (b"IS_SUBREQ", "true in what an expression, an index or a fallback looks up"),
                (b"THE_REQUEST", "the whole request line"),
                (b"REMOTE_ADDR", "the client's address"),
                (b"REMOTE_PORT", "the client's port"),
                (b"REMOTE_HOST", "the client's address: names are not looked up"),
                (b"REMOTE_USER", "the authenticated user"),
                (b"REMOTE_IDENT", "empty: RFC 1413 is not asked"),
                (b"SERVER_NAME", "the server's name"),
                (b"SERVER_PORT", "the server's port"),
                (b"SERVER_ADMIN", "ServerAdmin"),
                (b"SERVER_PROTOCOL", "HTTP/1.1 and so on"),
                (b"SERVER_SOFTWARE", "our name and version"),
                (b"DOCUMENT_ROOT", "DocumentRoot"),
                (b"AUTH_TYPE", "the kind of authentication"),
                (b"CONTENT_TYPE", "the response's type: mostly not known yet"),
                (b"HANDLER", "what serves the request"),
                (b"HTTP2", "on over HTTP/2"),
                (b"HTTPS", "on over TLS, else off"),
                (b"IPV6", "on when the client came over IPv6"),
                (b"REQUEST_STATUS", "the response's status"),
                (b"REQUEST_LOG_ID", "the request's name in the error log"),
                (b"CONN_LOG_ID", "the connection's name in the error log"),
                (b"CONN_REMOTE_ADDR", "the address of the connection's other end"),
                (b"CONTEXT_PREFIX", "the prefix of Alias"),
                (b"CONTEXT_DOCUMENT_ROOT", "the directory of Alias, else DocumentRoot"),
                (b"DOCUMENT_URI", "the same as REQUEST_URI"),
                (b"API_VERSION", "httpd's module magic number that we follow"),
            )
        ),
        Variable(
            b"HC_BODY",
            lambda context: context.checkedBody(),
            "what answered a health check (ProxyHCExpr)",
        ),
        *(
            Variable(name, _headerVariable(header), f"the request header {header.decode()}")
            for name, header in (
                (b"HTTP_ACCEPT", b"Accept"),
                (b"HTTP_COOKIE", b"Cookie"),
                (b"HTTP_FORWARDED", b"Forwarded"),
                (b"HTTP_HOST", b"Host"),
                (b"HTTP_PROXY_CONNECTION", b"Proxy-Connection"),
                (b"HTTP_REFERER", b"Referer"),
                (b"HTTP_USER_AGENT", b"User-Agent"),
            )
        ),
        *(
            Variable(name, _timeVariable(form), doc)
            for name, form, doc in (
                (b"TIME_YEAR", "%Y", "the year"),
                (b"TIME_MON", "%m", "the month, 01 to 12"),
                (b"TIME_DAY", "%d", "the day, 01 to 31"),
                (b"TIME_HOUR", "%H", "the hour, 00 to 23"),
                (b"TIME_MIN", "%M", "the minute"),
                (b"TIME_SEC", "%S", "the second"),
                (b"TIME_WDAY", "%w", "the day of the week; Sunday is 0"),
                (b"TIME", "%Y%m%d%H%M%S", "all of them, as 20101231235959"),
            )
        ),
    ]
}
