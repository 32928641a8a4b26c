"""
Values of directives: numbers, durations, sizes, addresses, patterns.

httpd reads numbers in two ways.  :func:`looseInteger` is C's ``atoi``, which takes
"10x" for 10 and "x" for 0; it is followed, since configurations that
rely on it exist, but never in silence.  :func:`strictDuration` is
``ap_timeout_parameter_parse``.

Where httpd reads a duration with ``atoi``, ``600ms`` becomes 600 seconds;
:func:`looseDuration` reads the unit.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import NamedTuple

from twisted_fcgi.config.source import SPACE, decode, encode
from twisted_fcgi.config.words import Word
from twisted_fcgi.errors import ConfigurationError
from twisted_fcgi.pcre import Pattern, PatternError, compilePattern

__all__ = [
    "AddressPort",
    "Warn",
    "addressPort",
    "isEndpoint",
    "keyValues",
    "looseDuration",
    "looseInteger",
    "pathError",
    "pattern",
    "strictDuration",
]

_LEADING_NUMBER = re.compile(rf"[{SPACE}]*([+-]?[0-9]+)", re.ASCII)

#: Seconds of a unit, by what its letters begin with; ``min`` is "mi", as in httpd.
_UNITS = (("ms", 0.001), ("mi", 60.0), ("s", 1.0), ("h", 3600.0))

#: Takes a notice about a word.
Warn = Callable[[Word, str], None]


def looseInteger(word: Word, warn: Warn) -> int:
    """A number as ``atoi`` reads it; says so when something was left over."""
    match = _LEADING_NUMBER.match(word)
    value = int(match[1]) if match else 0
    if match is None or match.end() != len(word):
        warn(word, f"{str(word)!r} is read as {value}")
    return value


def _unit(text: str) -> float | None:
    """The seconds of a unit; letters behind it do not matter, as in httpd."""
    lower = text.lower()
    return next((seconds for start, seconds in _UNITS if lower.startswith(start)), None)


def strictDuration(text: str, unit: str) -> float | None:
    """
    A duration as ``ap_timeout_parameter_parse`` reads it.

    :param unit: the unit of a number without one: ``s`` or ``ms``.
    :returns: seconds, or ``None`` when it is none.
    """
    match = _LEADING_NUMBER.match(text)
    number = int(match[1]) if match else 0
    seconds = _unit(text[match.end() if match else 0 :] or unit)
    if seconds is None or not 0 <= number * seconds < 2**63 / 1e6:
        return None
    return round(number * seconds, 3)


def looseDuration(word: Word, unit: str, warn: Warn) -> float:
    """
    A duration where httpd uses ``atoi``: a unit counts, anything else behind the number does not.

    :param unit: the unit of a number without one.
    """
    match = _LEADING_NUMBER.match(word)
    rest = word[match.end() :] if match else ""
    if match is None or not re.fullmatch("ms|s|min?|h|", rest, re.IGNORECASE):
        return looseInteger(word, warn) * (_unit(unit) or 1.0)
    return round(int(match[1]) * (_unit(rest or unit) or 1.0), 3)


def pathError(word: Word, message: str) -> ConfigurationError:
    """
    What to say of a path that leads nowhere: before all that a variable in it is not defined.

    :param message: what is wrong otherwise.
    """
    match = re.search(r"\$\{([^}:]+)\}", word)
    if match is None:
        return word.error(message)
    hint = f"Define {match[1]} VALUE, or set it in the environment, as Debian's envvars does"
    return word.error(f"{match[0]} is not defined", hint, match.start())


def keyValues(words: list[Word]) -> list[tuple[Word, Word]]:
    """
    Parameters, each ``key=value``.

    :raises ConfigurationError: when one has no value.
    """
    pairs = []
    for word in words:
        key, value = word.partitioned("=")
        if value is None:
            raise word.error(f"{str(word)!r} is no parameter", "it has the form key=value")
        pairs.append((key, value))
    return pairs


def pattern(word: Word, ignoreCase: bool = False) -> Pattern:
    """
    An expression.

    :raises ConfigurationError: at the character that is wrong.
    """
    text = encode(word)
    try:
        restricted = word.line.file.restricted
        return compilePattern(text, ignoreCase=ignoreCase, restricted=restricted)
    except PatternError as error:
        at = len(decode(text[: error.at]))
        raise word.error(f"this expression can't be compiled: {error}", index=at) from None


class AddressPort(NamedTuple):
    """
    What ``apr_parse_addr_port`` makes of an address.

    :ivar host: without brackets; ``None`` for a port alone.
    :ivar port: ``None`` without one.
    """

    host: str | None
    port: int | None


_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)(?:%[^\]]*)?\]|([A-Za-z0-9._*-]+))(?::([0-9]+))?")


def addressPort(text: str) -> AddressPort | None:
    """
    ``80``, ``host``, ``host:80``, ``1.2.3.4:80``, ``[::1]``, ``[::1]:80``.

    :returns: ``None`` when it is none of them.
    """
    if text.isascii() and text.isdigit():
        port = int(text)
        return AddressPort(None, port) if 1 <= port <= 65535 else None
    match = _ADDRESS.fullmatch(text)
    if match is None:
        return None
    numeric, host, digits = match.groups()
    port_ = None if digits is None else int(digits)
    if port_ is not None and not 1 <= port_ <= 65535:
        return None
    try:
        if numeric is not None:
            ipaddress.IPv6Address(numeric)
        elif re.fullmatch("[0-9.]+", host):
            ipaddress.IPv4Address(host)
    except ValueError:
        return None
    return AddressPort(numeric or host, port_)


def isEndpoint(text: str) -> bool:
    """Whether it is a Twisted server endpoint description, not an address with a port."""
    if re.match("(?:tcp6?|ssl):", text):  # no names of hosts
        return True
    return re.match("[A-Za-z][A-Za-z0-9]*:", text) is not None and addressPort(text) is None
