"""
What ``fcgi explain`` has to say, as data.

:func:`makeReport` asks the rooms that serve requests (routing, cgi, balance) and puts
texts in the place of their bytes and the configuration's own lines beside their places.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from twisted.internet.task import Clock

from twisted_fcgi.cgi.sources import Origin, Sourced, Variable, sourced
from twisted_fcgi.config.directives import REGISTRY
from twisted_fcgi.errors import RequestError
from twisted_fcgi.message import Request, Route, RouteKind
from twisted_fcgi.routing import Router
from twisted_fcgi.routing.explain import HostReason, explain
from twisted_fcgi.scripts.hints import Hint, answerHints, bodyHints, hostHints, toText
from twisted_fcgi.scripts.scriptfile import Asked, ScriptFile, findScript, hints, readByFpm
from twisted_fcgi.settings import CheckMethod, CheckSettings, MemberSettings, Multiplex, Settings
from twisted_fcgi.web.accessfiles import AccessFileCache
from twisted_fcgi.web.attempts import BalancedAttempts, LiveBalancer
from twisted_fcgi.web.errorpage import errorDocument

__all__ = ["Answer", "Line", "Lines", "Member", "Report", "Told", "makeReport"]


@dataclass
class Line:
    """
    A line of the configuration.

    :ivar place: its file and number; empty for a default.
    :ivar text: what stands there.
    :ivar remark: what it did, or why it counts.
    """

    place: str
    text: str
    remark: str = ""


@dataclass
class Answer:
    """
    What the client gets.

    :ivar kind: one of :class:`~twisted_fcgi.message.RouteKind`.
    :ivar status: of what we answer ourselves; 0 where the application says it.
    :ivar reason: of a refusal, and what else is answered.
    :ivar location: of a redirect.
    :ivar file: that is served.
    :ivar line: that decided it.
    :ivar document: the refusal's ErrorDocument.
    """

    kind: str
    status: int = 0
    reason: str = ""
    location: str = ""
    file: str = ""
    line: Line | None = None
    document: Line | None = None


@dataclass
class Member:
    """
    Who is asked.

    :ivar reuse: whether connections are kept for further requests.
    :ivar max: connections at a time; ``None`` for no limit.
    :ivar multiplex: whether a connection takes several requests; empty when it does not.
    :ivar maxQueue: requests that may wait for a connection; ``None`` for the usual number.
    :ivar acquire: how long they wait, in seconds; ``None`` for ever.
    :ivar timeout: silence that is borne, in seconds.
    :ivar check: how its health is checked, in a balancer; empty when it is not.
    """

    url: str
    address: str
    reuse: bool
    max: int | None
    multiplex: str
    maxQueue: int | None
    acquire: float | None
    timeout: float
    route: str
    check: str
    place: str


@dataclass
class Told:
    """
    A variable.

    :ivar source: who said it: a directive, a header field, or the server; or why it is
        not told.
    :ivar place: of the directive.
    """

    name: str
    value: str
    source: str
    place: str = ""


@dataclass
class Report:
    """
    All of it.

    :ivar request: method and URL.
    :ivar host: the virtual host; ``None`` when it was refused before there was one.
    :ivar balancer: its name, where one is asked.
    :ivar members: who is asked, in the order in which they are.
    :ivar script: the file that it is asked to run, as PHP-FPM reads its name.
    :ivar variables: that the first of them is told, in the order in which they are sent.
    :ivar untold: header fields and variables that it is not told, and why.
    """

    request: str
    client: str
    server: str
    answer: Answer
    host: Line | None = None
    sections: list[Line] = field(default_factory=list)
    steps: list[Line] = field(default_factory=list)
    balancer: str = ""
    members: list[Member] = field(default_factory=list)
    script: ScriptFile | None = None
    variables: list[Told] = field(default_factory=list)
    untold: list[Told] = field(default_factory=list)
    hints: list[Hint] = field(default_factory=list)


class Lines:
    """
    The configuration's lines by their places.

    :param read: a file's text by its name; raises :class:`OSError`.
    """

    def __init__(self, read: Callable[[str], str]) -> None:
        self._read = read
        self._files: dict[str, list[str]] = {}

    def text(self, place: str) -> str:
        """The line at a place, or the empty string."""
        name, _, number = place.rpartition(":")
        if name not in self._files:
            try:
                self._files[name] = self._read(name).split("\n")
            except OSError:
                self._files[name] = []
        lines = self._files[name]
        if not name or int(number) > len(lines):
            return ""
        return re.sub(r"\s*\\$", " ...", lines[int(number) - 1].strip())

    def directive(self, place: str) -> str:
        """The name of the directive at a place."""
        word = self.text(place).partition(" ")[0]
        row = REGISTRY.get(word)
        return word if row is None else row.name

    def line(self, place: str, remark: str = "", default: str = "") -> Line:
        """
        The line at a place, with a remark.

        :param default: what to show where there is none.
        """
        return Line(place, self.text(place) or default, remark)


def makeReport(
    settings: Settings, request: Request, url: str, read: Callable[[str], str]
) -> Report:
    """
    Explain a request.

    :param url: what to call it.
    :param read: a configuration file's text by its name.
    """
    return _Reporter(settings, request, url, Lines(read)).report


class _Reporter:
    """Fills one report."""

    def __init__(self, settings: Settings, request: Request, url: str, lines: Lines) -> None:
        self._lines = lines
        self._router = Router(settings, AccessFileCache(lambda: 0.0))
        self._explained = explained = explain(self._router, request)
        self._request = explained.request
        self._route = route = explained.route
        server = request.server
        self.report = report = Report(
            f"{toText(request.method)} {url}",
            toText(request.client.host),
            f"{toText(server.host)}:{server.port}",
            Answer(route.kind, route.status),
        )
        report.host = self._host(bool(settings.hosts))
        report.sections = [lines.line(section.place) for section in explained.sections]
        report.sections += [
            lines.line(branch.place, "" if holds else "does not hold")
            for branch, holds in explained.branches
        ]
        report.steps = [lines.line(step.place, step.done, step.name) for step in explained.steps]
        if route.kind == RouteKind.FASTCGI:
            try:
                self._askApplication()
            except RequestError as error:
                self._refuse(error.status, error.reason)
        else:
            self._answer()
        report.hints += [*answerHints(explained), *hostHints(settings, explained)]
        report.hints += bodyHints(explained)
        report.hints += [Hint(f"The log says: {complaint}.") for complaint in route.complaints]

    def _host(self, several: bool) -> Line | None:
        explained = self._explained
        host, sharing = explained.host, len(explained.sharing)
        if host is None:
            return None
        reason = {
            HostReason.MAIN: "no <VirtualHost> is for this address" if several else "",
            HostReason.ADDRESS: "the only one for this address",
            HostReason.NAME: f"{explained.name} is asked for; {sharing} share this address",
            HostReason.DEFAULT: f"no name fits: the first of {sharing} for this address",
        }[explained.reason]
        return self._lines.line(host.place, reason, f"the main server, {host.name}")

    # What the client gets without an application.

    def _answer(self) -> None:
        explained, route, answer = self._explained, self._route, self.report.answer
        if route.kind == RouteKind.REFUSE:
            self._refuse(route.status, route.reason)
        answer.location = toText(route.location)
        if route.kind == RouteKind.STATIC:
            answer.file = toText(route.filename)
        if answer.line is not None:
            return
        mapping, place = explained.mapping, ""
        if route.kind == RouteKind.REDIRECT:
            place = explained.sent
        if not place and mapping is not None and mapping.target is None:
            place = mapping.place
        if not place and explained.file[0]:
            place = explained.aliased or route.host.places.get("documentRoot", "")
        if place:
            answer.line = self._lines.line(place)

    def _refuse(self, status: int, reason: str) -> None:
        explained, answer = self._explained, self.report.answer
        answer.kind, answer.status, answer.reason = RouteKind.REFUSE, status, reason
        mapping, place = explained.mapping, explained.refused
        if not place and mapping is not None and mapping.target is not None:
            place = mapping.place
        if not place and status >= 500:
            place = explained.handled
        if place:
            answer.line = self._lines.line(place)
        if explained.document is not None:
            answer.document = self._lines.line(explained.document.place, self._errorPage(status))

    def _errorPage(self, status: int) -> str:
        """What an ErrorDocument that is a local path leads to."""
        route = self._route
        document = errorDocument(self._request, route, status)
        if document is None or not document.url.startswith(b"/"):
            return ""
        told = {**route.environment, b"REQUEST_METHOD": self._request.method}
        page = self._router.redirected(self._request, route, status, document.url, told)
        if page.kind == RouteKind.FASTCGI:
            return f"{page.balancer or page.members[0].address} is asked for it"
        if page.kind == RouteKind.STATIC:
            return f"the file {toText(page.filename)}"
        return f"which fails itself, with {page.status}: {page.reason}"

    # What an application is asked.

    def _askApplication(self) -> None:
        explained, report, route = self._explained, self.report, self._route
        mapping = explained.mapping if not explained.file[1] else None
        place = explained.handled if mapping is None else mapping.place
        place = place or route.members[0].place
        report.answer.line = self._lines.line(place)
        asked = [(member, route) for member in route.members]
        if route.balancer is not None:
            report.balancer = route.balancer
            asked = self._elected(route.balancer)
        if not asked:
            raise RequestError(f"{route.balancer}: no member can be asked", 503)
        report.members = [self._member(member) for member, _ in asked]
        member, route = asked[0]
        told = sourced(self._request, route, member, explained.places, explained.fields)
        self._tell(told, place)
        for variable in told.variables:
            if variable.name == b"SCRIPT_FILENAME":
                script = findScript(readByFpm(variable.value))
                url = (route.directory.handler if mapping is None else mapping.target) or b""
                to = Asked(
                    member,
                    route.directory.backendType,
                    place=variable.place or place,
                    overridden=bool(variable.place),
                    root=os.fsencode(route.host.documentRoot or ""),
                    rootPlace=route.host.places.get("documentRoot", ""),
                    uri=route.uri,
                    written=_pathOf(url),
                    mapped=mapping is not None,
                    expression=mapping is not None and mapping.pattern is not None,
                )
                if to.needsFile(script.path):
                    report.script = script
                report.hints += hints(to, script)
                return
        report.hints.append(Hint("The application is told no SCRIPT_FILENAME.", place))

    def _elected(self, name: str) -> list[tuple[MemberSettings, Route]]:
        """Whom a balancer's first request would ask, one after the other."""
        settings = next(each for each in self._route.host.balancers if each.name == name)
        live = LiveBalancer(settings, self._router.elected, Clock())
        attempts = BalancedAttempts(live, self._request, self._route)
        found = []
        while (member := attempts.nextMember()) is not None:
            found.append((member, attempts.memberRoute))
        return found

    def _member(self, member: MemberSettings) -> Member:
        host = self._route.host
        return Member(
            member.url,
            member.address,
            member.reuse,
            member.max,
            "" if member.multiplex is Multiplex.OFF else member.multiplex.value,
            None if member.maxQueue == MemberSettings.maxQueue else member.maxQueue,
            member.acquire,
            member.timeout or host.proxyTimeout or host.timeout,
            member.route,
            _checked(member.check) if self._route.balancer is not None else "",
            member.place,
        )

    # What it is told.

    def _tell(self, told: Sourced, place: str) -> None:
        report = self.report
        report.variables = [self._told(variable, place) for variable in told.variables]
        for variables, why in (told.overruled, "has no effect:"), (told.removed, "removed by"):
            for variable in variables:
                row = self._told(variable, place)
                report.untold.append(replace(row, source=f"{why} {row.source}"))
        for name, at in self._explained.fields.items():
            if name not in self._request.headers:
                why = f"removed by {self._lines.directive(at)}"
                report.untold.append(Told(toText(name).title(), "", why, at))
        for name, reason in told.untold:
            value = self._request.headers.get(name.lower()) or b""
            report.untold.append(
                Told(
                    toText(name), toText(value), f"not passed: {reason}" if reason else "not passed"
                )
            )

    def _told(self, variable: Variable, place: str) -> Told:
        name, value = toText(variable.name), toText(variable.value)
        if variable.place:
            return Told(name, value, self._lines.directive(variable.place), variable.place)
        if variable.origin == Origin.FIELD:
            return Told(name, value, f"request header {toText(variable.field)}")
        if name == "SCRIPT_FILENAME":
            return Told(name, value, self._lines.directive(place), place)
        own = self._route.host.places.get(_SETTINGS.get(name, ""), "")
        return Told(name, value, self._lines.directive(own) or "server", own)


#: Variables of the server that a directive sets, and its field.
_SETTINGS = {
    "SERVER_ADMIN": "admin",
    "DOCUMENT_ROOT": "documentRoot",
    "CONTEXT_DOCUMENT_ROOT": "documentRoot",
}


def _checked(check: CheckSettings) -> str:
    """How a member is checked."""
    if check.method is CheckMethod.NONE:
        return ""
    uri = f" {check.uri}" if check.method.request and check.uri else ""
    return f"{check.method.value}{uri} every {check.interval:g} s"


def _pathOf(url: bytes) -> bytes:
    """The path of an application's URL in the configuration."""
    slash = url.find(b"/", url.find(b"://") + 3)
    return url[slash:] if slash >= 0 else b""
