"""
One virtual host, prepared: from a decoded path to what serves it.

:meth:`Site.look` is httpd's ``ap_process_request_internal``, and like it serves for a
request, for the look-ups of DirectoryIndex, FallbackResource and conditions, and for
PATH_TRANSLATED.  In its order: ``<Location>``, the server's RewriteRule, ProxyPass, else
Redirect, Alias or DocumentRoot with ``<Directory>`` and ``<Files>``, ``<Location>`` again
over all of it, ``<If>``, SetEnvIf, Require, types, RewriteRule and Redirect of sections, the
application's URL in its final form, SetEnv, and for directories and what is missing mod_dir.
"""

from __future__ import annotations

import re
from functools import partial

from twisted_fcgi.errors import MethodNotAllowed, RequestError
from twisted_fcgi.expr import EvaluationError, RequestContext, Word
from twisted_fcgi.message import Authority, Request, Route
from twisted_fcgi.routing.access import admit
from twisted_fcgi.routing.aliases import Aliases, Redirects
from twisted_fcgi.routing.branches import chosen
from twisted_fcgi.routing.environment import Environment, Names, prepared
from twisted_fcgi.routing.fields import changedEarly, changedRequest
from twisted_fcgi.routing.files import DIRECTORY, FILE, MISSING, checkLinks, concealed, locate
from twisted_fcgi.routing.look import Look, Rules
from twisted_fcgi.routing.lookups import isFileServed, isUrlServed
from twisted_fcgi.routing.mapping import Destination, Mappings
from twisted_fcgi.routing.notes import Notes
from twisted_fcgi.routing.rewrites import Rewrites
from twisted_fcgi.routing.sections import (
    AccessFiles,
    AccessSection,
    FindAccessFile,
    Place,
    Sections,
    anyJudgesLinks,
)
from twisted_fcgi.routing.types import actionUrl, described
from twisted_fcgi.settings import (
    BackendType,
    DirectorySettings,
    EncodedSlashes,
    FieldChange,
    ProxyMapping,
    Section,
    VirtualHost,
)
from twisted_fcgi.uri import (
    decodePath,
    encodeForProxy,
    encodePath,
    mergeSlashes,
    normalizePath,
    unescape,
)

__all__ = ["Site"]

#: Sets of sections of which the merged settings are remembered.
MAX_RULES = 4096

