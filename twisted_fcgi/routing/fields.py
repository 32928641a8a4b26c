"""
Header and RequestHeader: what they make of the fields of a request or a response.

A response of httpd has two tables of fields, ``err_headers_out`` and ``headers_out``; here
:class:`Fields` has both.  In the first are an application's, in the second a file's and
those of :data:`~twisted_fcgi.headers.SUCCESS_FIELDS`; the type of the content is in neither.
When an error's page is made the first takes the place of the second, and is empty for the
lines that follow.  At last one comes after the other, so that a name may be there twice.

Each operation on a table is that of APR's tables, which find a name whatever its case, and
know of several fields of a name only the first.

An application repeats its heads, and most lines are plain: what those make of such a head
is remembered, up to a bound.  Whatever a value is made of, no control character but tab
gets into a field; framing is never changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from twisted_fcgi.errors import RequestError
from twisted_fcgi.expr import EvaluationError, MatchGivenUp, RequestContext, RequestState, spelled
from twisted_fcgi.headers import SUCCESS_FIELDS, Headers
from twisted_fcgi.message import Request, ResponseHead, Source
from twisted_fcgi.pcre import Match, MatchFailed, Pattern, effort
from twisted_fcgi.routing.environment import MAX_SUBSTITUTED, Environment, substitute
from twisted_fcgi.settings import FieldAction, FieldChange, FieldTable

__all__ = ["Early", "changedEarly", "changedHead", "changedRequest"]

Pair = tuple[bytes, bytes]

#: The front's own; what else is said of it would damage the message.
_FRAMING = frozenset((b"content-length", b"transfer-encoding", b"connection", b"keep-alive"))

#: Heads of which it is remembered what plain lines make of them.
MAX_HEADS = 256

#: Matches that one ``edit*`` replaces: each looks at what is left of the value anew.
MAX_MATCHES = 4096

#: What a refusal says itself, whatever was said before.
_OF_ERRORS = frozenset((b"allow", b"location"))

_control = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_element = re.compile(rb'[ \t]*((?:[^,"]|"[^"]*(?:"|$))*)(?:,|$)')


# Tables (apr_table_...).


def _get(table: list[Pair], lower: bytes) -> bytes | None:
    return next((value for name, value in table if name.lower() == lower), None)


def _unset(table: list[Pair], lower: bytes) -> None:
    table[:] = [pair for pair in table if pair[0].lower() != lower]


def _set(table: list[Pair], name: bytes, value: bytes) -> None:
    """In the place of the first, without the others."""
    lower = name.lower()
    for place, (known, _) in enumerate(table):
        if known.lower() == lower:
            rest = [pair for pair in table[place + 1 :] if pair[0].lower() != lower]
            table[place:] = [(known, value), *rest]
            return
    table.append((name, value))


def _append(table: list[Pair], name: bytes, value: bytes) -> None:
    """To the first, after a comma."""
    lower = name.lower()
    for place, (known, before) in enumerate(table):
        if known.lower() == lower:
            table[place] = known, before + b", " + value
            return
    table.append((name, value))


def _hasElement(value: bytes, element: bytes) -> bool:
    """Whether a list has an element, as Header's merge looks for it."""
    at = 0
    while at < len(value):
        match = _element.match(value, at)
        assert match is not None
        if match[1] == element:
            return True
        at = match.end()
    return False


@dataclass(slots=True)
class Early:
    """
    The fields that a response has before it is made.

    :ivar always: those that errors have, too.
    :ivar success: the others.
    """

    always: tuple[Pair, ...] = ()
    success: tuple[Pair, ...] = ()


@dataclass(slots=True)
class Fields:
    """
    The fields of a response that is made.

    :ivar always: ``err_headers_out``.
    :ivar success: ``headers_out``.
    :ivar contentType: ``content_type``.
    """

    always: list[Pair] = field(default_factory=list)
    success: list[Pair] = field(default_factory=list)
    contentType: bytes | None = None


