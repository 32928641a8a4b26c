"""
Directives about access: mod_authz_core, mod_authz_host, ``<Limit>``.

Names of clients are not looked up for a request: that would let every request wait for
a name server.  ``Require host`` and ``forward-dns`` look the names that they are given
up when the configuration is read.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from itertools import takewhile

from twisted_fcgi.config.access import AccessDraft, BlockDraft
from twisted_fcgi.config.expressions import condition
from twisted_fcgi.config.registry import Context, Override, Rows, Shape
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.source import encode
from twisted_fcgi.config.words import Word, getWord, splitWords
from twisted_fcgi.errors import nearest
from twisted_fcgi.expr import RequestContext
from twisted_fcgi.http import METHODS
from twisted_fcgi.settings import Merging, Methods, Requirement
from twisted_fcgi.subnets import parseSubnet

__all__ = ["accessOf", "authn", "core", "rows"]

rows = Rows("mod_authz_core")
authn = Rows("mod_authn_core")
core = Rows("core")

#: Where access is decided: a section, and a block in it.
_PLACES = Context.SECTIONS | Context.REQUIRE

#: Whether it holds, always or for a request.
Held = bool | Callable[[RequestContext], bool]

_USER = re.compile(r"%\{\s*REMOTE_USER\s*\}", re.IGNORECASE)

#: What httpd's modules can require of a user.
_OF_USERS = re.compile(
    "(?:valid-user|user|group|(?:file|dbm|dbd)-.*|ldap-.*|ssl.*|sso.*|shib.*|oauth.*)"
)


def accessOf(scope: Scope) -> AccessDraft:
    """What the section around a directive says of access."""
    if scope.section.access is None:
        scope.section.access = AccessDraft()
        scope.section.values.places["access"] = scope.place
    return scope.section.access


# Require.


def _all(scope: Scope, rest: Word) -> Held:
    if rest.lower() not in ("granted", "denied"):
        raise rest.error("Require all must be granted or denied", "Require all granted")
    return rest.lower() == "granted"


def _ip(scope: Scope, rest: Word) -> Held:
    subnets = []
    for word in _words(rest):
        try:
            subnets.append(parseSubnet(word))
        except ValueError as error:
            hint = "10.1.2.3, 10.1, 10.1.0.0/16, 10.1.0.0/255.255.0.0, 2001:db8::/32"
            everybody = "for everybody: Require all granted"
            raise word.error(str(error), everybody if word.endswith("/0") else hint) from None
    if not subnets:
        raise rest.error("Require ip needs an address", "Require ip 10.1.0.0/16")
    return lambda context: any(subnet.contains(context.request.client.host) for subnet in subnets)


def _local(scope: Scope, rest: Word) -> Held:
    loopback = [parseSubnet("127.0.0.0/8"), parseSubnet("::1")]

    def isLocal(context: RequestContext) -> bool:
        client = context.request.client.host
        # An empty address is that of a UNIX socket's client.
        return client == context.request.server.host or any(
            subnet.contains(client) for subnet in loopback
        )

    return isLocal


def _host(scope: Scope, rest: Word) -> Held:
    addresses: set[bytes] = set()
    for word in _words(rest):
        if "%{" in word:
            raise word.error("names are looked up in advance, and can't depend on a request")
        if word.startswith("#"):
            break
        try:
            found = socket.getaddrinfo(word, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            scope.warn(word, f"{str(word)!r} can't be looked up, nobody is let in by it")
            continue
        addresses.update(str(entry[4][0]).partition("%")[0].encode("ascii") for entry in found)
    subnets = [parseSubnet(address.decode("ascii")) for address in sorted(addresses)]
    return lambda context: any(subnet.contains(context.request.client.host) for subnet in subnets)


def _method(scope: Scope, rest: Word) -> Held:
    names = _words(rest)
    for name in names:
        if encode(name) not in METHODS.union(scope.draft.main.values.get("methods", ())):
            raise name.error(f"{str(name)!r} is no method")
    methods = Methods.of(*map(encode, names))
    return lambda context: context.request.method in methods


def _env(scope: Scope, rest: Word) -> Held:
    names = [encode(word) for word in _words(rest)]
    return lambda context: any(context.environment(name) is not None for name in names)


def _expr(scope: Scope, rest: Word) -> Held:
    if len(rest) > 1 and rest.startswith('"') and rest.endswith('"'):
        rest = rest.part(1, len(rest) - 1)
    return condition(rest)


_PROVIDERS: dict[str, Callable[[Scope, Word], Held]] = {
    "all": _all,
    "ip": _ip,
    "local": _local,
    "host": _host,
    "forward-dns": _host,
    "method": _method,
    "env": _env,
    "expr": _expr,
}


def _words(rest: Word) -> list[Word]:
    """The words of what was not yet split; httpd stops at an empty one."""
    return list(takewhile(len, splitWords(rest.line, rest.start, rest.end)))


@rows.directive(
    "Require",
    Shape.WORDS,
    _PLACES,
    syntax="[not] all|ip|host|forward-dns|local|method|env|expr ...",
    default="Require all granted",
    example='<Location "/admin/">\n    Require ip 10.1.0.0/16 2001:db8::/32\n'
    "    Require local\n</Location>",
    override=Override.AUTH_CONFIG,
)
def require(scope: Scope, words: list[Word]) -> None:
    """
    Who may have what a section holds for; one of several lines is enough.

    - ``all granted``, ``all denied``
    - ``ip`` and addresses: ``10.1.2.3``, ``10.1``, ``10.1.0.0/16``, ``10.1.0.0/255.255.0.0``,
      ``2001:db8::/32``
    - ``local``: 127.0.0.0/8, ::1, the server's own address, and a UNIX socket
    - ``host`` and ``forward-dns`` with names, which are looked up when the configuration is read
    - ``method`` and methods, ``env`` and variables (of SetEnvIf)
    - ``expr`` and a condition

    Who is refused gets a 403.  There are no users: ``valid-user`` and its like are mistakes.
    """
    line, end = scope.node.line, scope.node.end
    name, at = getWord(line, scope.node.at, end)
    negated = name.lower() == "not"
    if negated:
        name, at = getWord(line, at, end)
    read = _PROVIDERS.get(name)
    if read is None:
        raise _unknown(scope, name)
    access = accessOf(scope)
    if name in ("host", "forward-dns") and (negated or access.negated):
        raise name.error(
            "a name is looked up in advance only: who has it later would be let in",
            "Require not ip ...",
        )
    rest = Word.make(line.text[at:end].rstrip(), line, at, end)
    holds = read(scope, rest)
    asksUser = name == "expr" and _USER.search(rest) is not None
    text = f"Require {'not ' * negated}{name} {rest}".rstrip()
    access.add(
        Requirement(text, holds, negated, access.methods, asksUser, scope.place), scope.node.name
    )


def _unknown(scope: Scope, name: Word) -> Exception:
    if not name:
        return scope.error("Require needs to be told what", "Require all granted")
    if _OF_USERS.fullmatch(name.lower()):
        return name.error(
            f"Require {name} is not supported, because nobody is authenticated here",
            "the application can do it (CGIPassAuth On); or Require ip ...",
        )
    near = nearest(name.lower(), _PROVIDERS)
    hint = f"did you mean {near}?" if near else ", ".join(_PROVIDERS)
    return name.error(f"nothing is called {str(name)!r} that could be required", hint)


def block(name: str, isAll: bool, negated: bool, example: str, doc: str) -> None:
    """A block's row."""

    def apply(scope: Scope, words: list[Word]) -> Scope:
        if words:
            raise words[0].error(f"{name}> takes no argument")
        access = accessOf(scope)
        outer, around = access.block, (access.enclosed, access.negated)
        inner = access.block = BlockDraft(scope.node.name, f"{name}>", isAll, negated)
        access.enclosed, access.negated = True, access.negated or negated
        mistakes = len(scope.draft.errors)

        def close() -> None:
            access.block, (access.enclosed, access.negated) = outer, around
            if inner.members:
                access.add(inner, scope.node.name)
            elif len(scope.draft.errors) == mistakes:
                raise scope.error(f"{name}> requires nothing", "Require all granted")

        contexts = scope.contexts | Context.REQUIRE
        return Scope(scope.draft, scope.server, scope.section, contexts, scope.node, after=[close])

    rows.directive(
        name,
        Shape.WORDS,
        _PLACES,
        example=example,
        doc=doc,
        inside=Context.REQUIRE,
        override=Override.AUTH_CONFIG,
    )(apply)


