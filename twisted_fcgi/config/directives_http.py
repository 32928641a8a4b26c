"""Directives of httpd's http module and mod_reqtimeout: clients' connections and requests."""

from __future__ import annotations

import math
import re

from twisted_fcgi.config.registry import Context, Override, Rows, Shape
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.values import keyValues, looseDuration, looseInteger, strictDuration
from twisted_fcgi.config.words import Word

__all__ = ["reqtimeout", "rows"]

rows = Rows("core")
reqtimeout = Rows("mod_reqtimeout")


@rows.directive(
    "Timeout",
    Shape.TAKE1,
    Context.SERVER,
    syntax="seconds|duration",
    default="60",
    example="Timeout 30",
)
def timeout(scope: Scope, word: Word) -> None:
    """Silence of a client, or of an application without a timeout of its own, that is borne."""
    seconds = looseDuration(word, "s", scope.warn)
    if seconds <= 0:
        scope.warn(word, "this would end every request; Timeout stays as it is")
        return
    scope.server.values["timeout"] = seconds


@rows.directive(
    "KeepAlive",
    Shape.FLAG,
    Context.SERVER,
    syntax="On|Off",
    default="On",
    example="KeepAlive Off",
)
def keepAlive(scope: Scope, on: bool) -> None:
    """Whether a client's connection may serve several requests."""
    scope.server.values["keepAlive"] = on


@rows.directive(
    "KeepAliveTimeout",
    Shape.TAKE1,
    Context.SERVER,
    syntax="seconds|duration",
    default="5",
    example="KeepAliveTimeout 500ms",
)
def keepAliveTimeout(scope: Scope, word: Word) -> None:
    """How long a client's connection may be idle between two requests."""
    seconds = strictDuration(word, "s")
    if seconds is None:
        raise word.error(f"{str(word)!r} is no duration", "a number with ms, s, min or h")
    scope.server.limits["keepAliveTimeout"] = seconds


@rows.directive(
    "MaxKeepAliveRequests",
    Shape.TAKE1,
    Context.SERVER,
    syntax="number",
    default="100",
    example="MaxKeepAliveRequests 1000",
)
def maxKeepAliveRequests(scope: Scope, word: Word) -> None:
    """Most requests of a client's connection; 0 for no limit."""
    number = looseInteger(word, scope.warn)
    if number < 0:
        scope.warn(word, "a negative number ends each connection after one request")
        number = 1
    scope.server.limits["keepAliveRequests"] = number


def limit(name: str, field: str, default: int, doc: str) -> None:
    """The row of a LimitRequest... directive."""

    def apply(scope: Scope, word: Word) -> None:
        number = looseInteger(word, scope.warn)
        if number < 0:
            raise word.error(f"{name} must be a non-negative integer")
        scope.server.limits[field] = number

    rows.directive(
        name,
        Shape.TAKE1,
        Context.SERVER,
        syntax="number",
        default=str(default),
        example=f"{name} {default * 2}",
        doc=doc,
    )(apply)


limit("LimitRequestLine", "line", 8190, "Most bytes of a request line.")
limit("LimitRequestFieldSize", "fieldSize", 8190, "Most bytes of a header field.")
limit("LimitRequestFields", "fields", 100, "Most header fields; 0 for no limit.")


@rows.directive(
    "LimitRequestBody",
    Shape.TAKE1,
    Context.ANYWHERE,
    syntax="bytes",
    default="1073741824",
    example="LimitRequestBody 10485760",
    override=Override.ANY,
)
def limitRequestBody(scope: Scope, word: Word) -> None:
    """Most bytes of a request's body; 0 for no limit."""
    number = int(word) if re.fullmatch(r"\s*\+?[0-9]+", word, re.ASCII) else -1
    if not 0 <= number < 2**63:
        raise word.error("LimitRequestBody requires a non-negative integer")
    scope.section.values["limitBody"] = number
    if not scope.inSection:
        scope.server.limits["body"] = number


_READ_TIMEOUT = re.compile(
    r"([0-9]+)(?:-([0-9]+),MinRate=([0-9]+)|,MinRate=([0-9]+))?", re.IGNORECASE
)


@reqtimeout.directive(
    "RequestReadTimeout",
    Shape.WORDS,
    Context.SERVER,
    syntax="header|body=timeout[[-max],MinRate=rate] ...",
    default="header=20",
    example="RequestReadTimeout header=10-20,MinRate=500 body=60,MinRate=500",
)
def requestReadTimeout(scope: Scope, words: list[Word]) -> None:
    """
    How long a client may take to send a request's head; 0 is no limit.

    The second timeout, MinRate and what is said of bodies have no effect yet: a body is
    waited for as long as Timeout says, after each part of it.
    """
    for key, value in keyValues(words):
        stage = key.lower()
        if stage not in ("header", "body", "handshake"):
            raise key.error(f"{str(key)!r} is no part of a request", "header, body")
        match = _READ_TIMEOUT.fullmatch(value)
        if match is None:
            raise value.error("this is no timeout", "20, or 20,MinRate=500, or 20-40,MinRate=500")
        least, most = int(match[1]), int(match[2] or 0)
        rate = match[3] or match[4]
        if rate is not None and int(rate) == 0:
            raise value.error("the minimum rate must be larger than 0")
        if most and most <= least:
            raise value.error("the second timeout must be larger than the first")
        if stage == "handshake":
            continue  # TLS is the endpoint's
        if stage == "body" or most or rate is not None:
            scope.warn(key, "only the first timeout of a header has an effect yet")
        if stage == "header":
            scope.server.limits["headTimeout"] = float(least) or math.inf