_DEFAULT_INDEX = (b"index.html",)

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_CONTROL_OR_QUERY = re.compile(rb"[\x00-\x1f\x7f?]")


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
        encoded = Mappings(host.mappings, self._names, encoded=True)
        self._encoded = encoded if encoded or self._sections.hasEncoded else None
        self._redirects = Redirects(host.redirects)
        self.rewrites = Rewrites(self, self._names)
        self._aliases = Aliases(host.pathAliases)
        self._accessFiles = accessFiles if self._sections.hasAccessFiles else None
        self._generation = 0
        self._findAccessFile: FindAccessFile | None = None
        if self._accessFiles is not None:
            self._findAccessFile = partial(self._accessFiles.find, host)
        self._judgesLinks = self._sections.judgesLinks
        self._rules: dict[tuple[Place, ...], Rules] = {}
        self.rules = self._rulesFor(())

    def decode(self, path: bytes) -> bytes:
        """A target's path, as this host's settings decode it."""
        if b"%" not in path and b"/." not in path and b"//" not in path:
            return path
        return decodePath(path, self.encodedSlashes, self.host.mergeSlashes)

    def _rulesFor(self, places: tuple[Place, ...]) -> Rules:
        rules = self._rules.get(places)
        if rules is None:
            files, names = self._accessFiles, self._names
            if files is not None:
                # What comes from .htaccess files goes with them.
                if files.generation != self._generation:
                    self._generation = files.generation
                    self._rules.clear()
                if any(isinstance(place, AccessSection) for place in places):
                    names = names.copy()
            if len(self._rules) >= MAX_RULES:
                self._rules.clear()
            rules = self._rules[places] = Rules(self._sections.merged(places), names, self.rewrites)
        return rules

    def sections(self, look: Look) -> tuple[Section, ...]:
        """The sections that apply to a look, in the order of their merging."""
        return self._sections.at(look.places)

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
        :param notes: to be written, when somebody asks why.
        """
        path, mark, query = sent.partition(b"?")
        look = Look(
            request,
            authority,
            path,
            query if mark else None,
            sent,
            environment,
            previous=previous,
        )
        look.notes = notes
        look.site = self
        look.rules = self.rules
        early = self.host.directory.earlyFields
        if early is None:
            look.early = None if previous is None else previous.early
        else:
            before = None if previous is None else previous.early
            request, look.early = changedEarly(early, request, look, before)
            look.changeRequest(request)
        if self.conditions is not None:
            self.conditions.apply(environment, request, authority, path, notes, look)
        self.read(look, path)
        return look

    def read(self, look: Look, path: bytes) -> None:
        """Decode a path, unless a line with ``mapping=`` claims it as it is."""
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

    def look(self, look: Look) -> Look:
        """
        Find out what a path leads to.

        The settings of the look are those of the sections that are known so far, also
        when it is refused.

        :raises RequestError: when it is refused.
        """
        look.rules = self.rules
        sections = self._sections
        uri = look.uri
        environment = look.environment
        locations: tuple[Place, ...] = ()
        if sections.hasLocations:
            locations = look.places = sections.locations(uri, environment)
            look.rules = self._rulesFor(locations)
        mapped = look.mapped
        located = False
        if look.rules.rewrites:
            located = self.rewrites.target(look)
            if look.location is not None:
                return look
            mapped, environment = look.mapped, look.environment
            if look.uri is not uri:
                uri = look.uri
                if sections.hasLocations:
                    locations = look.places = sections.locations(uri, environment)
        if mapped is None and not located and b"no-proxy" not in environment:
            settings = look.rules.settings
            told = environment if settings.interpolates else None
            mapped = self._mappings.find(uri, look.sent, settings.mapping, told)
        if mapped is not None:
            look.mapped = mapped
            places = locations
            if sections.hasProxies:
                places = sections.proxies(mapped.url, environment) + locations
        else:
            if not located:
                if _redirect(look, self._redirects):
                    return look
                self._translate(look)
            if self._judgesLinks:
                checkLinks(look.filename, self._linksIn)
            find = self._findAccessFile
            places = sections.directories(look.filename, look.kind, environment, find)
            if find is not None and not self._judgesLinks and anyJudgesLinks(places):
                checkLinks(look.filename, self._linksIn)
            places += locations
        look.places = places
        look.rules = rules = self._rulesFor(places)
        if rules.inspects:
            rules = self._inspect(look)
        look.handler, look.destination = rules.handler, rules.destination
        if rules.settings.handlerMade is not None and mapped is None:
            self._makeHandler(look, rules.settings.handlerMade)
        if rules.settings.extensions is not None or rules.settings.pathInfoHasType:
            self._describe(look)
        if rules.rewriter is not None:
            if self.rewrites.file(look, rules.rewriter):
                return look
            mapped, environment = look.mapped, look.environment
        if mapped is not None:
            self.proxy(look, mapped.destination, mapped.path, mapped.raw, rules.settings)
        if rules.redirects is not None and _redirect(look, rules.redirects):
            return look
        if rules.environment:
            environment.update(rules.environment)
            if look.notes is not None:
                look.notes.changed(rules.settings.environment)
        if look.forced is not None:
            self.rewrites.force(look, look.forced)
        outermost = not look.depth
        if mapped is None or look.kind == DIRECTORY:
            self._fixDirectory(look)
        if outermost and look.rules.settings.requestFields is not None:
            _changeRequest(look, look.rules.settings.requestFields)
        return look

    def lookAtFile(self, look: Look) -> None:
        """
        Find out which sections hold for a file that was located, and whether it may be
        had (``ap_sub_req_lookup_file``).

        :raises RequestError: when it is refused.
        """
        look.rules = self.rules
        look.places = self._sections.directories(
            look.filename, look.kind, look.environment, self._findAccessFile
        )
        if self._sections.hasLocations:
            look.places += self._sections.locations(look.uri, look.environment)
        look.rules = self._rulesFor(look.places)
        if look.rules.inspects:
            self._inspect(look)

    def _inspect(self, look: Look) -> Rules:
        """
        What looks at the request itself: <If>, SetEnvIf in sections, Require.

        :returns: the rules that apply.
        :raises RequestError: when it is refused.
        """
        rules = look.rules
        if look.mapped is not None:
            look.filename = b"proxy:" + look.mapped.url
        level = rules.branches
        while level and (taken := chosen(level, look.holds)):
            look.branches += taken
            look.rules = rules = rules.choosing(taken)
            level = tuple(inner for branch in taken for inner in branch.settings.branches or ())
        if rules.conditions is not None and not look.depth:
            rules.conditions.apply(
                look.environment, look.request, look.authority, look.uri, look.notes, look
            )
        # TRACE is answered before access is looked at, unless an application does it.
        asked = look.request.method != b"TRACE" or look.mapped is not None
        if rules.settings.methods and asked:
            _holdToMethods(rules.settings.methods, look.request.method)
        if rules.access is not None and asked and rules.settings is not look.settled:
            context = RequestContext(look.request, look)
            try:
                admit(rules.access, context, look.filename or look.uri)
            except RequestError:
                if look.notes is not None:
                    look.notes.denied(rules.access, context)
                raise
            look.varies(context)
        return rules

    def isServed(self, request: Request, state: Look | Route, target: bytes, isFile: bool) -> bool:
        """
        Whether another request would be served: ``-U`` and ``-F`` of an expression.

        :param state: of the request that asks.
        """
        if isinstance(state, Look):
            look = state
        else:
            assert state.authority is not None
            look = Look(
                request, state.authority, state.uri, state.query, request.target, state.environment
            )
            look.filename, look.site, look.rules = state.filename, self, self.rules
        return (isFileServed if isFile else isUrlServed)(self, look, target)

    def _translate(self, look: Look) -> None:
        """Alias or DocumentRoot, and the walk below it."""
        aliased = self._aliases.find(look.request, look)
        if aliased is not None:
            look.filename = aliased.filename
            look.aliased = aliased.context
            if look.notes is not None:
                look.notes.moved(aliased.place, look.uri, look.filename)
            look.filename, look.pathInfo, look.kind = locate(b"", look.filename)
            return
        path = mergeSlashes(look.uri)
        if self.root is None:
            look.filename = path
            return
        look.filename = self.root + path
        look.filename, look.pathInfo, look.kind = locate(self.root, path)

    def _linksIn(self, directory: bytes) -> tuple[bool, bool]:
        """Whether symbolic links in a directory are followed: all, and their owner's own."""
        places = self._sections.directories(directory, DIRECTORY, {}, self._findAccessFile)
        settings = self._rulesFor(places).settings
        return settings.followsLinks is not False, bool(settings.followsOwnLinks)

    def _makeHandler(self, look: Look, made: Word) -> None:
        """
        SetHandler with variables: one of the applications that are defined, or another name.

        :raises RequestError: when that can't be said, or it is none of them.
        """
        try:
            name = made(RequestContext(look.request, look))
        except EvaluationError as error:
            raise RequestError(str(error), 500) from None
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

    def action(self, look: Look) -> bytes | None:
        """The local URL that an Action or Script leads to."""
        settings = look.rules.settings
        if settings.actions is None and settings.scripts is None:
            return None
        for other in (look.location, look.mapped, look.destination):
            if other is not None:
                return None
        return None if look.request.method == b"TRACE" else actionUrl(look, self.host.types)

    # The application's URL.

    def proxy(
        self,
        look: Look,
        destination: Destination,
        path: bytes,
        raw: bool,
        settings: DirectorySettings,
    ) -> None:
        """Give a look the application's URL as its filename."""
        if destination.balancer is not None:
            # Encoded for each member that is asked, with that member's path before it.
            look.filename = b"proxy:%b/%b" % (destination.authority, path[1:])
            return
        final = _finalPath(path, raw, settings)
        look.filename = b"proxy:%b%b" % (destination.authority, final)
        mode = look.environment.get(b"proxy-fcgi-pathinfo")
        if mode is not None:
            pathInfo, look.script = self._pathInfo(mode.lower(), path, final)
            if pathInfo is not None or look.script is not None:
                look.pathInfo = pathInfo

    def _pathInfo(
        self, mode: bytes, path: bytes, final: bytes
    ) -> tuple[bytes | None, bytes | None]:
        """
        What the variable proxy-fcgi-pathinfo asks for.

        :param mode: its value, in lower case.
        :param path: of the application's URL, before it was encoded.
        :param final: the same as it is sent.
        :returns: PATH_INFO, or ``None`` for what it was before; and for ``full``, where
            the file system says where the script ends, the file that was found.
        """
        if mode != b"full":
            return _splitPathInfo(final, mode), None
        path = mergeSlashes(b"/" + path)
        for root in (b"",) if self.root is None else (b"", self.root):
            try:
                place = locate(root, path)
            except RequestError:
                continue
            if place.kind == FILE:
                return place.pathInfo, place.filename
        return None, None

    # mod_dir.

    def _fixDirectory(self, look: Look) -> None:
        """A directory's slash and index, and what takes the place of a missing file."""
        settings = look.rules.settings
        if look.kind == DIRECTORY:
            status = concealed(look.uri)
            if status and look.destination is None:
                raise RequestError("a directory with a dot at its beginning", status)
            if look.uri.endswith(b"/"):
                if look.internal is not None:
                    return  # a rule leads elsewhere
                if settings.handlerBeforeIndex and look.handler:
                    return
                names = settings.directoryIndex
                self._tryEach(look, _DEFAULT_INDEX if names is None else names)
            elif settings.directorySlash is not False and (
                look.request.method in (b"GET", b"HEAD")
                or b"redirect-carefully" not in look.environment
            ):
                look.location, look.internal = _urlWithSlash(look), None
                if look.notes is not None:
                    look.notes.moved("", look.uri, look.uri + b"/", "DirectorySlash")
        elif (
            look.kind == MISSING
            and settings.fallbackResource
            and not look.handler
            and look.internal is None
        ):
            self._tryEach(look, (settings.fallbackResource,))

    def _tryEach(self, look: Look, urls: tuple[bytes, ...]) -> None:
        """Become the first of some local URLs that is a file or proxied, or redirect with it."""
        if look.depth >= self.host.lookups:
            raise RequestError("DirectoryIndex or FallbackResource leads to itself", 500)
        refusal: RequestError | None = None
        for url in urls:
            if not url.startswith(b"/"):
                url = encodePath(look.uri[: look.uri.rindex(b"/") + 1]) + url
            if look.query is not None:
                url += b"?" + look.query
            path, mark, query = url.partition(b"?")
            inner = look.inner(b"", query if mark else None, url)
            try:
                self.read(inner, path)
                self.look(inner)
            except RequestError as error:
                if error.status != 404:
                    refusal = error
                continue
            if inner.location is None and inner.mapped is None and inner.kind != FILE:
                continue
            if look.notes is not None:
                look.notes.moved(self._placeOf(look), look.uri, inner.uri, "DirectoryIndex")
            settings = look.directory
            status = settings.indexRedirect if look.kind == DIRECTORY else 0
            if inner.location is not None:
                look.location, look.status, look.internal = inner.location, inner.status, None
            elif status:
                look.location = look.authority.url(encodePath(inner.uri), settings)
                look.status = status
            else:
                look.adopt(inner)
            return
        if refusal is not None:
            raise refusal

    def _placeOf(self, look: Look) -> str:
        """Of the line of a look's index or fallback."""
        field = "directoryIndex" if look.kind == DIRECTORY else "fallbackResource"
        return (look.directory.places or {}).get(field, "")

    def pathTranslated(self, pathInfo: bytes, look: Look) -> bytes | None:
        """
        The file that a PATH_INFO would be, were it a path of its own (RFC 3875, 4.1.6).

        As in httpd that is the index of a directory, and a ``proxy:`` URL where a
        ProxyPass claims it.
        """
        sent = encodePath(pathInfo)
        inner = look.inner(b"", None, sent)
        inner.notes = None
        try:
            self.read(inner, sent)
            self.look(inner)
        except RequestError:
            pass  # nobody asked for it: what was found until then is the answer
        return inner.filename + (inner.pathInfo or b"") or None


