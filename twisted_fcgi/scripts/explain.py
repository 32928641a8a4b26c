"""
``fcgi explain``: what a configuration does with a request, and why, without sending it.

What there is to say is made by :mod:`~twisted_fcgi.scripts.report`; here are the
command's options, and the page that people read.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote

from twisted_fcgi import config
from twisted_fcgi.errors import ConfigurationErrors
from twisted_fcgi.headers import Headers
from twisted_fcgi.http import REASONS
from twisted_fcgi.message import Address, Request, RouteKind
from twisted_fcgi.scripts.hints import listeningPorts, toText
from twisted_fcgi.scripts.report import Line, Member, Report, Told, makeReport
from twisted_fcgi.settings import Settings

__all__ = ["explain", "makeRequest", "render"]

_URL = re.compile(r"(?:(https?)://(?:[^/?#]*@)?([^/?#]+))?([/?][^#]*)?(?:#.*)?", re.I | re.S)

#: What of a URL a client sends as it is; the rest it encodes.
_SENT = "!\"$%&'()*+,/:;<=>?@[\\]^`{|}~"

#: Columns of the page: of its headings, and for what a line did behind it.
HEADING = 12
WIDTH = 100

#: What the page shows of a variable.
MAX_VALUE = 90

#: What a terminal could take for a command, and what it could not show at all.
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def explain(options: argparse.Namespace) -> int:
    """
    ``fcgi explain``.

    :returns: the exit status: 0; 1 when the request would be refused; 2 for wrong usage.
    """
    try:
        settings = config.load(options.config, options.define)
        request, url = makeRequest(settings, options)
    except (ConfigurationErrors, ValueError) as error:
        print(f"fcgi explain: {error}", file=sys.stderr)
        return 2
    report = makeReport(settings, request, url, _readFile)
    if options.json:
        print(json.dumps(asdict(report), indent=2, default=toText))
    else:
        folder = os.path.dirname(options.config)
        bold = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        print(render(report, folder, bold), end="")
    return 1 if report.answer.kind == RouteKind.REFUSE else 0


def _readFile(path: str) -> str:
    return Path(path).read_text(encoding="utf-8", errors="replace")


def makeRequest(settings: Settings, options: argparse.Namespace) -> tuple[Request, str]:
    """
    The request that a client would make.

    A path alone is asked of ServerName at the first port that is listened at; a Host field
    that is given has the last word.

    :param options: ``url``, ``method``, ``header``, ``client`` and ``server``.
    :returns: it, and its URL.
    :raises ValueError: for what is no URL.
    """
    match = _URL.fullmatch(options.url)
    if match is None:
        raise ValueError(f"{options.url!r} is no http URL")
    scheme, authority, target = match.groups()
    secure = (scheme or "").lower() == "https"
    usual = 443 if secure else 80
    if authority is None:
        port = next(iter(listeningPorts(settings)), usual)
        authority = settings.main.name + ("" if port == usual else f":{port}")
    host, _, digits = authority.rpartition(":")
    if not digits.isdigit():
        host, digits = authority, str(usual)
    target = "/" if not target else target if target.startswith("/") else f"/{target}"
    fields = [(os.fsencode(name), os.fsencode(value)) for name, value in options.header]
    names = {name.lower() for name, _ in fields}
    if b"host" not in names:
        fields.insert(0, (b"Host", os.fsencode(authority)))
    headers = Headers(fields)
    asked = os.fsdecode(headers.get(b"host") or b"") or authority
    length = headers.get(b"content-length")
    request = Request(
        os.fsencode(options.method),
        quote(os.fsencode(target), safe=_SENT).encode("ascii"),
        headers,
        client=options.client,
        server=options.server or Address(_numeric(host), int(digits)),
        secure=secure,
        contentLength=int(length) if length and length.isdigit() else 0,
    )
    return request, f"{'https' if secure else 'http'}://{asked}{target}"


def _numeric(host: str) -> bytes:
    """An address as it is; for a name, which is not looked up, the loopback's."""
    try:
        return ip_address(host.strip("[]")).compressed.encode("ascii")
    except ValueError:
        return b"127.0.0.1"


def render(report: Report, folder: str = "", bold: bool = False) -> str:
    """
    The page for people.

    :param folder: what files are named without.
    :param bold: whether headings are.
    """
    return "\n".join(_Page(report, folder, bold).lines()).rstrip() + "\n"


