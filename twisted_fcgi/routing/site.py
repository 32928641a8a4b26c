"""
One virtual host, prepared: from a decoded path to what serves it.

:meth:`Site.look` is httpd's ``ap_process_request_internal``, and like it serves for a
request, for the look-ups of DirectoryIndex, FallbackResource and conditions, and for
PATH_TRANSLATED.  In its order: ``<Location>`` and ``<If>``, the server's RewriteRule,
ProxyPass, else Redirect, Alias or DocumentRoot with ``<Directory>`` and ``<Files>``,
``<Location>`` and ``<If>`` again over all of it, SetEnvIf, Require, types, RewriteRule and
Redirect of sections, the application's URL in its final form, SetEnv, and for directories
and what is missing mod_dir.
"""

from __future__ import annotations

from functools import partial

from twisted_fcgi.errors import RequestError
from twisted_fcgi.expr import RequestState, Word, evaluate
from twisted_fcgi.message import Authority, Request
from twisted_fcgi.routing.access import admit, holdToMethods
from twisted_fcgi.routing.aliases import Aliases, Redirects, redirect
from twisted_fcgi.routing.branches import choose
from twisted_fcgi.routing.canon import nameUrl
from twisted_fcgi.routing.directories import fixDirectory
from twisted_fcgi.routing.environment import Environment, Names, prepared
from twisted_fcgi.routing.fields import changedEarly, changedRequest
from twisted_fcgi.routing.files import DIRECTORY, MISSING, checkLinks
from twisted_fcgi.routing.look import Look, Rules
from twisted_fcgi.routing.lookups import isFileServed, isUrlServed
from twisted_fcgi.routing.mapping import Mappings
from twisted_fcgi.routing.notes import Notes
from twisted_fcgi.routing.rewriting import MAX_LINES, Rewrites
from twisted_fcgi.routing.sections import (
    AccessFiles,
    AccessSection,
    FindAccessFile,
    SectionKey,
    Sections,
    anyJudgesLinks,
)
from twisted_fcgi.routing.types import actionUrl, described
from twisted_fcgi.settings import (
    EncodedSlashes,
    FieldChange,
    ProxyMapping,
    Section,
    SectionKind,
    VirtualHost,
)
from twisted_fcgi.uri import decodePath, encodePath, mergeSlashes, normalizePath

__all__ = ["Site"]

_DIRECTORIES = frozenset((SectionKind.DIRECTORY, SectionKind.DIRECTORY_MATCH))

#: Sets of sections of which the merged settings are remembered.
MAX_RULES = 4096


