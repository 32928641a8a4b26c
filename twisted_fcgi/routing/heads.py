"""
Header: what lines make of a response's head.

A response of httpd has two tables of fields, ``err_headers_out`` and ``headers_out``; here
:class:`~twisted_fcgi.routing.fields.Fields` has both.  In the first are an application's, in
the second a file's, those of :data:`~twisted_fcgi.headers.SUCCESS_FIELDS`, and Vary with what
expressions read; the type of the content is in neither.  When an error's page is made the
first takes the place of the second, and is empty for the lines that follow.  At last one
comes after the other, so that a name may be there twice.  Framing is never changed.

An application repeats its heads, and most lines are plain: what those make of such a head
is remembered, up to a bound.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from twisted_fcgi.errors import RequestError
from twisted_fcgi.expr import RequestState
from twisted_fcgi.headers import FRAMING_FIELDS, SUCCESS_FIELDS, Headers, joinedNames
from twisted_fcgi.message import Request, ResponseHead, Source
from twisted_fcgi.pcre import effort
from twisted_fcgi.routing.environment import Environment
from twisted_fcgi.routing.fields import (
    Early,
    Fields,
    FieldsContext,
    Pair,
    append,
    applyChanges,
    incomingOf,
    put,
)
from twisted_fcgi.settings import FieldAction, FieldChange, FieldTable

__all__ = ["changedHead"]

#: Heads of which it is remembered what plain lines make of them.
MAX_HEADS = 256

#: The longest of them; a ``.htaccess`` may make fields without end.
MAX_KEPT = 16384

#: What a refusal says itself, whatever was said before.
_OF_ERRORS = frozenset((b"allow", b"location"))


def _fieldsOf(head: ResponseHead, early: Early | None, carried: frozenset[bytes]) -> Fields:
    """
    The two tables of a response as it was made.

    :param carried: names of what an error's response had before its page was made.
    """
    fields = Fields()
    source = head.source
    if early is not None:
        for pair in early.always:
            if source is Source.APPLICATION and pair[0].lower() != b"set-cookie":
                append(fields.always, *pair)
            else:
                fields.always.append(pair)
        if source is not Source.ERROR:
            fields.success += early.success
    for pair in head.headers.pairs:
        lower = pair[0].lower()
        if lower == b"content-type":
            fields.contentType = pair[1]
            continue
        if source is Source.APPLICATION:
            always = lower not in SUCCESS_FIELDS
        else:
            always = source is Source.ERROR or lower in carried
        table = fields.always if always else fields.success
        if early is None or lower == b"set-cookie":
            table.append(pair)
        elif always and lower not in _OF_ERRORS:
            append(table, *pair)
        else:
            put(table, *pair)
    if source is Source.ERROR:
        fields.success, fields.always = fields.always, []
    return fields


def changedHead(
    changes: tuple[FieldChange, ...],
    head: ResponseHead,
    request: Request,
    state: RequestState,
    *,
    proxied: bool,
    told: Callable[[], Environment] | None = None,
    early: Early | None = None,
    carried: frozenset[bytes] = frozenset(),
) -> ResponseHead:
    """
    A response's head as Header lines make it.

    :param proxied: whether an application was asked: then Date and Server may be others
        than ours.
    :param told: the variables that an application was told.
    :param early: the fields that were there before.
    :param carried: names in lower case of the fields that an error's response had before
        its page was made.
    """
    pairs = head.headers.pairs
    key = (id(changes), id(pairs), head.status, head.close, proxied)
    usual = head.headers.prepared is not None and early is None and not carried and not request.vary
    if usual and (kept := _kept.get(key)) is not None:
        changed = head.copy()
        changed.headers = kept.headers.copy()
        changed.close = kept.close
        return changed
    effort.begin()
    fields = _fieldsOf(head, early, carried)
    if request.vary and head.source is Source.APPLICATION:
        fields.success.append((b"Vary", joinedNames(request.vary)))
    context = FieldsContext(request, state, head, None, fields, told)
    echoes = any(change.action is FieldAction.ECHO for change in changes)
    incoming = incomingOf(request) if echoes else []
    for which, table in (
        (FieldTable.ALWAYS, fields.always),
        (FieldTable.ON_SUCCESS, fields.success),
    ):
        if which is FieldTable.ON_SUCCESS and head.source is Source.ERROR:
            break
        lines = [change for change in changes if change.table is which]
        try:
            applyChanges(lines, table, incoming, fields, context)
        except RequestError:
            pass  # httpd does not go on with this table, either
    changed = _joined(head, fields, proxied)
    if (
        usual
        and all(_isPlain(change) for change in changes)
        and len(changed.headers.lines()) <= MAX_KEPT  # they are made for all its copies
    ):
        if len(_kept) >= MAX_HEADS:
            _kept.clear()
        _kept[key] = _Kept(changes, pairs, changed.headers.copy(), changed.close)
    return changed


def _isPlain(change: FieldChange) -> bool:
    """Whether it always does the same."""
    if change.condition is not None or change.action in (FieldAction.ECHO, FieldAction.NOTE):
        return False
    return change.value is None or change.constant is not None


class _Kept(NamedTuple):
    """
    What plain lines make of a head; it keeps alive what its key names.

    :ivar close: whether the client's connection ends after it.
    """

    changes: tuple[FieldChange, ...]
    pairs: list[Pair]
    headers: Headers
    close: bool


_kept: dict[tuple[int, int, int, bool, bool], _Kept] = {}


def _joined(head: ResponseHead, fields: Fields, proxied: bool) -> ResponseHead:
    """Both tables in one, for the front (``ap_http_header_filter``)."""
    changed = head.copy()
    pairs = [*fields.always, *fields.success]
    if fields.contentType is not None and head.status not in (204, 304):
        put(pairs, b"Content-Type", fields.contentType)
    headers = Headers(pairs)
    names = headers.names()
    if b"connection" in names:
        options = b",".join(headers.getAll(b"connection")).lower().split(b",")
        changed.close = changed.close or b"close" in [option.strip() for option in options]
    ours = FRAMING_FIELDS if proxied else FRAMING_FIELDS | {b"date", b"server"}
    if not names.isdisjoint(ours):
        headers = Headers(pair for pair in pairs if pair[0].lower() not in ours)
    if b"vary" in headers:
        headers.vary(())
    for name in (b"date", b"server"):
        values = headers.getAll(name)
        if len(values) > 1:
            headers.set(name.title(), values[0])
    changed.headers = headers
    return changed