class _Context(RequestContext):
    """What a value or a condition sees: the fields as they are by then."""

    def __init__(
        self,
        request: Request,
        state: RequestState,
        head: ResponseHead | None,
        incoming: list[Pair] | None,
        fields: Fields | None,
        told: Callable[[], Environment] | None,
    ) -> None:
        super().__init__(request, state, head)
        self._incoming = incoming
        self._fields = fields
        self._told = told
        self._variables: Environment | None = None
        self._notes: Environment = {}

    def variable(self, name: bytes) -> bytes | None:
        if name == b"CONTENT_TYPE" and self._fields is not None:
            return self._fields.contentType
        return super().variable(name)

    def header(self, name: bytes, vary: bool = True) -> bytes | None:
        value = super().header(name, vary)
        return value if self._incoming is None else _get(self._incoming, name.lower())

    def responseHeader(self, name: bytes) -> bytes | None:
        if self._fields is None:
            return None
        lower = name.lower()
        value = _get(self._fields.success, lower)
        return _get(self._fields.always, lower) if value is None else value

    def environment(self, name: bytes) -> bytes | None:
        table = self._variables
        if table is None:
            table = self.state.environment
            if self._told is not None:
                table = {**table, **self._told()}
            self._variables = table
        found = spelled(table, name)
        return None if found is None else table[found]

    def note(self, name: bytes) -> bytes | None:
        found = spelled(self._notes, name)
        return None if found is None else self._notes[found]

    def noted(self, name: bytes, value: bytes | None) -> None:
        """Keep a note, or forget it."""
        if value is None:
            self._notes.pop(spelled(self._notes, name) or name, None)
        else:
            self._notes[spelled(self._notes, name) or name] = value


def _value(change: FieldChange, context: _Context) -> bytes:
    if change.constant is not None:
        return change.constant
    assert change.value is not None
    context.match = None
    read = list(context.vary)
    try:
        return change.value(context)
    except EvaluationError:
        return b""
    finally:
        context.vary = read  # a value does not make the response vary, as in httpd


def _holds(change: FieldChange, context: _Context) -> bool:
    if change.condition is None:
        return True
    context.match = None
    try:
        return change.condition(context)
    except MatchGivenUp:
        return False
    except EvaluationError:
        return True  # httpd: "ignoring"


def _search(pattern: Pattern, text: bytes) -> Match | None:
    """As ``ap_regexec``: what costs too much to find is not there."""
    try:
        match: Match | None = pattern.search(text)
    except MatchFailed:
        return None
    return match


def _edited(change: FieldChange, value: bytes, context: _Context) -> bytes:
    """
    Replace the first match, or with ``edit*`` each, in what is left of the value.

    :raises RequestError: it gets too long, or there are too many matches.
    """
    pattern: Pattern | None = change.pattern
    assert pattern is not None
    parts: list[bytes] = []
    size = 0
    while (match := _search(pattern, value)) is not None:
        made = substitute(_value(change, context), match)
        start, end = match.span()
        parts += (value[:start], made)
        size += start + len(made)
        if size > MAX_SUBSTITUTED or len(parts) > 3 * MAX_MATCHES:
            raise RequestError("a replacement makes too long a field", 500)
        value, rest = value[end:], value
        if change.action is FieldAction.EDIT:
            break
        if start == end:  # httpd would look at the same place again, for ever
            parts.append(rest[end : end + 1])
            value = rest[end + 1 :]
            if not value:
                break
    return b"".join(parts) + value


def _clean(value: bytes) -> bytes:
    """Without control characters: a field ends where it is to end."""
    return _control.sub(b" ", value)


def _apply(
    changes: Iterable[FieldChange],
    table: list[Pair],
    incoming: list[Pair],
    fields: Fields | None,
    context: _Context,
) -> None:
    """
    Do what some lines say (``do_headers_fixup``).

    :param table: the fields that are changed.
    :param incoming: the request's.
    :param fields: the response's.
    :raises RequestError: an edit makes too long a field.
    """
    varied = len(context.vary)
    for change in changes:
        if not _holds(change, context):
            continue
        action, name = change.action, change.name
        lower = name.lower()
        typed = fields if lower == b"content-type" else None
        if action is FieldAction.SET or action is FieldAction.SET_IF_EMPTY:
            if action is FieldAction.SET or _get(table, lower) is None:
                value = _clean(_value(change, context))
                if typed is not None:
                    typed.contentType = value
                _set(table, name, value)
        elif action is FieldAction.UNSET:
            if typed is not None:
                typed.contentType = None
            _unset(table, lower)
        elif action is FieldAction.APPEND:
            _append(table, name, _clean(_value(change, context)))
        elif action is FieldAction.ADD:
            table.append((name, _clean(_value(change, context))))
        elif action is FieldAction.MERGE:
            value = _clean(_value(change, context))
            known = _get(table, lower)
            if known is None or not _hasElement(known, value):
                _append(table, name, value)
        elif action is FieldAction.ECHO:
            assert fields is not None and change.pattern is not None
            pattern = change.pattern
            fields.success += [pair for pair in incoming if _search(pattern, pair[0]) is not None]
        elif action is FieldAction.NOTE:
            context.noted(_value(change, context), _get(table, lower))
        else:
            if typed is not None and typed.contentType is not None:
                typed.contentType = _clean(_edited(change, typed.contentType, context))
            edited = [
                (known, _clean(_edited(change, value, context)))
                for known, value in table
                if known.lower() == lower
            ]
            if edited:
                _unset(table, lower)
                table += edited
    if fields is not None:
        for read in context.vary[varied:]:
            _append(fields.success, b"Vary", read)