def _holdToMethods(allowed: frozenset[bytes], method: bytes) -> None:
    """
    AllowMethods.

    :raises MethodNotAllowed: when it is none of them.
    """
    if (b"GET" if method == b"HEAD" else method) not in allowed:
        names = allowed | {b"HEAD"} if b"GET" in allowed else allowed
        raise MethodNotAllowed("by AllowMethods", b", ".join(sorted(names)))


def _changeRequest(look: Look, changes: tuple[FieldChange, ...]) -> None:
    """RequestHeader; httpd redirects, and echoes a TRACE of a file, before it comes to that."""
    if look.location is None and (look.mapped is not None or look.request.method != b"TRACE"):
        look.changeRequest(changedRequest(changes, look.request, look))


def _redirect(look: Look, redirects: Redirects) -> bool:
    """
    Send the client to another address, if a line says so.

    :raises RequestError: with a line's status for which there is no address.
    """
    redirected = redirects.find(look.request, look)
    if redirected is None:
        return False
    look.status, look.location, place = redirected
    if look.notes is not None:
        look.notes.redirected(place, look.uri, look.location)
    if look.location is None:
        raise RequestError("by a Redirect without a URL", look.status)
    return True


def _finalPath(path: bytes, raw: bool, settings: DirectorySettings) -> bytes:
    """
    The path of an application's URL as it is sent (``proxy_fcgi_canon``).

    :param path: decoded unless ``raw``, with a slash at its beginning or empty.
    :param raw: it is not encoded, but must not hold control characters, nor a
        ``?`` for PHP-FPM, which takes that for the begin of a query.
    :raises RequestError: 403 when it does.
    """
    if not raw:
        path = encodeForProxy(path, settings.encodedSlashes is EncodedSlashes.NODECODE)
    elif (_CONTROL if settings.backendType is BackendType.GENERIC else _CONTROL_OR_QUERY).search(
        path
    ):
        raise RequestError("control character or '?' in a path that is passed raw", 403)
    return path or b"/"


def _splitPathInfo(path: bytes, mode: bytes) -> bytes | None:
    """
    proxy-fcgi-pathinfo: where the script ends, guessed from the URL's look.

    The rules are fixed texts on bytes, not expressions: an expression that has to
    match the whole path can be made to fail (CVE-2019-11043), and one that ignores
    case can find ``.php`` where the file system does not (CVE-2026-24895).

    :param path: as it is sent.
    :param mode: ``first-dot``, ``last-dot``, ``unescape`` or any other text.
    """
    if mode in (b"first-dot", b"last-dot"):
        dot = path.find(b".") if mode == b"first-dot" else path.rfind(b".")
        slash = path.find(b"/", dot) if dot >= 0 else -1
        return unescape(path[slash:]) if slash >= 0 else None
    return unescape(path) if mode == b"unescape" else path


def _urlWithSlash(look: Look) -> bytes:
    """The URL of a directory, with the slash that its path lacks."""
    query = b"" if look.query is None else b"?" + look.query
    return look.authority.url(encodePath(look.uri) + b"/" + query, look.directory)