class Site:
    """
    A virtual host, prepared.

    :param host: its settings.
    :param accessFiles: finds its ``.htaccess`` files; without, there are none.
    """

    def __init__(self, host: VirtualHost, accessFiles: AccessFiles | None = None) -> None:
        self.host = host
        self.root: bytes | None = None
        if host.documentRoot is not None:
            self.root = host.documentRoot.encode("utf-8", "surrogateescape").rstrip(b"/")
        self._names = Names()
        self.conditions = prepared(host.conditions, self._names)
        self.encodedSlashes = host.directory.encodedSlashes or EncodedSlashes.OFF
        self._sections = Sections(host.directory, host.sections)
        self._mappings = Mappings(host.mappings, self._names)
        self._maps = bool(self._mappings)
        encoded = Mappings(host.mappings, self._names, encoded=True)
        self._encoded = encoded if encoded or self._sections.hasEncoded else None
        self._redirects = Redirects(host.redirects)
        self.rewrites = Rewrites(host, self.root, self._names)
        self._aliases = Aliases(host.pathAliases)
        self._accessFiles = accessFiles if self._sections.hasAccessFiles else None
        self._generation = 0
        self._findAccessFile: FindAccessFile | None = None
        if self._accessFiles is not None:
            self._findAccessFile = partial(self._accessFiles.find, host)
        self._judgesLinks = self._sections.judgesLinks
        self._rules: dict[tuple[SectionKey, ...], Rules] = {}
        self._lines = 0
        self.rules = self._rulesFor(())

    def decode(self, path: bytes) -> bytes:
        """A target's path, as this host's settings decode it."""
        if b"%" not in path and b"/." not in path and b"//" not in path:
            return path
        return decodePath(path, self.encodedSlashes, self.host.mergeSlashes)

    def _rulesFor(self, keys: tuple[SectionKey, ...]) -> Rules:
        rules = self._rules.get(keys)
        if rules is None:
            files, names = self._accessFiles, self._names
            if files is not None:
                # What comes from .htaccess files goes with them.
                if files.generation != self._generation:
                    self._generation = files.generation
                    self._rules.clear()
                    self._lines = 0
                if any(isinstance(key, AccessSection) for key in keys):
                    names = names.copy()
            rules = Rules(self._sections.merged(keys), names, self.rewrites)
            self._lines += rules.lines
            if len(self._rules) >= MAX_RULES or self._lines > MAX_LINES:
                self._rules.clear()
                self._lines = rules.lines
            self._rules[keys] = rules
        return rules

    def sections(self, look: Look) -> tuple[Section, ...]:
        """The sections that apply to a look, in the order of their merging."""
        return self._sections.at(look.sectionKeys)

    def claims(self, look: Look) -> ProxyMapping | None:
        """The ProxyPass line that a look goes by: also one that takes its path out by ``!``."""
        if look.mapped is not None:
            return look.mapped.line
        environment = look.environment if look.directory.interpolates else None
        return self._mappings.claims(look.uri, look.directory.mapping, environment)

    def start(
        self,
        request: Request,
        authority: Authority,
        sent: bytes,
        environment: Environment,
        previous: Look | None = None,
        notes: Notes | None = None,
    ) -> Look:
        """
        Begin to look at a target or a local URL, with SetEnvIf outside of sections.

        :param sent: the path, and with a ``?`` the query.
        :param environment: variables that are there already.
        :param previous: of an internal redirect, what leads to it.
        :param notes: to be written, when somebody asks why.
        """
        look = Look(self, request, authority, sent, environment)
        look.notes = notes
        if previous is None:
            look.sent = request.target
        else:
            look.previous = previous
            look.grounds = previous.grounds
            look.ended = previous.ended
            look.early = previous.early
        early = self.host.directory.earlyFields
        if early is not None:
            request, look.early = changedEarly(early, request, look, look.early)
            look.changeRequest(request)
        if self.conditions is not None:
            self.conditions.apply(look)
        self.read(look)
        return look

    def read(self, look: Look) -> None:
        """Decode the path of a look, unless a line with ``mapping=`` claims it as it was sent."""
        path = look.uri
        if self._encoded is not None and b"no-proxy" not in look.environment:
            uri = normalizePath(path, self.host.mergeSlashes)
            settings = self.rules.settings
            if self._sections.hasLocations:
                settings = self._rulesFor(self._sections.locations(uri, {})).settings
            environment = look.environment if settings.interpolates else None
            look.mapped = self._encoded.find(uri, look.sent, settings.mapping, environment)
            if look.mapped is not None:
                look.uri = look.mapped.uri
                return
        look.uri = self.decode(path)

    def lookUp(self, look: Look) -> Look:
        """
        Look at a local URL on behalf of another one.

        :param look: of which nothing is known but the URL.
        :raises RequestError: when it is refused.
        """
        self.read(look)
        return self.look(look)

    def look(self, look: Look) -> Look:
        """
        Find out what a path leads to.

        The settings of the look are those of the sections that are known so far, also
        when it is refused.

        :raises RequestError: when it is refused.
        """
        if self._sections.hasLocations:
            self._walkLocations(look)
        look.grounds.rules.append(look.rules)
        if look.rules.branches is not None:
            choose(look)
        located = look.rules.isRewriting and self._rewrite(look)
        if look.location is not None:
            return look
        if look.mapped is None and not located:
            self._mapToApplication(look)
        if look.mapped is None and not located:
            if redirect(look, self._redirects):
                return look
            self._mapToFile(look)
        if look.mapped is None and look.request.method == b"TRACE":
            return look  # it is answered before files are looked at
        self._walkSections(look)
        look.grounds.rules.append(look.rules)
        if look.rules.inspects:
            self._inspect(look)
        rules = look.rules
        look.handler, look.destination = rules.handler, rules.destination
        if rules.settings.handlerMade is not None and look.mapped is None:
            self._makeHandler(look, rules.settings.handlerMade)
        if rules.settings.extensions is not None or rules.settings.pathInfoHasType:
            self._describe(look)
        if rules.rewriter is not None and self.rewrites.file(look, rules.rewriter):
            return look
        if (mapped := look.mapped) is not None:
            nameUrl(look, mapped.destination, mapped.path, mapped.raw, rules.settings)
        if rules.redirects is not None and redirect(look, rules.redirects):
            return look
        if rules.environment:
            _setVariables(look)
        if look.forced is not None:
            self.rewrites.force(look, look.forced)
        outermost = not look.depth
        if mapped is None or look.kind == DIRECTORY:
            fixDirectory(look)
        if outermost and look.rules.settings.requestFields is not None:
            _changeRequest(look, look.rules.settings.requestFields)
        return look

    def lookAtFile(self, look: Look) -> None:
        """
        Find out which sections hold for a file that was located, and whether it may be
        had (``ap_sub_req_lookup_file``).

        :raises RequestError: when it is refused.
        """
        look.sectionKeys = self._sections.directories(
            look.filename, look.kind, look.environment, self._findAccessFile
        )
        if self._sections.hasLocations:
            look.sectionKeys += self._sections.locations(look.uri, look.environment)
        look.rules = self._rulesFor(look.sectionKeys)
        if look.rules.inspects:
            self._inspect(look)

    def isServed(self, request: Request, state: RequestState, target: bytes, isFile: bool) -> bool:
        """
        Whether another request would be served: ``-U`` and ``-F`` of an expression.

        :param state: of the request that asks.
        """
        look = state if isinstance(state, Look) else Look.of(request, state)
        return (isFileServed if isFile else isUrlServed)(look, target)

    def pathTranslated(self, pathInfo: bytes, look: Look) -> bytes | None:
        """
        The file that a PATH_INFO would be, were it a path of its own (RFC 3875, 4.1.6).

        As in httpd that is the index of a directory, and a ``proxy:`` URL where a
        ProxyPass claims it.
        """
        inner = look.inner(encodePath(pathInfo))
        inner.notes = None
        try:
            self.lookUp(inner)
        except RequestError:
            pass  # nobody asked for it: what was found until then is the answer
        return inner.filename + (inner.pathInfo or b"") or None

    def action(self, look: Look) -> bytes | None:
        """The local URL that an Action or Script leads to."""
        settings = look.rules.settings
        if settings.actions is None and settings.scripts is None:
            return None
        for other in (look.location, look.mapped, look.destination):
            if other is not None:
                return None
        return None if look.request.method == b"TRACE" else actionUrl(look, self.host.types)

    # The phases.

    def _walkLocations(self, look: Look) -> None:
        """``<Location>``, before anything else is known."""
        look.sectionKeys = self._sections.locations(look.uri, look.environment)
        look.rules = self._rulesFor(look.sectionKeys)

    def _rewrite(self, look: Look) -> bool:
        """
        The server's RewriteRule lines.

        :returns: whether it is known what the path leads to.
        """
        before = look.uri
        located = self.rewrites.target(look)
        if look.uri is not before and look.location is None and self._sections.hasLocations:
            look.sectionKeys = self._sections.locations(look.uri, look.environment)
        return located

    def _mapToApplication(self, look: Look) -> None:
        """ProxyPass."""
        environment, settings = look.environment, look.rules.settings
        if (self._maps or settings.mapping is not None) and b"no-proxy" not in environment:
            told = environment if settings.interpolates else None
            look.mapped = self._mappings.find(look.uri, look.sent, settings.mapping, told)

    def _mapToFile(self, look: Look) -> None:
        """Alias or DocumentRoot, and the walk below it."""
        root, path = self.root, mergeSlashes(look.uri)
        aliased = self._aliases.find(look.request, look)
        if aliased is not None:
            root, path = b"", aliased.filename
            look.aliased = aliased.context
            if look.notes is not None:
                look.notes.mapped(aliased.place, look.uri, path)
        if root is None:
            look.filename = path
        else:
            look.filename = root + path
            look.locate(root, path)

    def _walkSections(self, look: Look) -> None:
        """``<Directory>`` and ``<Files>``, or ``<Proxy>``; and over these ``<Location>``."""
        sections, locations, environment = self._sections, look.sectionKeys, look.environment
        if look.mapped is None:
            find = self._findAccessFile
            if find is not None:
                find = partial(look.grounds.findAccessFile, find)
            if self._judgesLinks:
                self._checkLinks(look)
            familiar = _familiar(look)
            keys = sections.directories(look.filename, look.kind, environment, find, familiar)
            if find is not None and not self._judgesLinks and anyJudgesLinks(keys):
                self._checkLinks(look)
            look.sectionKeys = keys + locations
        elif sections.hasProxies:
            look.sectionKeys = sections.proxies(look.mapped.url, environment) + locations
        look.rules = self._rulesFor(look.sectionKeys)

    def _checkLinks(self, look: Look) -> None:
        """
        Hold to what is said of symbolic links.

        :raises RequestError: when one is not followed.
        """
        look.grounds.lasting = False
        checkLinks(look.filename, self._linksIn)

    def _linksIn(self, directory: bytes) -> tuple[bool, bool]:
        """Whether symbolic links in a directory are followed: all, and their owner's own."""
        keys = self._sections.directories(directory, DIRECTORY, {}, self._findAccessFile)
        settings = self._rulesFor(keys).settings
        return settings.followsLinks is not False, bool(settings.followsOwnLinks)

    def _inspect(self, look: Look) -> None:
        """
        What looks at the request itself: ``<If>``, SetEnvIf in sections, AllowMethods, Require.

        :raises RequestError: when it is refused.
        """
        if look.mapped is not None:
            look.filename = b"proxy:" + look.mapped.url
        if look.rules.branches is not None:
            choose(look)
        rules = look.rules
        if rules.conditions is not None and not look.depth:
            rules.conditions.apply(look)
        if look.request.method == b"TRACE" and look.mapped is None:
            return  # it is answered before access is looked at
        if rules.settings.methods:
            holdToMethods(look, rules.settings.methods)
        if rules.access is not None and not self._isSettled(look):
            admit(look, rules.access)

    def _isSettled(self, look: Look) -> bool:
        """
        Whether access was looked at for who is looked up for, or before an internal redirect,
        under the same settings: httpd compares what its walks merged, which is the same for
        the same URL, and for ``<Directory>`` alone within one directory.
        """
        around = look.main or look.previous
        if around is None or look.rules.settings is not look.settled:
            return False
        if around.uri == look.uri:
            return True
        return (
            not look.branches
            and _directoryOf(around) == _directoryOf(look)
            and all(section.kind in _DIRECTORIES for section in self.sections(look))
        )

    def _makeHandler(self, look: Look, made: Word) -> None:
        """
        SetHandler with variables: one of the applications that are defined, or another name.

        :raises RequestError: when that can't be said, or it is none of them.
        """
        name = evaluate(made, look.request, look)
        if b"proxy:unix" not in name:
            name = name.lower()
        look.handler = b"" if name == b"none" else name
        if name[:6] == b"proxy:":
            look.destination, _ = self.rewrites.destination(name[6:], None)

    def _describe(self, look: Look) -> None:
        """AddType, AddHandler and their like; SetHandler comes before them."""
        look.described = described(look, self.host.types)
        extension = look.described.extension
        if extension is not None and not look.handler and look.mapped is None:
            look.handler = extension.handler or b""
            look.destination = look.rules.destinationOf(extension)


def _familiar(look: Look) -> bytes | None:
    """
    What ``<DirectoryMatch>`` was held against for who is looked up for, or before an internal
    redirect, when that was in the same directory: the sections stay (``ap_directory_walk``).
    """
    name, around = look.filename, look.main or look.previous
    directory = _directoryOf(look)
    walked = None if around is None else around.walked
    if walked is not None and walked[0] == directory and look.kind != MISSING:
        look.walked = walked
        return walked[1]
    look.walked = directory, name
    return None


def _directoryOf(look: Look) -> bytes:
    """The directory in which a look's sections were looked for."""
    if look.walked is not None:
        return look.walked[0]
    return (
        look.filename.rstrip(b"/") if look.kind == DIRECTORY else look.filename.rpartition(b"/")[0]
    )


def _setVariables(look: Look) -> None:
    """SetEnv."""
    look.environment.update(look.rules.environment)
    if look.notes is not None:
        look.notes.changed(look.rules.settings.environment)


def _changeRequest(look: Look, changes: tuple[FieldChange, ...]) -> None:
    """RequestHeader; httpd redirects before it comes to that."""
    if look.location is None:
        look.changeRequest(changedRequest(changes, look.request, look))
