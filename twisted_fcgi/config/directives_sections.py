"""
The sections that a request is matched against, and virtual hosts.

Their functions return the scope of what they enclose.
"""

from __future__ import annotations

import os.path

from twisted_fcgi.config.drafts import Scope, SectionDraft, ServerDraft
from twisted_fcgi.config.globs import globPattern, hasWildcards
from twisted_fcgi.config.registry import Context, Rows, Shape
from twisted_fcgi.config.source import encode
from twisted_fcgi.config.values import addressPort
from twisted_fcgi.config.words import Word
from twisted_fcgi.pcre import PatternError, compilePattern
from twisted_fcgi.settings import SectionKind

__all__ = ["checkedPattern", "oneWord", "rows"]

rows = Rows("core")


def checkedPattern(word: Word, ignoreCase: bool = False, text: str | None = None):  # type: ignore[no-untyped-def]
    """
    Compile a word.

    :raises ConfigurationError: at the character that is wrong.
    """
    try:
        return compilePattern(encode(word if text is None else text), ignoreCase=ignoreCase)
    except PatternError as error:
        raise word.error(
            f"this expression could not be compiled: {error}", index=error.at
        ) from None


def oneWord(scope: Scope, words: list[Word]) -> tuple[Word, bool]:
    """
    A section's only argument.

    :returns: the word, and whether ``~`` before it makes it an expression.
    :raises ConfigurationError: when there are more.
    """
    tilde = words[0] == "~"
    if tilde:
        if len(words) < 2:
            raise words[0].error("an expression is missing behind '~'")
        words = words[1:]
    if len(words) > 1:
        raise words[1].error(f"{scope.node.title} takes one argument")
    return words[0], tilde


def _section(
    scope: Scope, words: list[Word], kind: SectionKind, match: SectionKind, always: bool
) -> SectionDraft:
    """A section by its argument: a path, a wildcard pattern, or an expression."""
    word, tilde = oneWord(scope, words)
    if tilde or always:
        return SectionDraft(match, pattern=checkedPattern(word), word=word)
    path = str(word)
    if kind is SectionKind.DIRECTORY:
        path = directoryPath(word)
    if hasWildcards(word):
        pattern = globPattern(
            encode(path.rstrip("/") or "/" if kind is SectionKind.DIRECTORY else path)
        )
        return SectionDraft(kind, pattern=pattern, word=word)
    return SectionDraft(kind, path=encode(path), word=word)


def directoryPath(word: Word) -> str:
    """A ``<Directory>``'s path: absolute, without a slash at its end."""
    if not word:
        raise word.error("the path is empty")
    return (
        os.path.normpath(os.path.join("/", word)) if word.startswith("/") else os.path.abspath(word)
    )


@rows.directive("<Directory", Shape.WORDS, Context.SERVER, inside=Context.DIRECTORY,
                syntax="path|wildcard|~ expression",
                example='<Directory "/srv/www">\n    DirectoryIndex index.php\n</Directory>')  # fmt: skip
def directory(scope: Scope, words: list[Word]) -> Scope:
    """Holds for the files below a directory."""
    draft = _section(scope, words, SectionKind.DIRECTORY, SectionKind.DIRECTORY_MATCH, False)
    scope.server.sections.append(draft)
    return scope.inside(Context.DIRECTORY, draft)


@rows.directive("<DirectoryMatch", Shape.WORDS, Context.SERVER, inside=Context.DIRECTORY,
                syntax="expression",
                example='<DirectoryMatch "^/srv/[^/]+/public">\n</DirectoryMatch>')  # fmt: skip
def directoryMatch(scope: Scope, words: list[Word]) -> Scope:
    """Holds for the files in directories whose paths match."""
    draft = _section(scope, words, SectionKind.DIRECTORY, SectionKind.DIRECTORY_MATCH, True)
    scope.server.sections.append(draft)
    return scope.inside(Context.DIRECTORY, draft)


@rows.directive("<Location", Shape.WORDS, Context.SERVER, inside=Context.LOCATION,
                syntax="path|wildcard|~ expression",
                example='<Location "/app/">\n    ProxyPass "fcgi://127.0.0.1:9000/"\n</Location>')  # fmt: skip
def location(scope: Scope, words: list[Word]) -> Scope:
    """Holds for the URLs below a path."""
    draft = _section(scope, words, SectionKind.LOCATION, SectionKind.LOCATION_MATCH, False)
    scope.server.sections.append(draft)
    return scope.inside(Context.LOCATION, draft)


@rows.directive("<LocationMatch", Shape.WORDS, Context.SERVER, inside=Context.LOCATION,
                syntax="expression",
                example='<LocationMatch "^/v[0-9]+/">\n</LocationMatch>')  # fmt: skip
def locationMatch(scope: Scope, words: list[Word]) -> Scope:
    """Holds for the URLs whose paths match."""
    draft = _section(scope, words, SectionKind.LOCATION, SectionKind.LOCATION_MATCH, True)
    scope.server.sections.append(draft)
    return scope.inside(Context.LOCATION, draft)


_IN_FILES = Context.SERVER | Context.DIRECTORY | Context.FILES | Context.PROXY


