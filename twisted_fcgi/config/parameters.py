"""
The ``key=value`` parameters of ProxyPass, BalancerMember, ProxySet and ``<Proxy>``.

One table for members (httpd: ``set_worker_param``), one for balancers
(``set_balancer_param``): key, what it sets in the settings, how its value is
read, and a line for the reference.  A parameter without a field is checked and
kept as written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from twisted_fcgi.config.values import Warn, looseDuration, looseInteger, strictDuration
from twisted_fcgi.config.words import Word
from twisted_fcgi.errors import ConfigurationError, ConfigurationErrors, nearest
from twisted_fcgi.settings import (
    BALANCING_METHODS,
    CheckMethod,
    Flush,
    MemberSettings,
    Multiplex,
)

__all__ = ["BALANCER", "CHECK", "MEMBER", "Given", "Parameter", "readParameters"]


@dataclass(frozen=True)
class Parameter:
    """
    One parameter.

    :ivar sets: the settings' field, or empty.
    :ivar read: the value's reader; raises :class:`ConfigurationError`.
    :ivar values: what is allowed, for people.
    :ivar default: what holds without it.
    :ivar doc: one line.
    """

    key: str
    sets: str
    read: Callable[[Word, Warn], Any]
    values: str
    default: str
    doc: str


#: Fewer characters are no secret.
SHORTEST_SECRET = 16

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _number(least: int, most: int | None = None, zero: object = 0) -> Callable[[Word, Warn], Any]:
    """A number from ``least`` on; ``zero`` is what 0 stands for."""

    def read(word: Word, warn: Warn) -> Any:
        value = looseInteger(word, warn)
        if value < least or (most is not None and value > most):
            allowed = f"{least} to {most}" if most is not None else f"{least} or more"
            raise word.error(f"{str(word)!r} is out of range", f"a number, {allowed}")
        return value if value else zero

    return read


def _size(zero: int) -> Callable[[Word, Warn], Any]:
    """A buffer's size: 512 or more; ``zero`` is what 0 stands for."""

    def read(word: Word, warn: Warn) -> Any:
        value = looseInteger(word, warn)
        if value < 512 and value != 0:
            raise word.error(f"{str(word)!r} is too small", "512 bytes or more, or 0")
        return value or zero

    return read


def _headSize(word: Word, warn: Warn) -> int:
    """The size of a field, which is a part of the head."""
    return max(MemberSettings.maxResponseHead, int(_number(0)(word, warn)))


def _duration(unit: str, least: float) -> Callable[[Word, Warn], Any]:
    """A duration as ``ap_timeout_parameter_parse`` reads it."""

    def read(word: Word, warn: Warn) -> Any:
        seconds = strictDuration(word, unit)
        if seconds is None:
            raise word.error(f"{str(word)!r} is no duration", "a number with ms, s, min or h")
        if seconds < least:
            raise word.error(f"{str(word)!r} is too short", f"{_shown(least)} or more")
        return seconds

    return read


def _seconds(
    unit: str, least: float, most: float = math.inf, zero: object = 0.0
) -> Callable[[Word, Warn], Any]:
    """A duration where httpd reads a number; ``zero`` is what 0 stands for."""

    def read(word: Word, warn: Warn) -> Any:
        seconds = looseDuration(word, unit, warn)
        if not least <= seconds <= most:
            allowed = f"{_shown(least)} or more"
            if most != math.inf:
                allowed = f"{_shown(least)} to {_shown(most)}"
            raise word.error(f"{str(word)!r} is out of range", allowed)
        return seconds if seconds else zero

    return read


def _shown(seconds: float) -> str:
    return f"{seconds:g} s" if seconds == int(seconds) else f"{seconds * 1000:g} ms"


def _oneOf(**choices: object) -> Callable[[Word, Warn], Any]:
    """One of some words, whatever their case."""

    def read(word: Word, warn: Warn) -> Any:
        key = word.lower()
        if key not in choices:
            raise word.error(f"{str(word)!r} is none of its values", " or ".join(choices))
        return choices[key]

    return read


_onOff = _oneOf(on=True, off=False)
_offOn = _oneOf(on=False, off=True)


def _text(most: int | None = None) -> Callable[[Word, Warn], Any]:
    """Any text, up to a length."""

    def read(word: Word, warn: Warn) -> Any:
        if most is not None and len(word) > most:
            raise word.error("this is too long", f"at most {most} characters")
        return str(word)

    return read


def _loadFactor(word: Word, warn: Warn) -> int:
    """1 to 100 in hundredths."""
    match = re.match(r"\s*[+-]?\d+(?:\.\d*)?", word, re.ASCII)
    value = int(float(match[0]) * 100) if match else 0
    if not 100 <= value <= 10000:
        raise word.error(f"{str(word)!r} is out of range", "a number from 1 to 100")
    return value


