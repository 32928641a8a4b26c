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
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING
from weakref import ref

from twisted_fcgi.errors import RequestError
from twisted_fcgi.message import Request
from twisted_fcgi.pcre import Match, searchFailures
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

#: What was found in attributes of requests and is remembered, for all hosts and sections, and
#: bytes of such attributes of one request.
MAX_FOUND = 4096
MAX_VALUES = 512

#: What one of them may take, roughly, in bytes: a ``.htaccess`` may have thousands of lines,
#: each with a copy of the value.
MAX_FINDINGS = 4096

#: Names of fields of which a line remembers whether they fit, and how long one may be.
MAX_NAMES = 128
MAX_NAME = 64

#: Fields whose values are not remembered.
_SECRETS = frozenset((b"authorization", b"cookie", b"proxy-authorization"))

#: Attributes that follow from the target and who was asked.
_OF_THE_TARGET = frozenset((b"host", b"request_uri", b"server_addr"))

#: Attributes of the request that are no fields.
_OF_THE_REQUEST: dict[bytes, Callable[[Request], bytes]] = {
    b"remote_addr": lambda request: request.client.host,
    b"remote_host": lambda request: request.client.host,  # names are never looked up
    b"request_method": lambda request: request.method,
    b"request_protocol": lambda request: request.protocol,
}

#: What lines find, each: ``None`` when there is no such attribute, else whether it fits, or
#: the groups.
Found = tuple[bool | tuple[bytes | None, ...] | None, ...]

#: By the conditions, and the values of the attributes that they look at.
_found: dict[tuple[ref[Conditions], tuple[bytes | None, ...]], Found] = {}

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
        lines = [condition for condition, _, _ in self._rows if isinstance(condition, _Line)]
        self._isKnown = len(lines) == len(self._rows) and 8 * len(lines) <= MAX_FINDINGS
        self._ref = ref(self)  # those of a .htaccess that is gone go, too
        reading = [line for line in lines if not (line.names or line.attribute in _OF_THE_TARGET)]
        attributes = list(dict.fromkeys(line.attribute for line in reading))
        self._attributes = [(name, _OF_THE_REQUEST.get(name)) for name in attributes]
        self._secrets = _SECRETS.intersection(attributes)
        self._naming = [line for line in lines if line.names is not None]
        # Each with the place of the value that it looks at.
        self._lines = [(line, attributes.index(line.attribute)) for line in reading]
        self._lines += [(line, len(attributes) + i) for i, line in enumerate(self._naming)]

    def found(self, request: Request) -> Found | None:
        """
        What of a request makes a difference to them, besides its target and who was asked;
        ``None`` when that is more than can be remembered.
        """
        if not self._isKnown:
            return None
        headers = request.headers
        if self._secrets and not self._secrets.isdisjoint(headers.names()):
            return None
        values = [
            headers.get(name) if read is None else read(request) for name, read in self._attributes
        ]
        try:
            for line in self._naming:
                name, value = line.named(request)
                if name.lower() in _SECRETS:
                    return None
                values.append(value)
            key = self._ref, tuple(values)
            found = _found.get(key)
            if found is None:
                if sum(len(value) for value in values if value is not None) > MAX_VALUES:
                    return None
                found = tuple(line.find(values[place]) for line, place in self._lines)
                if sum(map(_sizeOf, found)) > MAX_FINDINGS:
                    return None
                if len(_found) >= MAX_FOUND:
                    _found.clear()
                _found[key] = found
        except searchFailures():
            return None
        return found

    def apply(self, look: Look) -> None:
        """
        Set and remove variables for a request.

        ``Request_URI`` is the path as it is by then: decoded if the request was mapped.
        """
        look.grounds.meet(self, look.request)
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


def _sizeOf(finding: bool | tuple[bytes | None, ...] | None) -> int:
    """Roughly the bytes of what a line finds."""
    groups = finding if isinstance(finding, tuple) else ()
    return 8 + sum(40 + len(group or b"") for group in groups)


class _Line:
    """
    SetEnvIf, SetEnvIfNoCase or BrowserMatch, prepared.

    :ivar attribute: in lower case.
    :ivar names: finds fields whose names fit, in place of an attribute; or ``None``.
    :ivar plain: whether no group is put into a variable.
    """

    __slots__ = ("_fits", "_pattern", "_variable", "attribute", "names", "plain")

    def __init__(self, condition: VariableCondition, names: Names) -> None:
        self.attribute = condition.attribute.lower()
        self.names = condition.names
        self.plain = condition.plain
        self._pattern = condition.pattern
        self._fits: dict[bytes, bool] = {}
        self._variable = names(condition.attribute)

    def search(self, look: Look) -> Match | None:
        """What the expression finds in the attribute's value."""
        attribute, request = self.attribute, look.request
        if self.names is not None:
            _, value = self.named(request)
        elif attribute == b"request_uri":
            value = look.uri
        elif attribute == b"server_addr":
            value = request.server.host
        elif (read := _OF_THE_REQUEST.get(attribute)) is not None:
            value = read(request)
        else:
            isHost = attribute == b"host"
            field = look.authority.field if isHost else request.headers.get(attribute)
            value = field if field is not None else look.environment.get(self._variable, b"")
        return self._pattern.search(value)

    def named(self, request: Request) -> tuple[bytes, bytes]:
        """The last header field whose name fits; empty when there is none."""
        assert self.names is not None
        fits = self._fits
        for field in reversed(request.headers.pairs):
            name = field[0]
            isIt = fits.get(name)
            if isIt is None:
                isIt = self.names.search(name) is not None
                if len(name) <= MAX_NAME:
                    if len(fits) >= MAX_NAMES:
                        fits.clear()
                    fits[name] = isIt
            if isIt:
                return field
        return b"", b""

    def find(self, value: bytes | None) -> bool | tuple[bytes | None, ...] | None:
        """As of :data:`Found`, in the value of an attribute."""
        if value is None:
            return None
        match = self._pattern.search(value)
        if match is None or self.plain:
            return match is not None
        return tuple(match[number] for number in range(match.re.groups + 1))


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