@rows.directive("<Files", Shape.WORDS, _IN_FILES, inside=Context.FILES,
                syntax="name|wildcard|~ expression",
                example='<Files "index.php">\n    SetHandler "proxy:fcgi://127.0.0.1:9000"\n</Files>')  # fmt: skip
def files(scope: Scope, words: list[Word]) -> Scope:
    """Holds for files of a name, in any directory, or below the ``<Directory>`` around it."""
    draft = _section(scope, words, SectionKind.FILES, SectionKind.FILES_MATCH, False)
    (scope.section.sections if scope.inSection else scope.server.sections).append(draft)
    return scope.inside(Context.FILES, draft)


@rows.directive("<FilesMatch", Shape.WORDS, _IN_FILES, inside=Context.FILES,
                syntax="expression",
                example='<FilesMatch "\\.php$">\n'
                        '    SetHandler "proxy:unix:/run/php/php-fpm.sock|fcgi://localhost/"\n'
                        "</FilesMatch>")  # fmt: skip
def filesMatch(scope: Scope, words: list[Word]) -> Scope:
    """Holds for files whose names match."""
    draft = _section(scope, words, SectionKind.FILES, SectionKind.FILES_MATCH, True)
    (scope.section.sections if scope.inSection else scope.server.sections).append(draft)
    return scope.inside(Context.FILES, draft)


@rows.directive("<VirtualHost", Shape.WORDS, Context.MAIN, inside=Context.VIRTUAL_HOST,
                syntax="address[:port] ...",
                example="<VirtualHost *:8080>\n    ServerName www.example.org\n</VirtualHost>")  # fmt: skip
def virtualHost(scope: Scope, words: list[Word]) -> Scope:
    """
    A server of its own for some addresses and names.

    It takes over what stands outside: mappings, sections, members, timeouts, limits.
    """
    addresses = []
    for word in words:
        text = str(word)
        bare = text[:-2] if text.endswith(":*") else text
        parsed = None if text == "*" else addressPort("*" if bare == "_default_" else bare)
        if text != "*" and (parsed is None or parsed.host is None):
            raise word.error(
                f"{text!r} is no address", "*, *:80, 192.0.2.1, 192.0.2.1:80, [::1]:80"
            )
        addresses.append(text.replace("_default_", "*"))
    server = ServerDraft(virtual=True)
    server.values["addresses"] = tuple(addresses)
    scope.draft.hosts.append(server)
    return Scope(scope.draft, server, server.directory, Context.VIRTUAL_HOST, scope.node)


def proxySection(scope: Scope, words: list[Word], match: bool) -> Scope:
    """``<Proxy>`` and ``<ProxyMatch>``, with parameters of the member that they name."""
    word, parameters = words[0], words[1:]
    if word[:6].lower() == "proxy:":
        word = word.part(6)
    if match:
        draft = SectionDraft(SectionKind.PROXY_MATCH, pattern=checkedPattern(word), word=word)
    elif hasWildcards(word):
        pattern = globPattern(encode(word), slashes=False)
        draft = SectionDraft(SectionKind.PROXY, pattern=pattern, word=word)
    else:
        draft = SectionDraft(SectionKind.PROXY, path=encode(word), word=word)
    scope.server.sections.append(draft)
    inner = scope.inside(Context.PROXY, draft)
    if parameters:
        inner.after.append(lambda: _proxyParameters(scope, draft, word, parameters))
    return inner


def _proxyParameters(scope: Scope, draft: SectionDraft, word: Word, parameters: list[Word]) -> None:
    """The parameters behind a ``<Proxy>``'s URL; they come after what it encloses, as in httpd."""
    from twisted_fcgi.config.directives_proxy import keyValues, memberOrBalancer

    if draft.kind is SectionKind.PROXY_MATCH:
        raise parameters[0].error("<ProxyMatch> takes one argument")
    if draft.path is None:
        raise parameters[0].error("a URL with wildcards can't have parameters")
    if ":" not in word:
        raise parameters[0].error("only a member's or a balancer's URL can have parameters")
    drafted = memberOrBalancer(scope, word)
    scope.setParameters(drafted, keyValues(parameters))


@rows.directive("<Proxy", Shape.WORDS, Context.SERVER, inside=Context.PROXY, origin="mod_proxy",
                syntax="url|wildcard [key=value ...]",
                example='<Proxy "fcgi://localhost/" enablereuse=on max=10>\n</Proxy>')  # fmt: skip
def proxy(scope: Scope, words: list[Word]) -> Scope:
    """
    Holds for what is proxied to a URL; describes a member or a balancer.

    Its parameters, and ProxySet in it, belong to the member of that URL, which then also
    serves handlers and mappings whose URLs begin with it.
    """
    return proxySection(scope, words, match=False)


@rows.directive("<ProxyMatch", Shape.WORDS, Context.SERVER, inside=Context.PROXY,
                origin="mod_proxy", syntax="expression",
                example='<ProxyMatch "^fcgi://[^/]+/app/">\n</ProxyMatch>')  # fmt: skip
def proxyMatch(scope: Scope, words: list[Word]) -> Scope:
    """Holds for what is proxied to URLs that match."""
    return proxySection(scope, words, match=True)
