"""Directives of mod_proxy and mod_proxy_fcgi: who serves what."""

from __future__ import annotations

import re

from twisted_fcgi.config.directives_sections import checkedPattern
from twisted_fcgi.config.drafts import MappingDraft, Scope
from twisted_fcgi.config.globs import hasWildcards
from twisted_fcgi.config.members import BalancerDraft, MemberDraft, isBalancerName
from twisted_fcgi.config.registry import Context, Rows, Shape
from twisted_fcgi.config.source import encode
from twisted_fcgi.config.values import looseDuration
from twisted_fcgi.config.words import Word
from twisted_fcgi.settings import BackendType, SectionKind

__all__ = ["fcgi", "keyValues", "memberOrBalancer", "rows"]

rows = Rows("mod_proxy")
fcgi = Rows("mod_proxy_fcgi")

_MAPPED = Context.SERVER | Context.LOCATION | Context.PROXY


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


def _lastOfEach(pairs: list[tuple[Word, Word]]) -> list[tuple[Word, Word]]:
    """Of equal keys the last one counts, at the place of the first (httpd: a table)."""
    last: dict[str, tuple[Word, Word]] = {}
    for key, value in pairs:
        last[key.lower()] = (key, value)
    return list(last.values())


def proxyPass(scope: Scope, words: list[Word], match: bool) -> None:
    """ProxyPass and ProxyPassMatch, alone or inside a location."""
    name = "ProxyPassMatch" if match else "ProxyPass"
    located = scope.inSection
    regular = match
    path: Word | None = scope.section.word if located else None
    url: Word | None = None
    flags: dict[str, object] = {}
    parameters: list[tuple[Word, Word]] = []
    for word in words:
        if path is None:
            if word == "~":
                if match:
                    raise word.error("'~' makes a ProxyPass what ProxyPassMatch is already")
                regular = True
                continue
            path = word
        elif url is None:
            url = word
        elif word.lower() in ("nocanon", "interpolate", "noquery"):
            flags[word.lower()] = True
        else:
            if "=" not in word and located and url.startswith("/"):
                raise url.error(f"{name} has no path of its own inside a section")
            parameters += keyValues([word])
    if url is None or path is None:
        raise scope.error(
            f"{name} needs a path and a URL" if not located else f"{name} needs a URL",
            f'{name} "/path/" "fcgi://host:port/"',
        )
    wanted = [pair for pair in parameters if pair[0].lower() == "mapping"]
    for _, value in wanted:
        if value.lower() not in ("encoded", "servlet"):
            raise value.error(f"{str(value)!r} is no mapping", "encoded or servlet")
        flags["mapping"] = value.lower()
    parameters = _lastOfEach([pair for pair in parameters if pair not in wanted])
    pattern = None
    if regular or (located and hasWildcards(path)):
        pattern = checkedPattern(path)
    draft = MappingDraft(None if pattern else encode(path), pattern, None, flags=flags)
    if url != "!":
        _serve(scope, draft, url, parameters, regular)
    if located:
        scope.section.mapping = draft
    else:
        scope.server.mappings.append(draft)


def _serve(
    scope: Scope, draft: MappingDraft, url: Word, parameters: list[tuple[Word, Word]], match: bool
) -> None:
    """Find or make who serves a mapping."""
    members = scope.server.members
    if isBalancerName(url):
        balancer = members.balancer(url)
        assert balancer is not None
        draft.url, draft.balancer = encode(url), balancer.name
        scope.setParameters(balancer, parameters)
        return
    target = scope.target(url, match)
    draft.url, draft.target = encode(target.url), target
    if target.scheme != "fcgi":
        scope.warn(url, f"{target.scheme}:// is not spoken here: such requests get a 500")
    member = members.find(target, match)
    if member is None:
        scope.setParameters(members.define(target, match), parameters)
    elif parameters:
        keys = ", ".join(key for key, _ in parameters)
        scope.warn(
            parameters[0][0],
            f"{keys} ignored: {member.target.name} was described before and serves this URL too",
        )


@rows.directive("ProxyPass", Shape.WORDS, _MAPPED,
                syntax="[path] !|url [key=value ...] [nocanon] [interpolate] [noquery]",
                example='ProxyPass "/app/" "fcgi://127.0.0.1:9000/" enablereuse=on\n'
                        'ProxyPass "/app/static/" "!"')  # fmt: skip
def proxyPassPrefix(scope: Scope, words: list[Word]) -> None:
    """
    Maps the URLs below a path to an application.

    The first that fits counts; ``!`` takes URLs out.  Inside a ``<Location>`` the path is
    the section's.
    """
    proxyPass(scope, words, match=False)


@rows.directive("ProxyPassMatch", Shape.WORDS, _MAPPED,
                syntax="[expression] !|url [key=value ...]",
                example='ProxyPassMatch "^/(.*\\.php(/.*)?)$" "fcgi://127.0.0.1:9000/srv/www/$1"')  # fmt: skip
def proxyPassMatch(scope: Scope, words: list[Word]) -> None:
    """As ProxyPass, for URLs that match; ``$1`` in the URL is what the first group matched."""
    proxyPass(scope, words, match=True)


def memberOrBalancer(scope: Scope, url: Word) -> MemberDraft | BalancerDraft:
    """Who a ``<Proxy>`` is about; made when there is none."""
    members = scope.server.members
    if isBalancerName(url):
        balancer = members.balancer(url)
        assert balancer is not None
        return balancer
    target = scope.target(url)
    return members.find(target, False) or members.define(target)


