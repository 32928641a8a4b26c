"""
Variables that the configuration sets: SetEnvIf and SetEnv (httpd: mod_setenvif, mod_env).

SetEnvIf outside of sections runs before a path is mapped, inside of sections
after it, SetEnv last; so a SetEnv wins over a SetEnvIf, and can't be seen by one.

httpd's tables find a variable whatever the case of its name.  Names only come from
the configuration, so they are brought to one spelling when it is read, and
looked up as they are for a request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from twisted_fcgi.errors import RequestError
from twisted_fcgi.message import Request
from twisted_fcgi.pcre import Match
from twisted_fcgi.settings import VariableChange, VariableCondition, VariableExpression

if TYPE_CHECKING:
    from twisted_fcgi.routing.look import Look

__all__ = [
    "Conditions",
    "Environment",
    "Interpolation",
    "Names",
    "changed",
    "isTooLarge",
    "prepared",
    "substitute",
]

#: Variables by name (httpd: ``subprocess_env``).
Environment = dict[bytes, bytes]

#: httpd's bound on what a substitution makes (AP_PREGSUB_MAXLEN).
MAX_SUBSTITUTED = 65536

#: Bytes of the variables of a request, where there are more than some: a request that waits
#: for its application keeps them.
MAX_ENVIRONMENT = 1048576
_SOME = 64

_VARIABLE = re.compile(rb"\$\{([^}]*)\}")

_PIECE = re.compile(rb"\$([0-9])|\\(.)|([^$\\]+|[$\\])", re.S)

#: Names that mean something to the gateway, or that an application expects in capitals.
_LOWER_CASE = (
    b"downgrade-1.0",
    b"force-no-vary",
    b"no-proxy",
    b"nokeepalive",
    b"proxy-fcgi-pathinfo",
    b"redirect-carefully",
)
_UPPER_CASE = (
    b"AUTH_TYPE CONTENT_LENGTH CONTENT_TYPE CONTEXT_DOCUMENT_ROOT CONTEXT_PREFIX DOCUMENT_ROOT "
    b"GATEWAY_INTERFACE HTTPS PATH PATH_INFO PATH_TRANSLATED QUERY_STRING REMOTE_ADDR REMOTE_HOST "
    b"REMOTE_IDENT REMOTE_PORT REMOTE_USER REQUEST_METHOD REQUEST_SCHEME REQUEST_URI "
    b"SCRIPT_FILENAME SCRIPT_NAME SERVER_ADDR SERVER_ADMIN SERVER_NAME SERVER_PORT "
    b"SERVER_PROTOCOL SERVER_SIGNATURE SERVER_SOFTWARE"
).split()


class Names:
    """The one spelling of each variable's name: the first that was seen."""

    def __init__(self) -> None:
        self._spellings = {name.lower(): name for name in (*_LOWER_CASE, *_UPPER_CASE)}

    def copy(self) -> Names:
        """Others that begin as these are: for what does not stay."""
        names = Names()
        names._spellings.update(self._spellings)
        return names

    def __call__(self, name: bytes) -> bytes:
        lower = name.lower()
        first = name.upper() if lower.startswith(b"http_") else name
        return self._spellings.setdefault(lower, first)

    def known(self, name: bytes) -> bytes:
        """The same for a name that a request may have made, which is not remembered."""
        lower = name.lower()
        first = name.upper() if lower.startswith(b"http_") else name
        return self._spellings.get(lower, first)


class Conditions:
    """
    SetEnvIf lines and their like, prepared.

    :param conditions: in their order.
    :param names: the spelling of variables.
    """

    def __init__(
        self, conditions: Iterable[VariableCondition | VariableExpression], names: Names
    ) -> None:
        self._rows = [
            (
                condition if isinstance(condition, VariableExpression) else _Line(condition, names),
                [(names(change.name), change.value) for change in condition.changes],
                condition.place,
            )
            for condition in conditions
        ]

    def apply(self, look: Look) -> None:
        """
        Set and remove variables for a request.

        ``Request_URI`` is the path as it is by then: decoded if the request was mapped.
        """
        environment, notes = look.environment, look.notes
        for condition, changes, place in self._rows:
            match: Match | None
            if isinstance(condition, _Line):
                match = condition.search(look)
                if match is None:
                    continue
                plain = condition.plain
            else:
                held = look.holds(condition.condition, place)
                if held is None:
                    continue
                # Without a match there is nothing to put in: the text stays (httpd puts in
                # what is in its memory).
                match = held.match
                plain = match is None
            for name, text in changes:
                if text is None:
                    environment.pop(name, None)
                else:
                    environment[name] = text if plain or match is None else substitute(text, match)
                    if notes is not None:
                        notes.variable(name, environment[name], place)