class _Page:
    """Lays a report out."""

    def __init__(self, report: Report, folder: str, bold: bool) -> None:
        self._report = report
        self._folder = folder + "/" if folder else ""
        self._bold = bold
        lines = [*report.sections, *report.steps]
        lines += [line for line in (report.host, report.answer.line) if line is not None]
        places = [line.place for line in lines] + [member.place for member in report.members]
        self._places = max((len(self._short(place)) for place in places), default=0)

    def lines(self) -> Iterator[str]:
        report = self._report
        yield _visible(f"{report.request}  (from {report.client})")
        yield _visible(f"-> {self._verdict()}")
        yield ""
        if report.host is not None:
            yield from self._rows("Host", [report.host])
        yield from self._rows("Sections", report.sections)
        yield from self._rows("On the way", report.steps)
        answer = report.answer
        if answer.line is not None:
            yield from self._rows("Decided by", [answer.line])
        if answer.document is not None:
            yield from self._rows("Error page", [answer.document])
        members = [Line(each.place, _describe(each)) for each in report.members]
        yield from self._rows("Members" if report.balancer else "Member", members)
        if (script := report.script) is not None:
            found = {"missing": "is not there"}.get(script.kind, f"{script.kind}, {script.mode}")
            more = f"; PATH_INFO {toText(script.pathInfo)}" if script.pathInfo else ""
            yield from self._row("Script", f"{toText(script.path)}  {found}{more}")
        yield from self._variables("Variables", report.variables)
        yield from self._variables("Not told", report.untold)
        for hint in report.hints:
            place = f"{self._short(hint.place)}: " if hint.place else ""
            yield ""
            yield from self._row("Hint", *_wrapped(place + hint.text))

    def _verdict(self) -> str:
        """All of it in one sentence."""
        report, answer = self._report, self._report.answer
        if answer.kind == RouteKind.FASTCGI:
            who, script = report.members[0].address, report.script
            if report.balancer:
                who = f"{report.balancer}, first {who},"
            if script is None:
                return f"{who} is asked"
            there = {"file": "which is there", "missing": "which is not on this machine"}
            which = there.get(script.kind, "which is no file")
            return f"{who} is asked to run {toText(script.path)}, {which}"
        status = f"{answer.status} {REASONS.get(answer.status, b'').decode('ascii')}"
        if answer.kind == RouteKind.STATIC:
            return f"the file {answer.file} is sent"
        if answer.kind == RouteKind.REDIRECT:
            return f"{status}: {answer.location}"
        return status + (f": {answer.reason}" if answer.reason else "")

    def _short(self, place: str) -> str:
        return place.removeprefix(self._folder)

    def _heading(self, text: str) -> str:
        padded = f"{text:<{HEADING}}"
        return f"\033[1m{padded}\033[0m" if self._bold and text else padded

    def _row(self, heading: str, *texts: str) -> Iterator[str]:
        for text in texts:
            yield (self._heading(heading) + _visible(text)).rstrip()
            heading = ""

    def _rows(self, heading: str, lines: Iterable[Line]) -> Iterator[str]:
        """Lines of the configuration, with their places before them."""
        for line in lines:
            text = f"{self._short(line.place):<{self._places}}  {line.text}"
            remark = f"  {line.remark}" if line.remark else ""
            if len(text) + len(remark) + HEADING <= WIDTH:
                yield from self._row(heading, text + remark)
            else:
                more = [" " * self._places + remark] if remark else []
                yield from self._row(heading, text, *more)
            heading = ""

    def _variables(self, heading: str, variables: list[Told]) -> Iterator[str]:
        rows = [(row.name, _cut(row.value), row) for row in variables]
        names = max((len(name) for name, _, _ in rows), default=0)
        room = WIDTH - HEADING - names - 24
        values = max((len(value) for _, value, _ in rows if len(value) <= room), default=0)
        for name, value, row in sorted(rows, key=lambda row: row[0]):
            place = f" at {self._short(row.place)}" if row.place else ""
            yield from self._row(
                heading, f"{name:<{names}}  {value:<{values}}  {row.source}{place}"
            )
            heading = ""


def _wrapped(text: str) -> list[str]:
    """A text in lines; names in it are whole."""
    return textwrap.wrap(text, WIDTH - HEADING, break_on_hyphens=False, break_long_words=False)


def _visible(text: str) -> str:
    """A text without what is invisible in it."""
    return _INVISIBLE.sub(lambda match: f"\\x{ord(match[0]) & 0xFF:02x}", text)


def _cut(value: str) -> str:
    """A value of a length that can be read; ``--json`` has the whole."""
    return value if len(value) <= MAX_VALUE else f"{value[: MAX_VALUE - 3]}..."


def _describe(member: Member) -> str:
    """An address, and how it is connected to."""
    if member.reuse:
        most = "" if member.max is None else f", at most {member.max}"
        use = f"connections are kept{most}"
    else:
        use = "a connection for each request"
    if member.multiplex:
        use += f", multiplex={member.multiplex}"
    if member.maxQueue is not None:
        use += f", maxqueue={member.maxQueue}"
    if member.acquire is not None:
        use += f", acquire {member.acquire:g} s"
    route = f"  route {member.route}" if member.route else ""
    check = f"  checked with {member.check}" if member.check else ""
    return f"{member.address}  {use}, timeout {member.timeout:g} s{route}{check}"
