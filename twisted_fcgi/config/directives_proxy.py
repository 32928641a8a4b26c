"""Directives of mod_proxy: who serves what."""

from __future__ import annotations

from dataclasses import replace

from twisted_fcgi.config.drafts import MappingDraft, SectionDraft
from twisted_fcgi.config.members import BalancerDraft, MemberDraft, isBalancerName
from twisted_fcgi.config.parameters import BALANCER, MEMBER, readParameters
from twisted_fcgi.config.registry import Context, Rows, Shape
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.source import encode
from twisted_fcgi.config.targets import Target
from twisted_fcgi.config.values import keyValues, looseDuration, pattern
from twisted_fcgi.config.words import Word
from twisted_fcgi.pcre import compileWildcards, hasWildcards
from twisted_fcgi.settings import SectionKind

__all__ = ["rows"]

rows = Rows("mod_proxy")

_MAPPED = Context.SERVER | Context.LOCATION | Context.PROXY

Pairs = list[tuple[Word, Word]]


def lastOfEach(pairs: Pairs) -> Pairs:
    """Of equal keys the last one counts, at the place of the first (httpd: a table)."""
    return list({key.lower(): (key, value) for key, value in pairs}.values())


def proxyPass(scope: Scope, words: list[Word], match: bool) -> None:
    """ProxyPass and ProxyPassMatch, alone or inside a location."""
    title = scope.node.title
    located = scope.inSection
    path = scope.section.word if located else None
    url: Word | None = None
    regular = match
    flags: dict[str, object] = {}
    pairs: Pairs = []
    for word in words:
        if path is None and word == "~":
            if match:
                raise word.error("'~' makes a ProxyPass what ProxyPassMatch is already")
            regular = True
        elif path is None:
            path = word
        elif url is None:
            url = word
        elif word.lower() in ("nocanon", "interpolate"):
            flags[word.lower()] = True
        elif word.lower() == "noquery":
            scope.warn(word, "noquery has no effect: FastCGI always tells the query, in httpd too")
        else:
            if located and "=" not in word and url.startswith("/"):
                raise url.error(f"{title} has no path of its own inside a section")
            pairs += keyValues([word])
    if path is None or url is None:
        needs = "a URL" if located else "a path and a URL"
        raise scope.error(f"{title} needs {needs}", f'{title} "/path/" "fcgi://host:port/"')
    parameters: Pairs = []
    for key, value in pairs:
        if key.lower() != "mapping":
            parameters.append((key, value))
        elif value.lower() in ("encoded", "servlet"):
            # httpd: flags of which servlet is one more than encoded
            if flags.get("mapping") != "servlet":
                flags["mapping"] = value.lower()
        else:
            raise value.error(f"{str(value)!r} is no mapping", "encoded or servlet")
    expression = pattern(path) if regular or (located and hasWildcards(path)) else None
    flags["place"] = scope.place
    draft = MappingDraft(None if expression else encode(path), expression, flags=flags)
    if url != "!":
        serve(scope, draft, url, lastOfEach(parameters), regular)
    if located:
        scope.section.mapping = draft
    else:
        scope.server.mappings.append(draft)


def serve(scope: Scope, draft: MappingDraft, url: Word, parameters: Pairs, regular: bool) -> None:
    """Find or make who serves a mapping."""
    members = scope.server.members
    if isBalancerName(url):
        given = readParameters(BALANCER, parameters, scope.warn)
        balancer = members.balancer(url)
        draft.url, draft.balancer = encode(url), balancer.name
        balancer.take(given)
        return
    target = scope.target(url, regular)
    if target.isService:
        serveByService(scope, draft, url, target, parameters)
        return
    draft.url, draft.target = encode(target.url), target
    scope.spoken(url, target)
    if "$" in target.host and (regular or draft.flags.get("interpolate")):
        scope.warn(url, "an address must not come from the request, such requests get a 500")
    member = members.find(target, regular)
    if member is not None:
        shared(scope, parameters, member)
        return
    given = list(scope.parameters(MEMBER, parameters))
    members.define(target, regular).take(given)