def _addressTtl(word: Word, warn: Warn) -> float:
    """-1 or whole seconds."""
    if word == "-1":
        return math.inf
    seconds = strictDuration(word, "s")
    if seconds is None or seconds != int(seconds) or seconds > 2**31 - 1:
        raise word.error(f"{str(word)!r} is no number of seconds", "-1, or whole seconds")
    return seconds


def _status(word: Word, warn: Warn) -> frozenset[str]:
    """Letters, each after + (the default) or -; the sign holds for those behind it too."""
    states: set[str] = set()
    add = True
    at = 0
    while at < len(word):
        if word[at] in "+-":
            add = word[at] == "+"
            at += 1
        letter = word[at : at + 1].upper()
        if letter and letter in "OGUF":
            warn(word, f"the status {letter} is of httpd's own, it has no effect")
        elif not letter or letter not in "DSIRHNCE":
            raise word.error(f"{str(word)!r} is no status", "letters of D S I R H N C E", at)
        elif add:
            states.add(letter)
        else:
            states.discard(letter)
        at += 1
    return frozenset(states)


def _sticky(word: Word, warn: Warn) -> tuple[str, str]:
    """``cookie|path`` or one name for both."""
    cookie, path = word.partitioned("|")
    return str(cookie), str(cookie if path is None else path)


def _separator(word: Word, warn: Warn) -> str:
    if len(word) != 1:
        if word.lower() == "off":
            return ""
        raise word.error(f"{str(word)!r} is no separator", "one character, or off")
    return str(word)


def _nonce(word: Word, warn: Warn) -> str:
    """A secret as long as httpd's own, or none."""
    return "" if word.lower() == "none" else _text(36)(word, warn)


def _statuses(word: Word, warn: Warn) -> tuple[int, ...]:
    """HTTP statuses, separated by commas."""
    codes = []
    for match in re.finditer("[^, ]+", word):
        if not re.fullmatch("[1-5][0-9][0-9]", match[0]):
            hint = "statuses from 100 to 599, separated by commas"
            raise word.error(f"{match[0]!r} is no HTTP status", hint, match.start())
        codes.append(int(match[0]))
    return tuple(codes)


def _hashKey(word: Word, warn: Warn) -> str:
    """What of a request is hashed."""
    kind, colon, name = word.partition(":")
    kind = kind.lower()
    if kind in ("header", "cookie") and _TOKEN.fullmatch(name):
        return f"{kind}:{name}"
    if kind in ("uri", "client") and not colon:
        return kind
    raise word.error(f"{str(word)!r} can't be hashed", "uri, client, header:NAME or cookie:NAME")


def _cookieName(word: Word, warn: Warn) -> str:
    """A cookie's name (RFC 6265, 4.1.1)."""
    if not _TOKEN.fullmatch(word):
        raise word.error(f"{str(word)!r} is no cookie's name", "letters, digits, - and _")
    return str(word)


def _secret(word: Word, warn: Warn) -> str:
    """A text that nobody guesses."""
    if len(word) < SHORTEST_SECRET:
        raise word.error("this secret is too short", f"{SHORTEST_SECRET} characters or more")
    return str(word)


def _checkMethod(word: Word, warn: Warn) -> CheckMethod:
    """What a health check does."""
    name = word.upper()
    if name == "CPING":
        warn(word, "CPING is a question of AJP's; FCGI_GET_VALUES is asked instead (FCGI)")
        return CheckMethod.FCGI
    try:
        return CheckMethod(name)
    except ValueError:
        allowed = ", ".join(method.value for method in CheckMethod)
        raise word.error(f"{str(word)!r} is no way to check a member", allowed) from None


def _named(word: Word, warn: Warn) -> Word:
    """The name of something that is described elsewhere."""
    return word


def _table(*rows: Parameter) -> Mapping[str, Parameter]:
    return {row.key: row for row in rows}


#: How a member is checked; a ProxyHCTemplate has no others.
CHECK = _table(
    Parameter("hcmethod", "check.method", _checkMethod,
              ", ".join(method.value for method in CheckMethod), "NONE",
              "Of a balancer: how a member is checked while nobody asks it: by a connect (TCP); "
              "by a FastCGI request (OPTIONS, HEAD, GET; with 11 as HTTP/1.1), passed with a "
              "status from 200 to 399; extension: by FCGI_GET_VALUES (FCGI), which php-fpm "
              "answers; CPING, which is AJP's, stands for FCGI."),
    Parameter("hcinterval", "check.interval", _duration("s", 0.1), "duration", "30",
              "How long from one check to the next, up to a quarter less; each takes no longer, "
              "nor than the member's timeout."),
    Parameter("hcpasses", "check.passes", _number(0), "number", "1",
              "Passed checks in a row that bring a member back."),
    Parameter("hcfails", "check.fails", _number(0), "number", "1",
              "Failed checks in a row that take a member out."),
    Parameter("hcuri", "check.uri", _text(1023), "path and query", "",
              "What a request asks for, below the path of the member's URL: SCRIPT_NAME, so that "
              "it may be php-fpm's ping.path, or its pm.status_path with ?json, whose figures "
              "are kept."),
    Parameter("hcexpr", "check.expression", _named, "name", "",
              "The ProxyHCExpr that says whether an answer passes."),
    Parameter("hctemplate", "check", _named, "name", "",
              "The ProxyHCTemplate whose parameters hold, until others follow."),
)  # fmt: skip

