"""
The rest of mod_proxy: what it does to FastCGI, and what it does only to HTTP.

httpd's mod_proxy_fcgi never looks at ProxyPassReverse, ProxyVia, ProxyPreserveHost and
ProxyAddHeaders: the application is told who was asked and by whom in variables, and
answers with the URLs of this server.  They are read, held to httpd's rules, and said to
have no effect, as there.  What only a forward proxy needs is refused: this is none.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from twisted_fcgi.config.registry import Context, Rows, Shape
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.values import looseInteger
from twisted_fcgi.config.words import Word

__all__ = ["rows"]

rows = Rows("mod_proxy")

_LOCATED = Context.SERVER | Context.LOCATION | Context.PROXY


#: A host's name, which is not looked up.
_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9._-]+")


def hasNoEffect(scope: Scope) -> None:
    """Say, once for a directive, that it does nothing."""
    assert scope.node.row is not None
    scope.draft.ignored[scope.node.row.name] = None


# What has an effect.


@rows.directive(
    "ProxyRequests",
    Shape.FLAG,
    Context.SERVER,
    syntax="Off",
    default="Off",
    example="ProxyRequests Off",
)
def proxyRequests(scope: Scope, on: bool) -> None:
    """
    On would make a forward proxy, which this is not: it is refused.

    Only what ProxyPass and SetHandler name is asked, whatever host a client writes into its
    request, so nobody can reach other servers through this one.
    """
    if on:
        raise scope.error(
            "ProxyRequests On is not supported, because this is no forward proxy",
            "ProxyPass works without it; ProxyRequests Off says so",
        )


@rows.directive(
    "ProxyPassInterpolateEnv",
    Shape.FLAG,
    Context.ANYWHERE,
    syntax="On|Off",
    default="Off",
    example="ProxyPassInterpolateEnv On\n"
    'SetEnvIf Host "^(\\w+)\\." SITE=$1\n'
    'ProxyPass "/app/" "fcgi://127.0.0.1:9000/srv/${SITE}/" interpolate',
)
def proxyPassInterpolateEnv(scope: Scope, on: bool) -> None:
    """
    Replaces ``${VARIABLE}`` in each ProxyPass with the word ``interpolate``.

    Variables are those of SetEnvIf and RewriteRule; SetEnv comes too late, as in httpd.  They
    make paths: the application's host and port are always the configuration's, and a
    request for which a variable would change them gets a 500.
    """
    scope.section.values["interpolates"] = on


@rows.directive(
    "ProxyMaxForwards",
    Shape.TAKE1,
    Context.SERVER,
    syntax="number",
    default="-1",
    example="ProxyMaxForwards 15",
)
def proxyMaxForwards(scope: Scope, word: Word) -> None:
    """The Max-Forwards that applications see in requests without one; none if it is negative."""
    scope.server.values["maxForwards"] = looseInteger(word, scope.warn)


@rows.directive(
    "ProxyBlock",
    Shape.ITERATE,
    Context.SERVER,
    syntax="*|text ...",
    example='ProxyBlock "internal.example"',
)
def proxyBlock(scope: Scope, word: Word) -> None:
    """
    Applications that are never asked: those whose host has the text in it.

    Such requests get a 403; ``*`` is for all.  Names are not looked up, so an address and
    the name that stands for it are two texts.
    """
    scope.server.blocked.append(str(word))


@rows.directive(
    "ProxyPassInherit",
    Shape.FLAG,
    Context.SERVER,
    syntax="On|Off",
    default="On",
    example="ProxyPassInherit On",
)
def proxyPassInherit(scope: Scope, on: bool) -> None:
    """
    With BalancerInherit Off as well, a virtual host has no members of the main server.

    Its ProxyPass lines hold in any case, as in httpd; without the members, their parameters
    and balancers are not there.
    """
    scope.server.inherits["ProxyPassInherit"] = on


@rows.directive(
    "BalancerInherit",
    Shape.FLAG,
    Context.SERVER,
    syntax="On|Off",
    default="On",
    example="BalancerInherit On",
)
def balancerInherit(scope: Scope, on: bool) -> None:
    """See ProxyPassInherit: only both together have an effect."""
    scope.server.inherits["BalancerInherit"] = on


# What has none, with FastCGI.


@rows.directive(
    "ProxyPassReverse",
    Shape.TAKE123,
    _LOCATED,
    syntax="[path] url [interpolate]",
    example='ProxyPassReverse "/app/" "http://app.example.com/"',
)
def proxyPassReverse(scope: Scope, first: Word, second: Word | None, third: Word | None) -> None:
    """
    No effect, as in httpd: an application answers with URLs of this server.

    httpd changes Location, Content-Location, URI and Destination of what comes over HTTP or
    AJP, never of FastCGI.
    """
    interpolates = second is not None and second.lower() == "interpolate"
    if scope.inSection:
        if second is not None and not interpolates:
            raise second.error("ProxyPassReverse has no path of its own inside a section")
    elif second is None or interpolates:
        raise scope.error("ProxyPassReverse needs a path and a URL", 'ProxyPassReverse "/" "url"')
    hasNoEffect(scope)


@rows.directive(
    "ProxyPassReverseCookieDomain",
    Shape.TAKE23,
    Context.ANYWHERE,
    syntax="inner outer [interpolate]",
    example='ProxyPassReverseCookieDomain "app.example.com" "www.example.com"',
)
def proxyPassReverseCookieDomain(
    scope: Scope, inner: Word, outer: Word, interpolate: Word | None
) -> None:
    """No effect, as in httpd: see ProxyPassReverse."""
    hasNoEffect(scope)


@rows.directive(
    "ProxyPassReverseCookiePath",
    Shape.TAKE23,
    Context.ANYWHERE,
    syntax="inner outer [interpolate]",
    example='ProxyPassReverseCookiePath "/" "/app/"',
)
def proxyPassReverseCookiePath(
    scope: Scope, inner: Word, outer: Word, interpolate: Word | None
) -> None:
    """No effect, as in httpd: see ProxyPassReverse."""
    hasNoEffect(scope)


def _flag(name: str, default: str, doc: str, contexts: Context = Context.ANYWHERE) -> None:
    """A row of On or Off, without effect."""

    def apply(scope: Scope, on: bool) -> None:
        hasNoEffect(scope)

    rows.directive(
        name,
        Shape.FLAG,
        contexts,
        syntax="On|Off",
        default=default,
        example=f"{name} {default}",
        doc=doc,
    )(apply)


def _choice(name: str, choices: str, doc: str) -> None:
    """A row of one of some words, the first being the default, without effect."""
    words = choices.split("|")

    def apply(scope: Scope, word: Word) -> None:
        if word.lower() not in choices.lower().split("|"):
            raise word.error(f"{str(word)!r} is none of its words", "one of " + ", ".join(words))
        hasNoEffect(scope)

    rows.directive(
        name,
        Shape.TAKE1,
        Context.SERVER,
        syntax=choices,
        default=words[0],
        example=f"{name} {words[0]}",
        doc=doc,
    )(apply)


def _number(name: str, isRight: Callable[[int], bool], right: str, example: str, doc: str) -> None:
    """A row of a number, without effect."""

    def apply(scope: Scope, word: Word) -> None:
        if not isRight(looseInteger(word, scope.warn)):
            raise word.error(f"{str(word)!r} is out of range", right)
        hasNoEffect(scope)

    rows.directive(
        name,
        Shape.TAKE1,
        Context.SERVER,
        syntax="number",
        example=f"{name} {example}",
        doc=doc,
    )(apply)


_HTTP_ONLY = "No effect, as in httpd, which heeds it for HTTP only: "

_flag("ProxyPreserveHost", "Off", _HTTP_ONLY + "an application always sees the client's Host.")
_flag(
    "ProxyAddHeaders",
    "On",
    _HTTP_ONLY + "an application is told of the client in variables such as REMOTE_ADDR.",
)
_flag("Proxy100Continue", "On", _HTTP_ONLY + "a body that is wanted is asked for here.")
_flag(
    "BalancerPersist",
    "Off",
    "No effect: what is changed while it runs is not kept for the next start.",
    Context.SERVER,
)
_choice("ProxyVia", "Off|On|Full|Block", _HTTP_ONLY + "Via is passed on as it came.")
_choice(
    "ProxyBadHeader",
    "IsError|Ignore|StartBody",
    _HTTP_ONLY + "a broken head of an application is a 502.",
)
_choice("ProxyStatus", "Off|On|Full", "No effect: it is about mod_status's page.")


def _isSize(size: int) -> bool:
    return size == 0 or size >= 512


_number(
    "ProxyIOBufferSize",
    _isSize,
    "512 bytes or more, or 0",
    "8192",
    "No effect: what comes is passed on at once, in whatever size it comes.",
)
_number(
    "ProxyReceiveBufferSize",
    _isSize,
    "512 bytes or more, or 0",
    "0",
    "No effect: the system chooses the size of sockets' buffers.",
)
_number(
    "BalancerGrowth",
    lambda number: 0 <= number <= 1000,
    "0 to 1000",
    "5",
    "No effect: balancers come from the configuration only.",
)


@rows.directive(
    "ProxySourceAddress",
    Shape.TAKE1,
    Context.SERVER,
    syntax="address",
    example="ProxySourceAddress 192.0.2.1",
)
def proxySourceAddress(scope: Scope, word: Word) -> None:
    """Not heeded: the system chooses the address from which applications are asked."""
    try:
        ipaddress.ip_address(word)
    except ValueError:
        if _NAME.fullmatch(word) is None:
            hint = "ProxySourceAddress 192.0.2.1"
            raise word.error(f"{str(word)!r} is no address", hint) from None
    scope.warn(word, "ProxySourceAddress is not heeded: the system chooses the address")


@rows.directive(
    "ProxyDomain",
    Shape.TAKE1,
    Context.SERVER,
    syntax=".domain",
    example="ProxyDomain .example.com",
)
def proxyDomain(scope: Scope, word: Word) -> None:
    """No effect: it is for forward proxies on an intranet."""
    if not word.startswith("."):
        raise word.error("the domain must begin with a dot", f"ProxyDomain .{word}")
    hasNoEffect(scope)


@rows.directive(
    "NoProxy",
    Shape.ITERATE,
    Context.SERVER,
    syntax="host ...",
    example="NoProxy 192.0.2.0/24",
)
def noProxy(scope: Scope, word: Word) -> None:
    """No effect: it names exceptions from ProxyRemote, which is not supported."""
    hasNoEffect(scope)