# Requests.


def _incomingOf(request: Request) -> list[Pair]:
    """The fields of a request, each name once, as httpd reads them."""
    headers = request.headers
    if len(headers.names()) == len(headers):
        return list(headers)
    pairs: dict[bytes, Pair] = {}
    for name, _ in headers:
        lower = name.lower()
        if lower not in pairs:
            pairs[lower] = name, headers.get(lower) or b""
    return list(pairs.values())


def changedRequest(
    changes: Iterable[FieldChange], request: Request, state: RequestState
) -> Request:
    """
    The request as RequestHeader lines make it.

    :raises RequestError: 500 when an edit makes too long a field.
    """
    incoming = _incomingOf(request)
    context = _Context(request, state, None, incoming, None, None)
    _apply(changes, incoming, incoming, None, context)
    changed = request.changed(headers=Headers(incoming))
    if context.vary:
        changed.vary = (*request.vary, *context.vary)
    return changed


def changedEarly(
    changes: tuple[FieldChange, ...], request: Request, state: RequestState, early: Early | None
) -> tuple[Request, Early]:
    """
    The request, and the fields of its response, as lines with ``early`` make them.

    :param early: of an internal redirect, the fields that there were before.
    :raises RequestError: as :func:`changedRequest`.
    """
    incoming = _incomingOf(request)
    fields = Fields(list(early.always) if early is not None else [])
    context = _Context(request, state, None, incoming, fields, None)
    for which, table in (
        (FieldTable.REQUEST, incoming),
        (FieldTable.ALWAYS, fields.always),
        (FieldTable.ON_SUCCESS, fields.success),
    ):
        lines = [change for change in changes if change.table is which]
        ofResponse = None if which is FieldTable.REQUEST else fields
        _apply(lines, table, incoming, ofResponse, context)
        if which is FieldTable.REQUEST and lines:
            request = request.changed(headers=Headers(incoming))
    return request, Early(tuple(fields.always), tuple(fields.success))


# Responses.


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
                _append(fields.always, *pair)
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
            _append(table, *pair)
        else:
            _set(table, *pair)
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
    usual = head.headers.prepared and early is None and not carried
    if usual and (kept := _kept.get(key)) is not None:
        changed = head.copy()
        changed.headers = kept.headers.copy()
        changed.close = kept.close
        return changed
    effort.begin()
    fields = _fieldsOf(head, early, carried)
    context = _Context(request, state, head, None, fields, told)
    echoes = any(change.action is FieldAction.ECHO for change in changes)
    incoming = _incomingOf(request) if echoes else []
    for which, table in (
        (FieldTable.ALWAYS, fields.always),
        (FieldTable.ON_SUCCESS, fields.success),
    ):
        if which is FieldTable.ON_SUCCESS and head.source is Source.ERROR:
            break
        lines = [change for change in changes if change.table is which]
        try:
            _apply(lines, table, incoming, fields, context)
        except RequestError:
            pass  # httpd does not go on with this table, either
    changed = _joined(head, fields, proxied)
    if usual and all(_isPlain(change) for change in changes):
        changed.headers.lines()  # made for all its copies
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
        _set(pairs, b"Content-Type", fields.contentType)
    headers = Headers(pairs)
    names = headers.names()
    if b"connection" in names:
        options = b",".join(headers.getAll(b"connection")).lower().split(b",")
        changed.close = changed.close or b"close" in [option.strip() for option in options]
    ours = _FRAMING if proxied else _FRAMING | {b"date", b"server"}
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
