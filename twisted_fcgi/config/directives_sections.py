"""
The sections that a request is matched against, and virtual hosts.

Their functions return the scope of what they enclose.
"""

from __future__ import annotations

import ipaddress
import os.path
import re
import socket

from twisted_fcgi.config.drafts import SectionDraft, ServerDraft
from twisted_fcgi.config.registry import Context, Override, Rows, Shape
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.source import encode
from twisted_fcgi.config.values import addressPort, pattern
from twisted_fcgi.config.words import Word
from twisted_fcgi.pcre import compileWildcards, hasWildcards
from twisted_fcgi.settings import SectionKind

__all__ = ["rows"]

rows = Rows("core")


def drafted(
    scope: Scope, words: list[Word], plain: SectionKind | None, match: SectionKind
) -> SectionDraft:
    """
    A section by its argument: a path, a wildcard pattern, or an expression.

    :param plain: the kind of a path or pattern; ``None`` when it is always an expression.
    :raises ConfigurationError: when there is none, or more than one.
    """
    word, more = words[0], words[1:]
    if plain is None or word == "~":
        if plain is not None:
            if not more:
                raise word.error("an expression is missing behind '~'")
            word, more = more[0], more[1:]
        draft = SectionDraft(match, pattern=pattern(word), word=word)
    else:
        path = directoryPath(word) if plain is SectionKind.DIRECTORY else str(word)
        if hasWildcards(path):
            draft = SectionDraft(plain, pattern=compileWildcards(encode(path), slashes=False))
        else:
            draft = SectionDraft(plain, path=encode(path))
        draft.word = word
    if more:
        raise more[0].error(f"{scope.node.title} takes one argument")
    return draft


def directoryPath(word: Word) -> str:
    """A ``<Directory>``'s path: absolute, without a slash at its end."""
    if not word:
        raise word.error("the path is empty")
    return "/" + os.path.abspath(word).lstrip("/")


def section(
    name: str,
    inside: Context,
    contexts: Context,
    kinds: tuple[SectionKind | None, SectionKind],
    syntax: str,
    example: str,
    doc: str,
) -> None:
    """A section's row."""

    def apply(scope: Scope, words: list[Word]) -> Scope:
        draft = drafted(scope, words, *kinds)
        files = kinds[1] is SectionKind.FILES_MATCH and scope.inSection
        if scope.section.kind is SectionKind.IF:
            scope.warn(words[0], "files are looked for before <If>: this has no effect")
        (scope.section.sections if files else scope.server.sections).append(draft)
        return scope.inside(inside, draft)

    rows.directive(
        name,
        Shape.WORDS,
        contexts,
        inside=inside,
        syntax=syntax,
        example=example,
        doc=doc,
        override=Override.ANY if inside is Context.FILES else None,
    )(apply)


_IN_FILES = Context.SERVER | Context.DIRECTORY | Context.FILES | Context.PROXY

section(
    "<Directory",
    Context.DIRECTORY,
    Context.SERVER,
    (SectionKind.DIRECTORY, SectionKind.DIRECTORY_MATCH),
    "path|wildcard|~ expression",
    '<Directory "/srv/www">\n    DirectoryIndex index.php\n</Directory>',
    "Holds for the files below a directory.",
)
section(
    "<DirectoryMatch",
    Context.DIRECTORY,
    Context.SERVER,
    (None, SectionKind.DIRECTORY_MATCH),
    "expression",
    '<DirectoryMatch "^/srv/[^/]+/public">\n    DirectoryIndex index.php\n</DirectoryMatch>',
    "Holds for the files in directories whose paths match.",
)
section(
    "<Location",
    Context.LOCATION,
    Context.SERVER,
    (SectionKind.LOCATION, SectionKind.LOCATION_MATCH),
    "path|wildcard|~ expression",
    '<Location "/app/">\n    ProxyPass "fcgi://127.0.0.1:9000/"\n</Location>',
    "Holds for the URLs below a path.",
)
section(
    "<LocationMatch",
    Context.LOCATION,
    Context.SERVER,
    (None, SectionKind.LOCATION_MATCH),
    "expression",
    '<LocationMatch "^/v[0-9]+/">\n    SetHandler "proxy:fcgi://127.0.0.1:9000"\n</LocationMatch>',
    "Holds for the URLs whose paths match.",
)
section(
    "<Files",
    Context.FILES,
    _IN_FILES,
    (SectionKind.FILES, SectionKind.FILES_MATCH),
    "name|wildcard|~ expression",
    '<Files "index.php">\n    SetHandler "proxy:fcgi://127.0.0.1:9000"\n</Files>',
    "Holds for files of a name, in any directory, or below the ``<Directory>`` around it.",
)
section(
    "<FilesMatch",
    Context.FILES,
    _IN_FILES,
    (None, SectionKind.FILES_MATCH),
    "expression",
    '<FilesMatch "\\.php$">\n'
    '    SetHandler "proxy:unix:/run/php/php-fpm.sock|fcgi://localhost/"\n'
    "</FilesMatch>",
    "Holds for files whose names match.",
)


@rows.directive(
    "<VirtualHost",
    Shape.WORDS,
    Context.MAIN,
    inside=Context.VIRTUAL_HOST,
    syntax="address[:port] ...",
    example="<VirtualHost *:8080>\n    ServerName www.example.org\n</VirtualHost>",
)
def virtualHost(scope: Scope, words: list[Word]) -> Scope:
    """
    A server of its own for some addresses and names.

    It takes over what stands outside: mappings, sections, members, timeouts, limits.
    """
    server = ServerDraft(virtual=True)
    server.values["place"] = scope.place
    server.values["addresses"] = tuple(
        address for word in words for address in virtualAddresses(scope, word)
    )
    scope.draft.hosts.append(server)
    return Scope(scope.draft, server, server.directory, Context.VIRTUAL_HOST, scope.node)


def virtualAddresses(scope: Scope, word: Word) -> list[str]:
    """
    The addresses that a word stands for; a name is looked up, as httpd does.

    :returns: ``host``, ``host:port`` with ``*`` for any host; none for a name that is not found.
    """
    text = word.removesuffix(":*")
    parsed = addressPort(text) if text != "*" else addressPort("*")
    if parsed is None or parsed.host is None:
        if parsed is not None or re.match(r"[0-9]+\Z|[:\[]|.*:[0-9]+\Z", text):
            raise word.error(f"{str(word)!r} is no address", "*, *:80, 192.0.2.1:80, [::1]:80")
        scope.warn(word, f"{str(word)!r} can't be looked up, no request will come to it")
        return []
    port = "" if parsed.port is None else f":{parsed.port}"
    if parsed.host.lower() in ("*", "_default_"):
        return [f"*{port}"]
    try:
        return [spelled(ipaddress.ip_address(parsed.host)) + port]
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(parsed.host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        scope.warn(word, f"{parsed.host!r} can't be looked up, no request will come to it")
        return []
    hosts = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
    return [spelled(ipaddress.ip_address(host)) + port for host in hosts]


def spelled(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """An address as it stands before a port."""
    return f"[{address}]" if address.version == 6 else str(address)