def serveByService(
    scope: Scope, draft: MappingDraft, url: Word, target: Target, parameters: Pairs
) -> None:
    """A service's members are those of a balancer, which has no other way to be named."""
    balancer = scope.server.members.balancer(
        Word.make(f"balancer://{target.host}", url.line, url.start, url.end)
    )
    path = target.name[len(target.authority) :]
    draft.url, draft.balancer = encode(balancer.name + path), balancer.name
    own = [pair for pair in parameters if pair[0].lower() in MEMBER]
    others = [pair for pair in parameters if pair[0].lower() not in MEMBER]
    target = replace(target, name=target.authority)
    for member in balancer.members:
        if member.target.scheme != target.scheme:
            raise url.error(f"{target.host} is described before, as {member.target.authority}")
        shared(scope, own, member)
        break
    else:
        member = MemberDraft(target)
        member.fields["patience"] = 0.0  # there may be others
        member.take(scope.parameters(MEMBER, own))
        balancer.members.append(member)
    balancer.take(readParameters(BALANCER, others, scope.warn))


def shared(scope: Scope, parameters: Pairs, member: MemberDraft) -> None:
    """Say that parameters have no effect, if there are any."""
    if not parameters:
        return
    keys = ", ".join(key for key, _ in parameters)
    name = member.target.name
    scope.warn(parameters[0][0], f"{keys} ignored: {name} is described before and serves this URL")


def update(scope: Scope, drafted: MemberDraft | BalancerDraft, parameters: Pairs) -> None:
    """Set parameters of what is described."""
    drafted.take(scope.parameters(drafted.table, parameters))


@rows.directive(
    "ProxyPass",
    Shape.WORDS,
    _MAPPED,
    syntax="[path] !|url [key=value ...] [nocanon] [interpolate] [noquery]",
    example='ProxyPass "/app/static/" "!"\nProxyPass "/app/" "fcgi://127.0.0.1:9000/" timeout=30',
)
def proxyPassPrefix(scope: Scope, words: list[Word]) -> None:
    """
    Maps the URLs below a path to an application.

    The first that fits counts; ``!`` takes URLs out.  Inside a ``<Location>`` the path is
    the section's.

    ``fcgi://host:port/`` speaks to a host, ``unix:/path|fcgi://name/`` to a UNIX socket,
    ``balancer://name/`` to a balancer.  Extensions: ``fcgis://`` is the same over TLS, which needs
    ``pip install 'twisted_fcgi[tls]'``; of ``srv+fcgi://service/`` DNS says who is asked.
    """
    proxyPass(scope, words, match=False)


@rows.directive(
    "ProxyPassMatch",
    Shape.WORDS,
    _MAPPED,
    syntax="[expression] !|url [key=value ...]",
    example=r'ProxyPassMatch "^/(.*\.php(/.*)?)$" "fcgi://127.0.0.1:9000/srv/www/$1"',
)
def proxyPassMatch(scope: Scope, words: list[Word]) -> None:
    """As ProxyPass, for URLs that match; ``$1`` in the URL is what the first group matched."""
    proxyPass(scope, words, match=True)


def proxySection(scope: Scope, words: list[Word], match: bool) -> Scope:
    """``<Proxy>`` and ``<ProxyMatch>``, with parameters of the member that they name."""
    word, more = words[0], words[1:]
    if word[:6].lower() == "proxy:":
        word = word.part(6)
    if match:
        if more:
            raise more[0].error("<ProxyMatch> takes one argument")
        draft = SectionDraft(SectionKind.PROXY_MATCH, pattern=pattern(word), word=word)
    elif hasWildcards(word):
        if more:
            raise more[0].error("a URL with wildcards can't have parameters")
        draft = SectionDraft(SectionKind.PROXY, pattern=compileWildcards(encode(word)), word=word)
    else:
        if more and ":" not in word:
            raise more[0].error("only the URL of a member or a balancer can have parameters")
        draft = SectionDraft(SectionKind.PROXY, path=encode(word), word=word)
    parameters = keyValues(more)
    scope.server.sections.append(draft)
    inner = scope.inside(Context.PROXY, draft)
    if parameters:  # after what stands inside, as in httpd
        inner.after.append(lambda: update(scope, scope.described(word), parameters))
    return inner


