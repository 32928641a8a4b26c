"""Directives about errors: who makes the page, and for which of them."""

from __future__ import annotations

import re

from twisted_fcgi.config.expressions import text
from twisted_fcgi.config.registry import Context, Override, Rows, Shape
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.values import looseInteger
from twisted_fcgi.config.words import Word
from twisted_fcgi.http import REASONS
from twisted_fcgi.settings import ErrorDocument

__all__ = ["proxy", "rows"]

rows = Rows("core")
proxy = Rows("mod_proxy")

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@rows.directive(
    "ErrorDocument",
    Shape.TAKE2,
    Context.ANYWHERE,
    syntax="status document",
    default="a page of our own",
    example='ErrorDocument 503 "We will be back in a minute."\nErrorDocument 404 /lost.php',
    override=Override.FILE_INFO,
)
def errorDocument(scope: Scope, status: Word, document: Word) -> None:
    """
    What the client gets with an error: a text, a local path, or a URL to go to.

    A local path may be an application's: it gets the request as a GET, and the
    variables of the request that failed with ``REDIRECT_`` before their names.  The
    answer keeps the error's status, unless the application gives another one.  Text and
    paths may hold ``%{variables}``; ``default`` is our own page again.
    """
    number = looseInteger(status, scope.warn)
    if number not in REASONS:
        raise status.error(f"{str(status)!r} is no status of HTTP", "ErrorDocument 404 /lost.html")
    isText = " " in document or not (document.startswith("/") or _URL.match(document))
    if number == 401 and not isText and not document.startswith("/"):
        # The client would never be asked who it is.
        scope.warn(document, "a 401 can't be answered with another place's URL, ignored")
        return
    documents = scope.section.values.setdefault("errorDocuments", {})
    if document.lower() == "default":
        documents[number] = ErrorDocument(None, place=scope.place)
    else:
        made = text(document.part(1) if isText and document.startswith('"') else document)
        documents[number] = ErrorDocument(str(document), isText, made, scope.place)


@proxy.directive(
    "ProxyErrorOverride",
    Shape.ITERATE,
    Context.ANYWHERE,
    syntax="On|Off [status ...]",
    default="Off",
    example="ProxyErrorOverride On 404 500",
)
def proxyErrorOverride(scope: Scope, word: Word) -> None:
    """
    Our own pages, or ErrorDocument's, in place of those that applications answer errors with.

    The application's header fields are kept but for those that describe its page.
    Without statuses, all from 400 on.
    """
    values = scope.section.values
    if word.lower() in ("on", "off"):
        values["overridesErrors"] = word.lower() == "on"
        return
    if "overridesErrors" not in values:
        raise word.error("ProxyErrorOverride must be On or Off", "ProxyErrorOverride On 404")
    if not values["overridesErrors"]:
        raise word.error("statuses follow On only", "ProxyErrorOverride On 404")
    if not word[:1].isdigit():
        raise word.error(f"{str(word)!r} is no status")
    status = looseInteger(word, scope.warn)
    if not 400 <= status <= 599:
        raise word.error(f"{str(word)!r} is no status of an error", "400 to 599")
    values["overriddenStatuses"] = values.get("overriddenStatuses", frozenset()) | {status}