@rows.directive("ProxySet", Shape.WORDS, _MAPPED, syntax="[url] key=value ...",
                example='<Proxy "fcgi://localhost/">\n    ProxySet enablereuse=on\n</Proxy>')  # fmt: skip
def proxySet(scope: Scope, words: list[Word]) -> None:
    """Sets parameters of a member or a balancer: the section's, or one that is there already."""
    if scope.section.kind in (SectionKind.PROXY, SectionKind.PROXY_MATCH):
        url = scope.section.word
        assert url is not None
        drafted: MemberDraft | BalancerDraft | None = memberOrBalancer(scope, url)
    else:
        if not words:
            raise scope.error("ProxySet needs a URL and parameters", 'ProxySet "url" key=value')
        url, words = words[0], words[1:]
        if isBalancerName(url):
            drafted = scope.server.members.balancer(url, create=False)
        else:
            drafted = scope.server.members.find(scope.target(url), False)
        if drafted is None:
            raise url.error(f"there is no member or balancer {str(url)!r} yet")
    scope.setParameters(drafted, keyValues(words))


@rows.directive("BalancerMember", Shape.WORDS, _MAPPED, syntax="[balancer] url [key=value ...]",
                example='<Proxy "balancer://app">\n'
                        '    BalancerMember "fcgi://10.0.0.1:9000"\n'
                        '    BalancerMember "fcgi://10.0.0.2:9000" loadfactor=2\n'
                        "</Proxy>")  # fmt: skip
def balancerMember(scope: Scope, words: list[Word]) -> None:
    """Adds a member to a balancer."""
    name: Word | None = scope.section.word if scope.inSection else None
    url: Word | None = None
    parameters: list[tuple[Word, Word]] = []
    for word in words:
        if "=" in word:
            parameters += keyValues([word])
        elif name is None:
            name = word
        elif url is None:
            url = word
        else:
            raise word.error(f"{str(word)!r} is no parameter", "it has the form key=value")
    if name is None:
        raise scope.error("BalancerMember needs a balancer", "it stands in <Proxy balancer://...>")
    if url is None:
        raise scope.error("BalancerMember needs a URL", "fcgi://host:port")
    target = scope.target(url)
    balancer = scope.server.members.balancer(name)
    assert balancer is not None
    for member in balancer.members:
        if member.serves(target):
            if parameters:
                keys = ", ".join(key for key, _ in parameters)
                scope.warn(
                    parameters[0][0], f"{keys} ignored: {member.target.name} is a member already"
                )
            return
    member = MemberDraft(target)
    balancer.members.append(member)
    scope.setParameters(member, _lastOfEach(parameters))


@rows.directive("ProxyTimeout", Shape.TAKE1, Context.SERVER, syntax="seconds",
                default="Timeout", example="ProxyTimeout 300")  # fmt: skip
def proxyTimeout(scope: Scope, word: Word) -> None:
    """Silence of applications that is borne; a unit counts (``500ms``)."""
    seconds = looseDuration(word, "s", scope.warn)
    if seconds <= 0:
        raise word.error("ProxyTimeout must be longer than nothing", "ProxyTimeout 60")
    scope.server.values["proxyTimeout"] = seconds


@fcgi.directive("ProxyFCGIBackendType", Shape.TAKE1, Context.ANYWHERE, syntax="FPM|GENERIC",
                default="FPM", example="ProxyFCGIBackendType GENERIC")  # fmt: skip
def proxyFcgiBackendType(scope: Scope, word: Word) -> None:
    """How SCRIPT_FILENAME is spelled: for PHP-FPM, or for anything else."""
    choice = word.upper()
    if choice not in ("FPM", "GENERIC"):
        raise word.error("ProxyFCGIBackendType must be FPM or GENERIC")
    scope.section.values["backendType"] = BackendType(choice)


reqtimeout = Rows("mod_reqtimeout")

_READ_TIMEOUT = re.compile(r"(\d+)(?:-(\d+))?(?:,MinRate=(\d+))?", re.IGNORECASE | re.ASCII)


@reqtimeout.directive("RequestReadTimeout", Shape.WORDS, Context.SERVER,
                      syntax="header=timeout[-max][,MinRate=rate] body=...",
                      default="header=20-40,MinRate=500 body=20,MinRate=500",
                      example="RequestReadTimeout header=10-20,MinRate=500")  # fmt: skip
def requestReadTimeout(scope: Scope, words: list[Word]) -> None:
    """How long a client may take to send a request, prolonged by a second for each ``rate`` bytes."""
    if not words:
        raise scope.error("RequestReadTimeout needs an argument", "header=20-40,MinRate=500")
    for key, value in keyValues(words):
        stage = key.lower()
        if stage not in ("header", "body", "handshake"):
            raise key.error(f"{str(key)!r} is unknown to RequestReadTimeout", "header or body")
        match = _READ_TIMEOUT.fullmatch(value)
        if match is None:
            raise value.error("this is no timeout", "20, 20-40, or 20-40,MinRate=500")
        least, most, rate = (int(group or 0) for group in match.groups())
        if match[2] and (most <= least or not rate):
            raise value.error("the second number must be the greater one, and have a MinRate")
        if stage == "handshake":
            continue
        prefix = "head" if stage == "header" else "body"
        scope.server.limits.update(
            {
                f"{prefix}Timeout": float(least),
                f"{prefix}TimeoutMax": float(most),
                f"{prefix}Rate": rate,
            }
        )