block(
    "<RequireAll",
    True,
    False,
    '<Location "/">\n    <RequireAll>\n        Require all granted\n'
    "        Require not ip 192.0.2.66\n    </RequireAll>\n</Location>",
    "None of the requirements in it may fail, and one at least has to be fulfilled.",
)
block(
    "<RequireAny",
    False,
    False,
    '<Location "/">\n    <RequireAny>\n        Require ip 10.1\n        Require local\n'
    "    </RequireAny>\n</Location>",
    "One of the requirements in it has to be fulfilled.",
)
block(
    "<RequireNone",
    False,
    True,
    '<Location "/">\n    <RequireAll>\n        Require all granted\n        <RequireNone>\n'
    "            Require ip 192.0.2.66\n            Require env banned\n"
    "        </RequireNone>\n    </RequireAll>\n</Location>",
    "None of the requirements in it may be fulfilled; for a place inside ``<RequireAll>``.",
)


@rows.directive(
    "AuthMerging",
    Shape.TAKE1,
    _PLACES,
    syntax="Off|And|Or",
    default="Off",
    example='<Location "/admin/">\n    AuthMerging And\n    Require ip 10.1\n</Location>',
    override=Override.AUTH_CONFIG,
)
def authMerging(scope: Scope, word: Word) -> None:
    """
    What becomes of the requirements of the sections around: dropped, or both, or either.
    """
    choice = {merging.value.lower(): merging for merging in Merging}.get(word.lower())
    if choice is None:
        raise word.error("AuthMerging must be one of: Off | And | Or")
    accessOf(scope).merging = choice


