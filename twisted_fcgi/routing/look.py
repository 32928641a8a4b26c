"""
A path that is looked at, and the rules that hold for it (httpd: a ``request_rec`` and its
``per_dir_config``).

:class:`Rules` are prepared once for each set of sections that apply together;
:class:`Look` is what one request, or a look-up on its behalf, has come to so far.
:class:`~twisted_fcgi.routing.site.Site` takes it from phase to phase.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import reduce
from typing import TYPE_CHECKING

from twisted_fcgi.expr import Condition, EvaluationError, RequestContext, RequestState
from twisted_fcgi.mediatypes import Described
from twisted_fcgi.message import Authority, Request
from twisted_fcgi.routing.access import effective
from twisted_fcgi.routing.aliases import Redirects
from twisted_fcgi.routing.environment import Environment, Names, changed, prepared
from twisted_fcgi.routing.fields import Early
from twisted_fcgi.routing.files import MISSING, locate
from twisted_fcgi.routing.grounds import Grounds
from twisted_fcgi.routing.lookups import Account
from twisted_fcgi.routing.mapping import Destination, Mapped
from twisted_fcgi.routing.notes import Notes
from twisted_fcgi.routing.rewrite import Rewriter
from twisted_fcgi.routing.rewriterule import Run
from twisted_fcgi.routing.rewriting import Forced, Rewrites
from twisted_fcgi.routing.sections import SectionKey
from twisted_fcgi.settings import Branch, DirectorySettings, ExtensionSettings
from twisted_fcgi.uri import partitionSocket

if TYPE_CHECKING:
    from twisted_fcgi.routing.site import Site

__all__ = ["Look", "Rules"]

#: Choices of ``<If>`` of which the rules are remembered, for each set of sections.
MAX_CHOICES = 64

#: Complaints of one request that are logged.
MAX_COMPLAINTS = 20


class Rules:
    """
    The settings of the sections that apply, and what follows from them.

    Each is ``None`` where nothing is said, so that a phase costs a request one look.

    :ivar environment: what SetEnv lines leave.
    :ivar conditions: SetEnvIf and its like.
    :ivar access: Require.
    :ivar branches: ``<If>`` and its like.
    :ivar inspects: whether one of these, or AllowMethods, has to look at the request itself.
    :ivar handler: SetHandler's; empty for none.
    :ivar destination: the application that it names.
    :ivar redirects: Redirect.
    :ivar isRewriting: whether RewriteEngine is on.
    :ivar rewriter: the sections' RewriteRule lines.
    :ivar lines: how many lines of the configuration they are made of, roughly.
    :ivar lasting: whether they lead each request for a path to the same, but for what
        SetEnvIf and RewriteRule look at.
    :ivar lastingForFiles: whether they do so, too, where the path leads to a file.
    """

    __slots__ = (
        "_byExtension",
        "_choices",
        "_names",
        "_rewrites",
        "access",
        "branches",
        "conditions",
        "destination",
        "environment",
        "handler",
        "inspects",
        "isRewriting",
        "lasting",
        "lastingForFiles",
        "lines",
        "redirects",
        "rewriter",
        "settings",
    )

    def __init__(self, settings: DirectorySettings, names: Names, rewrites: Rewrites) -> None:
        self.settings = settings
        self.environment = changed(settings.environment or (), names)
        self.conditions = prepared(settings.conditions, names)
        self.access = effective(settings.access)
        self.branches = settings.branches
        self.inspects = (
            self.branches is not None
            or self.conditions is not None
            or self.access is not None
            or bool(settings.methods)
        )
        self.handler = settings.handler or b""
        self.destination = _destination(self.handler, settings)
        self.redirects: Redirects | None = None
        if settings.redirect is not None or settings.redirects is not None:
            self.redirects = Redirects(settings.redirects or ())
        rewriting = settings.rewriting
        self.isRewriting = rewriting is not None and bool(rewriting.enabled)
        self.rewriter: Rewriter | None = None
        if rewriting is not None and self.isRewriting and rewriting.rules:
            self.rewriter = rewrites.prepared(rewriting)
        self.lines = _linesOf(settings)
        self._names = names
        self._rewrites = rewrites
        self._choices: dict[tuple[int, ...], Rules] = {}
        self._byExtension: dict[int, Destination | None] = {}
        self.lasting = (
            self.branches is None
            and self.access is None
            and not settings.methods
            and settings.requestFields is None
        )
        # Expressions may have a part in these, or the method.
        self.lastingForFiles = (
            self.lasting
            and settings.redirect is None
            and settings.handlerMade is None
            and settings.alias is None
            and settings.actions is None
            and settings.scripts is None
        )

    def destinationOf(self, extension: ExtensionSettings) -> Destination | None:
        """The application that an AddHandler names."""
        key = id(extension)  # one of these settings, which keep it alive
        if key not in self._byExtension:
            self._byExtension[key] = _destination(extension.handler or b"", extension)
        return self._byExtension[key]

    def choosing(self, branches: tuple[Branch, ...]) -> Rules:
        """These rules with what some branches say laid over them."""
        key = tuple(map(id, branches))  # the settings keep them
        rules = self._choices.get(key)
        if rules is None:
            # The more lines there are, the fewer choices.
            if len(self._choices) * (10 + self.lines) >= 10 * MAX_CHOICES:
                self._choices.clear()
            over = reduce(DirectorySettings.merged, (branch.settings for branch in branches))
            rules = self._choices[key] = Rules(
                self.settings.merged(over), self._names, self._rewrites
            )
        return rules


class Look:
    """
    What a path leads to (httpd: a ``request_rec``); most names are those of ``Route``.

    :param sent: the target as it was sent, or the local URL that is looked up.
    :ivar site: the virtual host, prepared.
    :ivar request: what is being answered.
    :ivar authority: who was asked.
    :ivar uri: the path, decoded once the site has read it.
    :ivar early: fields that the response has already (Header with ``early``), or ``None``.
    :ivar depth: 0 for the request itself, more for a look-up.
    :ivar previous: of an internal redirect, what led to it.
    :ivar rules: the settings that apply.
    :ivar aliased: of a path that an Alias claims: its path, and its directory.
    :ivar mapped: what a ProxyPass made of the path.
    :ivar described: what the name says, where AddType and its like may add to it.
    :ivar grounds: what it rests on; one for a request, its redirects and the look-ups on
        their behalf.
    :ivar handler: SetHandler's or AddHandler's; empty for none (``handler``).
    :ivar destination: the application that it names.
    :ivar kind: of a file: one of :mod:`twisted_fcgi.routing.files`.
    :ivar location: where the client is redirected to.
    :ivar status: of that redirect.
    :ivar internal: a local URL that is to be looked at in place of this one
        (``ap_internal_redirect``).
    :ivar ended: no rule may rewrite it any more.
    :ivar forced: what rules say of the file.
    :ivar sectionKeys: of the sections that apply, in the order of their merging.
    :ivar walked: the directory in which they were looked for, and the name that
        ``<DirectoryMatch>`` was held against.
    :ivar main: of a look-up, on whose behalf it is.
    :ivar settled: of an internal redirect or a look-up, the settings of what it comes from:
        when they are its own as well, access was decided already.
    :ivar branches: the ``<If>`` and its like that hold, in the order of their merging.
    :ivar notes: what is written down for who asks why, or ``None``.
    """

    __slots__ = (
        "_account",
        "aliased",
        "authority",
        "branches",
        "depth",
        "described",
        "destination",
        "early",
        "ended",
        "environment",
        "filename",
        "forced",
        "grounds",
        "handler",
        "internal",
        "kind",
        "location",
        "main",
        "mapped",
        "notes",
        "pathInfo",
        "previous",
        "query",
        "request",
        "rules",
        "script",
        "sectionKeys",
        "sent",
        "settled",
        "site",
        "status",
        "uri",
        "walked",
    )

    def __init__(
        self,
        site: Site,
        request: Request,
        authority: Authority,
        sent: bytes,
        environment: Environment,
    ) -> None:
        path, mark, query = sent.partition(b"?")
        self.site = site
        self.rules = site.rules
        self.request = request
        self.authority = authority
        self.uri = path
        self.query = query if mark else None
        self.sent = sent
        self.environment = environment
        self.depth = 0
        self.previous: Look | None = None
        self.filename = b""
        self.aliased: tuple[bytes, bytes] | None = None
        self.pathInfo: bytes | None = None
        self.script: bytes | None = None
        self.kind = MISSING
        self.mapped: Mapped | None = None
        self.described: Described | None = None
        self.handler = b""
        self.destination: Destination | None = None
        self.early: Early | None = None
        self.location: bytes | None = None
        self.status = 301
        self.internal: bytes | None = None
        self.ended = False
        self.forced: Forced | None = None
        self.sectionKeys: tuple[SectionKey, ...] = ()
        self.walked: tuple[bytes, bytes] | None = None
        self.branches: tuple[Branch, ...] = ()
        self.grounds = Grounds()
        self.notes: Notes | None = None
        self.main: Look | None = None
        self.settled: DirectorySettings | None = None
        self._account: Account | None = None

    @classmethod
    def of(cls, request: Request, state: RequestState) -> Look:
        """What a request has come to, as a look to go on from."""
        assert state.authority is not None
        look = cls(state.site, request, state.authority, request.target, state.environment)
        look.uri = state.uri
        look.query = state.query
        look.filename = state.filename
        look.pathInfo = state.pathInfo
        if isinstance(state, Run):
            # What rules look up counts as that of the look that they are applied to.
            it = state.look
            look.depth, look.main, look._account = it.depth, it.main, it.account
        return look

    @property
    def isLookup(self) -> bool:
        """Whether it is on behalf of another one."""
        return self.main is not None

    @property
    def account(self) -> Account:
        """What the request, its redirects and its look-ups have together."""
        if self._account is None:
            around = self.main or self.previous
            self._account = Account() if around is None else around.account
        return self._account

    @property
    def complaints(self) -> Sequence[str]:
        """What could not be evaluated."""
        return () if self._account is None else self._account.complaints

    def holds(self, condition: Condition, place: str) -> RequestContext | None:
        """
        Evaluate a condition; one that fails does not hold, and is complained about.

        :param place: of its line.
        :returns: what it was evaluated in, with its match; ``None`` when it does not hold.
        :raises RequestError: 500 when all conditions of the request take too long.
        """
        self.account.step()
        context = RequestContext(self.request, self)
        try:
            held = condition(context)
        except EvaluationError as error:
            complaint = f"{place}: {error}"
            complaints = self.account.complaints
            if complaint not in complaints and len(complaints) < MAX_COMPLAINTS:
                complaints.append(complaint)
            held = False
        self.varies(context.vary)
        return context if held else None

    def varies(self, names: list[bytes]) -> None:
        """Note that the answer depends on some header fields."""
        if names:
            self.request.vary = list(dict.fromkeys([*self.request.vary, *names]))

    @property
    def directory(self) -> DirectorySettings:
        """The settings of the sections that are known to apply."""
        return self.rules.settings

    def locate(self, root: bytes, path: bytes) -> None:
        """See :func:`twisted_fcgi.routing.files.locate`."""
        self.filename, self.pathInfo, self.kind = locate(root, path, self.grounds.modeOf)

    def inner(self, sent: bytes) -> Look:
        """
        A look-up on behalf of this one (``ap_sub_req_lookup_uri``).

        :param sent: an encoded path, perhaps with a query.
        """
        look = Look(self.site, self.request, self.authority, sent, dict(self.environment))
        look.depth = self.depth + 1
        look.grounds = self.grounds
        look.notes = self.notes
        look.early = self.early
        look.main = self
        look.settled = self.rules.settings
        return look

    def changeRequest(self, request: Request) -> None:
        """From now on, this is the request."""
        field = request.headers.get(b"host")
        if field != self.request.headers.get(b"host"):
            # The name that was asked for stays what it is; the application sees the field.
            it = self.authority
            self.authority = Authority(it.host, it.hostname, it.port, field, it.server, it.secure)
        self.request = request

    def adopt(self, other: Look) -> None:
        """Become another one (``ap_internal_fast_redirect``): its variables are the weaker."""
        environment = {**other.environment, **self.environment}
        main, previous, settled = self.main, self.previous, self.settled
        aliased = self.aliased  # CONTEXT_PREFIX is that of the URL that was asked for
        for name in Look.__slots__:
            setattr(self, name, getattr(other, name))
        self.environment, self.settled = environment, settled
        self.main, self.previous, self.aliased = main, previous, aliased


def _linesOf(settings: DirectorySettings) -> int:
    values = [getattr(settings, field.name) for field in fields(settings)]
    if settings.rewriting is not None:
        values.append(settings.rewriting.rules)
    if settings.extensions is not None:
        values.append(settings.extensions.rows)
    return sum(len(value) for value in values if isinstance(value, (tuple, Mapping)))


def _destination(
    handler: bytes, settings: DirectorySettings | ExtensionSettings
) -> Destination | None:
    """The application that a handler names."""
    if handler[:6].lower() != b"proxy:":
        return None
    _, url = partitionSocket(handler[6:])
    return Destination(url, settings.member, settings.balancer, settings.candidates or ())