@rows.directive(
    "<Proxy",
    Shape.WORDS,
    Context.SERVER,
    inside=Context.PROXY,
    syntax="url|wildcard [key=value ...]",
    example='<Proxy "fcgi://localhost/" enablereuse=on max=10>\n</Proxy>',
)
def proxy(scope: Scope, words: list[Word]) -> Scope:
    """
    Holds for what is proxied to a URL; describes a member or a balancer.

    Its parameters, and ProxySet in it, belong to the member of that URL, which then also
    serves handlers and mappings whose URLs begin with it.
    """
    return proxySection(scope, words, match=False)


@rows.directive(
    "<ProxyMatch",
    Shape.WORDS,
    Context.SERVER,
    inside=Context.PROXY,
    syntax="expression",
    example='<ProxyMatch "^fcgi://[^/]+/app/">\n    SetEnv APP_ENV test\n</ProxyMatch>',
)
def proxyMatch(scope: Scope, words: list[Word]) -> Scope:
    """Holds for what is proxied to URLs that match."""
    return proxySection(scope, words, match=True)


@rows.directive(
    "ProxySet",
    Shape.WORDS,
    _MAPPED,
    syntax="[url] key=value ...",
    example='<Proxy "fcgi://localhost/">\n    ProxySet enablereuse=on max=10\n</Proxy>',
)
def proxySet(scope: Scope, words: list[Word]) -> None:
    """Sets parameters of a member or a balancer: the section's, or one that is there already."""
    section = scope.section
    if section.kind in (SectionKind.PROXY, SectionKind.PROXY_MATCH) and section.word is not None:
        match = section.kind is SectionKind.PROXY_MATCH
        update(scope, scope.described(section.word, match), keyValues(words))
        return
    if not words:
        raise scope.error("ProxySet needs a URL and parameters", 'ProxySet "url" key=value')
    update(scope, scope.described(words[0], create=False), keyValues(words[1:]))


@rows.directive(
    "BalancerMember",
    Shape.WORDS,
    _MAPPED,
    syntax="[balancer] url [key=value ...]",
    example='<Proxy "balancer://app">\n'
    '    BalancerMember "fcgi://192.0.2.1:9000"\n'
    '    BalancerMember "fcgi://192.0.2.2:9000" loadfactor=2\n'
    "</Proxy>",
)
def balancerMember(scope: Scope, words: list[Word]) -> None:
    """Adds a member to a balancer."""
    name: Word | None = scope.section.word if scope.inSection else None
    url: Word | None = None
    parameters: Pairs = []
    for word in words:
        if "=" in word:
            parameters += keyValues([word])
        elif name is None:
            name = word
        elif url is None:
            url = word
        else:
            raise word.error(f"{str(word)!r} is no parameter", "it has the form key=value")
    if name is None or url is None:
        needs = "a URL" if scope.inSection else "a balancer and a URL"
        raise scope.error(f"BalancerMember needs {needs}", '"balancer://name" "fcgi://host:port"')
    target = scope.target(url)
    if not isBalancerName(name):
        scope.warn(name, f"{str(name)!r} is no balancer's name, nothing can be mapped to it")
    if not target.isService:
        scope.spoken(url, target)
    balancer = scope.server.members.balancer(name)
    for member in balancer.members:
        if member.serves(target):
            shared(scope, parameters, member)
            return
    member = MemberDraft(target)
    member.take(scope.parameters(MEMBER, lastOfEach(parameters)))
    balancer.members.append(member)


@rows.directive(
    "ProxyTimeout",
    Shape.TAKE1,
    Context.SERVER,
    syntax="seconds|duration",
    default="Timeout",
    example="ProxyTimeout 300",
)
def proxyTimeout(scope: Scope, word: Word) -> None:
    """Silence of applications that is borne."""
    seconds = looseDuration(word, "s", scope.warn)
    if seconds <= 0:
        raise word.error("ProxyTimeout must be longer than nothing", "ProxyTimeout 60")
    scope.server.values["proxyTimeout"] = seconds