#: A member's parameters.
MEMBER = _table(
    Parameter("enablereuse", "reuse", _onOff, "on, off", "off",
              "Keep connections for further requests."),
    Parameter("disablereuse", "reuse", _offOn, "on, off", "on", "The opposite of enablereuse."),
    Parameter("min", "min", _number(0), "number", "0",
              "Entries that httpd allocates ahead, which are no connections; no effect."),
    Parameter("max", "max", _number(0, zero=None), "number", "no limit",
              "Most connections at a time."),
    Parameter("smax", "smax", _number(0), "number", "max",
              "Idle connections that are kept without a ttl; with one, all end after it."),
    Parameter("ttl", "ttl", _seconds("s", 1), "duration", "none",
              "How long an idle connection is kept."),
    Parameter("acquire", "acquire", _duration("ms", 0.001), "duration (ms)", "no limit",
              "How long a request waits for a free connection."),
    Parameter("timeout", "timeout", _seconds("s", 0.001), "duration", "ProxyTimeout",
              "Silence of the application that is borne."),
    Parameter("connectiontimeout", "connectTimeout", _duration("s", 0.001), "duration", "timeout",
              "How long a connection may take to come about."),
    Parameter("retry", "retry", _seconds("s", 0), "duration", "60",
              "How long a member in error state is left alone."),
    Parameter("probe", "probe", _onOff, "on, off", "on; off with retry",
              "Extension, of a balancer: a member that could not be reached is tried in the "
              "background; it is back as soon as it takes connections."),
    Parameter("slowstart", "slowStart", _duration("s", 0), "duration", "0",
              "Extension, of a balancer: how long a member that came back has less work."),
    Parameter("keepalive", "keepalive", _onOff, "on, off", "off",
              "TCP looks after connections that are silent."),
    Parameter("flushpackets", "flush", _oneOf(on=Flush.ON, off=Flush.OFF, auto=Flush.AUTO),
              "on, off, auto", "off", "When a part of a response is sent on."),
    Parameter("flushwait", "flushWait", _seconds("ms", 0, 1, 0.010), "duration (ms)", "10",
              "With auto: how long to wait for more."),
    Parameter("route", "route", _text(63), "text", "", "Its name in sticky sessions."),
    Parameter("redirect", "redirect", _text(63), "text", "",
              "The route that takes over its sessions."),
    Parameter("loadfactor", "loadFactor", _loadFactor, "1 to 100", "1",
              "Its share of the requests."),
    Parameter("lbset", "lbset", _number(0, 99), "0 to 99", "0", "Lower sets are tried first."),
    Parameter("status", "status", _status, "letters", "",
              "D disabled, S stopped, I ignore errors, R spare, H standby, N drain, E error."),
    Parameter("addressttl", "addressTtl", _addressTtl, "seconds, -1", "60",
              "How long a name's address is remembered; -1 until a connect fails."),
    Parameter("iobuffersize", "readSize", _size(65536), "bytes", "65536",
              "Bytes that are read at once; up to four times as many of a large body."),
    Parameter("receivebuffersize", "receiveBuffer", _size(0), "bytes", "0",
              "The kernel's buffer of a TCP connection; 0 for its own choice."),
    Parameter("responsefieldsize", "maxResponseHead", _headSize, "bytes", "65536",
              "Most bytes of a response's head, if more than 65536."),
    Parameter("ping", "", _duration("s", 0.001), "duration", "",
              "Of AJP and HTTP; no effect: each idle connection is looked at before it is used."),
    Parameter("keepaliverequests", "maxRequests", _number(0, zero=None), "number", "no limit",
              "Extension: requests after which a connection is closed."),
    Parameter("maxqueue", "maxQueue", _number(0), "number", "1024",
              "Extension: requests that may wait for a free connection; one more is a 503."),
    Parameter("patience", "patience", _seconds("s", 0, 60), "duration",
              "3; 0 in a balancer of several",
              "Extension: how long connects are repeated to an application that went away."),
    Parameter("multiplex", "multiplex", _oneOf(**{m.value: m for m in Multiplex}),
              "auto, on, off", "off",
              "Extension, with enablereuse: several requests at a time on a connection; auto if "
              "the application says that it can, on unless it says that it can't."),
    Parameter("maxstreams", "maxStreams", _number(1, 10000), "1 to 10000", "256",
              "Extension, with multiplex: most requests at a time on a connection."),
    Parameter("maxspool", "maxSpool", _number(0), "bytes", "268435456",
              "Extension, with multiplex: held in files for clients that read slowly."),
    *CHECK.values(),
    Parameter("flusher", "", _text(15), "text", "flush", "No effect."),
    Parameter("secret", "", _text(63), "text", "", "Of AJP; no effect."),
    Parameter("upgrade", "", _text(15), "text", "", "Of HTTP; no effect."),
)  # fmt: skip

