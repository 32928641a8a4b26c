"""
Header and RequestHeader: what lines make of tables of fields (httpd: mod_headers).

Each operation on a table is that of APR's tables, which find a name whatever its case, and
know of several fields of a name only the first.  Whatever a value is made of, no control
character but tab gets into a field.

Here are the tables, the lines, and requests; responses are in
:mod:`~twisted_fcgi.routing.heads`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from twisted_fcgi.errors import RequestError
from twisted_fcgi.expr import (
    EvaluationError,
    MatchGivenUp,
    RequestContext,
    RequestState,
    spelled,
    valueOf,
)
from twisted_fcgi.headers import Headers
from twisted_fcgi.message import Request, ResponseHead
from twisted_fcgi.pcre import Match, Pattern, searchFailures
from twisted_fcgi.routing.environment import MAX_SUBSTITUTED, Environment, substitute
from twisted_fcgi.settings import FieldAction, FieldChange, FieldTable

__all__ = [
    "Early",
    "Fields",
    "FieldsContext",
    "Pair",
    "append",
    "applyChanges",
    "changedEarly",
    "changedRequest",
    "incomingOf",
    "put",
]

Pair = tuple[bytes, bytes]

#: Matches that one ``edit*`` replaces: each looks at what is left of the value anew.
MAX_MATCHES = 4096

_control = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_element = re.compile(rb'[ \t]*((?:[^,"]|"[^"]*(?:"|$))*)(?:,|$)')


# Tables (apr_table_...).


def firstOf(table: list[Pair], lower: bytes) -> bytes | None:
    """The value of the first of a name, in lower case."""
    return next((value for name, value in table if name.lower() == lower), None)


def unset(table: list[Pair], lower: bytes) -> None:
    """Take all of a name away."""
    table[:] = [pair for pair in table if pair[0].lower() != lower]


def put(table: list[Pair], name: bytes, value: bytes) -> None:
    """Set a field: in the place of the first, without the others."""
    lower = name.lower()
    for place, (known, _) in enumerate(table):
        if known.lower() == lower:
            rest = [pair for pair in table[place + 1 :] if pair[0].lower() != lower]
            table[place:] = [(known, value), *rest]
            return
    table.append((name, value))


def append(table: list[Pair], name: bytes, value: bytes) -> None:
    """Add a value to the first of its name, after a comma."""
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


class FieldsContext(RequestContext):
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
        value, lower = super().header(name, vary), name.lower()
        if self._incoming is None:
            return value
        found = firstOf(self._incoming, lower)
        if lower == b"host" and found == self.request.headers.get(lower):
            return value
        return found

    def responseHeader(self, name: bytes) -> bytes | None:
        if self._fields is None:
            return None
        lower = name.lower()
        value = firstOf(self._fields.success, lower)
        return firstOf(self._fields.always, lower) if value is None else value

    def environment(self, name: bytes) -> bytes | None:
        table = self._variables
        if table is None:
            table = self.state.environment
            if self._told is not None:
                table = {**table, **self._told()}
            self._variables = table
        return valueOf(table, name)

    def note(self, name: bytes) -> bytes | None:
        return valueOf(self._notes, name)

    def noted(self, name: bytes, value: bytes | None) -> None:
        """Keep a note, or forget it."""
        if value is None:
            self._notes.pop(spelled(self._notes, name) or name, None)
        else:
            self._notes[spelled(self._notes, name) or name] = value


def _value(change: FieldChange, context: FieldsContext) -> bytes:
    if change.constant is not None:
        return change.constant
    assert change.value is not None
    context.match = None
    read = list(context.vary)
    try:
        made = change.value(context)
        if len(made) > MAX_SUBSTITUTED:
            raise RequestError("a value makes too long a field", 500)
        return made
    except EvaluationError:
        return b""
    finally:
        context.vary = read  # a value does not make the response vary, as in httpd


def _holds(change: FieldChange, context: FieldsContext) -> bool:
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
    except searchFailures():
        return None
    return match


def _edited(change: FieldChange, value: bytes, context: FieldsContext) -> bytes:
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


def applyChanges(
    changes: Iterable[FieldChange],
    table: list[Pair],
    incoming: list[Pair],
    fields: Fields | None,
    context: FieldsContext,
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
            if action is FieldAction.SET or firstOf(table, lower) is None:
                value = _clean(_value(change, context))
                if typed is not None:
                    typed.contentType = value
                put(table, name, value)
        elif action is FieldAction.UNSET:
            if typed is not None:
                typed.contentType = None
            unset(table, lower)
        elif action is FieldAction.APPEND:
            append(table, name, _clean(_value(change, context)))
        elif action is FieldAction.ADD:
            table.append((name, _clean(_value(change, context))))
        elif action is FieldAction.MERGE:
            value = _clean(_value(change, context))
            known = firstOf(table, lower)
            if known is None or not _hasElement(known, value):
                append(table, name, value)
        elif action is FieldAction.ECHO:
            assert fields is not None and change.pattern is not None
            pattern = change.pattern
            fields.success += [pair for pair in incoming if _search(pattern, pair[0]) is not None]
        elif action is FieldAction.NOTE:
            context.noted(_value(change, context), firstOf(table, lower))
        else:
            if typed is not None and typed.contentType is not None:
                typed.contentType = _clean(_edited(change, typed.contentType, context))
            edited = [
                (known, _clean(_edited(change, value, context)))
                for known, value in table
                if known.lower() == lower
            ]
            if edited:
                unset(table, lower)
                table += edited
    if fields is not None:
        for read in context.vary[varied:]:
            append(fields.success, b"Vary", read)


# Requests.


def incomingOf(request: Request) -> list[Pair]:
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
    incoming = incomingOf(request)
    context = FieldsContext(request, state, None, incoming, None, None)
    applyChanges(changes, incoming, incoming, None, context)
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
    incoming = incomingOf(request)
    fields = Fields(list(early.always) if early is not None else [])
    context = FieldsContext(request, state, None, incoming, fields, None)
    for which, table in (
        (FieldTable.REQUEST, incoming),
        (FieldTable.ALWAYS, fields.always),
        (FieldTable.ON_SUCCESS, fields.success),
    ):
        lines = [change for change in changes if change.table is which]
        ofResponse = None if which is FieldTable.REQUEST else fields
        applyChanges(lines, table, incoming, ofResponse, context)
        if which is FieldTable.REQUEST and lines:
            request = request.changed(headers=Headers(incoming))
    return request, Early(tuple(fields.always), tuple(fields.success))