class _Line:
    """SetEnvIf, SetEnvIfNoCase or BrowserMatch, prepared."""

    def __init__(self, condition: VariableCondition, names: Names) -> None:
        self._condition = condition
        self._attribute = condition.attribute.lower()
        self._variable = names(condition.attribute)
        self.plain = condition.plain

    def search(self, look: Look) -> Match | None:
        """What the expression finds in the attribute's value."""
        attribute, request = self._attribute, look.request
        if self._condition.names is not None:
            value = _namedField(request, self._condition)
        elif attribute == b"request_uri":
            value = look.uri
        elif attribute in (b"remote_addr", b"remote_host"):  # names are never looked up
            value = request.client.host
        elif attribute == b"server_addr":
            value = request.server.host
        elif attribute == b"request_method":
            value = request.method
        elif attribute == b"request_protocol":
            value = request.protocol
        else:
            isHost = attribute == b"host"
            field = look.authority.field if isHost else request.headers.get(attribute)
            value = field if field is not None else look.environment.get(self._variable, b"")
        return self._condition.pattern.search(value)


class Interpolation:
    """
    A text of a ProxyPass with ``${VARIABLE}`` in it (``ap_proxy_interpolate``).

    :param names: the spelling of variables.
    """

    def __init__(self, text: bytes, names: Names) -> None:
        # Texts, and between two of them the name of a variable.
        self._pieces = _VARIABLE.split(text)
        self._pieces[1::2] = map(names, self._pieces[1::2])

    def made(self, environment: Environment) -> bytes:
        """The text with the variables' values; one that is not set leaves nothing."""
        pieces = list(self._pieces)
        pieces[1::2] = [environment.get(name, b"") for name in pieces[1::2]]
        return b"".join(pieces)


def isTooLarge(environment: Environment) -> bool:
    """Whether variables are more than a request may keep."""
    return len(environment) > _SOME and sum(map(len, environment.values())) > MAX_ENVIRONMENT


def prepared(
    conditions: Sequence[VariableCondition | VariableExpression] | None, names: Names
) -> Conditions | None:
    """The conditions, or ``None`` where there are none."""
    return Conditions(conditions, names) if conditions else None


def _namedField(request: Request, condition: VariableCondition) -> bytes:
    """The value of the last header field whose name fits."""
    assert condition.names is not None
    for name, value in reversed(request.headers.pairs):
        if condition.names.search(name):
            return value
    return b""


def changed(changes: Iterable[VariableChange], names: Names) -> Environment:
    """What SetEnv, PassEnv and UnsetEnv lines leave, in their order."""
    environment: Environment = {}
    for change in changes:
        name = names(change.name)
        if change.value is None:
            environment.pop(name, None)
        else:
            environment[name] = change.value
    return environment


def substitute(text: bytes, match: Match) -> bytes:
    """
    Put the groups of a match into a text (``ap_pregsub``).

    ``$0`` to ``$9`` are groups, empty when there is no such group; a backslash takes
    the next character as it is.
    """
    if b"$" not in text and b"\\" not in text:
        return text
    groups = match.re.groups
    parts = []
    for digit, quoted, plain in _PIECE.findall(text):
        if digit:
            number = int(digit)
            parts.append((match[number] or b"") if number <= groups else b"")
        else:
            parts.append(quoted or plain)
    made = b"".join(parts)
    if len(made) >= MAX_SUBSTITUTED:
        raise RequestError("a substitution makes too long a text", 500)
    return made