#: A balancer's parameters.
BALANCER = _table(
    Parameter("lbmethod", "method", _oneOf(**{name: name for name in BALANCING_METHODS}),
              ", ".join(BALANCING_METHODS), "byrequests",
              "How a member is chosen; leastconn and hash are extensions."),
    Parameter("hashkey", "hashKey", _hashKey, "uri, client, header:NAME, cookie:NAME", "uri",
              "Extension, with lbmethod=hash: requests that are alike in it go to one member."),
    Parameter("stickysession", "stickySession", _sticky, "name, or cookie|path", "",
              "The cookie and path parameter that hold the route."),
    Parameter("stickysessionsep", "stickySeparator", _separator, "character, off", ".",
              "Between session and route."),
    Parameter("scolonpathdelim", "semicolonSeparates", _onOff, "on, off", "off",
              "A semicolon too begins a session in a path."),
    Parameter("nofailover", "noFailover", _onOff, "on, off", "off",
              "A session ends with its member."),
    Parameter("timeout", "timeout", _seconds("s", 0.001), "duration", "none",
              "How long a request waits for a member."),
    Parameter("maxattempts", "maxAttempts", _number(0), "number", "members - 1",
              "Most failovers of a request."),
    Parameter("failonstatus", "failOnStatus", _statuses, "statuses", "",
              "Statuses that put a member into error state."),
    Parameter("failontimeout", "failOnTimeout", _onOff, "on, off", "off",
              "A timeout puts a member into error state."),
    Parameter("forcerecovery", "forceRecovery", _onOff, "on, off", "on",
              "When all members are in error state, all are tried."),
    Parameter("nonidempotent", "nonIdempotent", _onOff, "on, off", "off",
              "Extension: a request of any method is sent to another member when the first one "
              "died with it; bodies are stored for that."),
    Parameter("failovertime", "failoverTime", _duration("s", 0), "duration", "30",
              "Extension: since its first attempt, how long a request that a member died with is "
              "sent to another."),
    Parameter("maxqueue", "maxQueue", _number(0), "number", "1024",
              "Extension, with timeout: requests that may wait for a member; one more is a 503."),
    Parameter("routecookie", "routeCookie", _cookieName, "name", "",
              "Extension: a cookie, set and signed here, that holds the route for applications "
              "that add none."),
    Parameter("routesecret", "routeSecret", _secret, "text", "random",
              "Extension: signs routecookie; several proxies need the same one."),
    Parameter("nonce", "nonce", _nonce, "text, None", "random", "Guards the balancer's page."),
    Parameter("growth", "growth", _number(1, 100), "1 to 100", "5",
              "No effect: members come from the configuration and from DNS, as many as there are."),
)  # fmt: skip


class Given(NamedTuple):
    """A parameter that was read: its row, its value, and how that was written."""

    row: Parameter
    value: Any
    text: Word


def readParameters(
    table: Mapping[str, Parameter], pairs: Iterable[tuple[Word, Word]], warn: Warn
) -> list[Given]:
    """
    Read parameters.

    :param table: :data:`MEMBER` or :data:`BALANCER`.
    :raises ConfigurationErrors: of all keys that there are not, and values that are wrong.
    """
    read: list[Given] = []
    errors: list[ConfigurationError] = []
    for key, value in pairs:
        row = table.get(key.lower())
        if row is None:
            near = nearest(key.lower(), table)
            hint = f"did you mean {near}?" if near else "one of " + ", ".join(sorted(table))
            what = {id(MEMBER): "member", id(BALANCER): "balancer"}.get(id(table), "health check")
            errors.append(key.error(f"{str(key)!r} is no parameter of a {what}", hint))
            continue
        try:
            read.append(Given(row, row.read(value, warn), value))
        except ConfigurationError as error:
            errors.append(error)
    if errors:
        raise ConfigurationErrors(errors)
    return read