@rows.directive(
    "AuthzSendForbiddenOnFailure",
    Shape.FLAG,
    _PLACES,
    syntax="On|Off",
    default="Off",
    example='<Location "/">\n    AuthzSendForbiddenOnFailure On\n</Location>',
    override=Override.AUTH_CONFIG,
)
def authzSendForbiddenOnFailure(scope: Scope, on: bool) -> None:
    """A 403, not a 401: without users a refusal is a 403 in any case."""
    accessOf(scope).forbids = on


@authn.directive(
    "AuthType",
    Shape.TAKE1,
    _PLACES,
    syntax="None",
    default="None",
    example='<Location "/">\n    AuthType None\n</Location>',
    override=Override.AUTH_CONFIG,
)
def authType(scope: Scope, word: Word) -> None:
    """Only ``None``: nobody is authenticated here."""
    if word.lower() != "none":
        raise word.error(
            f"AuthType {word} is not supported, because nobody is authenticated here",
            "the application can do it (CGIPassAuth On); or AuthType None",
        )


# <Limit>.


def limit(name: str, inverted: bool, example: str, doc: str) -> None:
    """A row of ``<Limit>`` or ``<LimitExcept>``."""

    def apply(scope: Scope, words: list[Word]) -> Scope:
        names = [encode(word) for word in words]
        if not inverted and b"TRACE" in names:
            raise words[names.index(b"TRACE")].error(
                "TRACE is not governed by <Limit>", "TraceEnable off"
            )
        access = accessOf(scope)
        outer, enclosed = access.methods, access.enclosed
        methods = Methods.of(*names)
        inner = outer & (~methods if inverted else methods)
        if not inner:
            raise scope.error(f"{name}> excludes all methods")
        if inner == outer:
            raise scope.error(f"{name}> excludes none of the methods of what is around it")
        known = scope.draft.main.values.get("methods", ())
        unknown = set(names).difference(METHODS, known)
        if unknown:
            scope.draft.main.values["methods"] = (*known, *sorted(unknown))
        access.methods, access.enclosed = inner, True

        def close() -> None:
            access.methods, access.enclosed = outer, enclosed

        return Scope(
            scope.draft, scope.server, scope.section, scope.contexts, scope.node, after=[close]
        )

    core.directive(
        name,
        Shape.WORDS,
        _PLACES,
        syntax="method ...",
        example=example,
        doc=doc,
        override=Override.LIMIT | Override.AUTH_CONFIG,
    )(apply)


limit(
    "<Limit",
    False,
    '<Location "/files/">\n    <Limit PUT DELETE>\n        Require ip 10.1\n    </Limit>\n'
    "</Location>",
    "The Require lines in it hold for these methods only; all else in it for all of them.\n\n"
    "GET is also HEAD.  For what is not named nothing is required: see ``<LimitExcept>``.",
)
limit(
    "<LimitExcept",
    True,
    '<Location "/files/">\n    <LimitExcept GET OPTIONS>\n        Require ip 10.1\n'
    "    </LimitExcept>\n</Location>",
    "As ``<Limit>``, for all methods but these.",
)
