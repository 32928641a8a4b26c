"""Tests for :mod:`twisted_fcgi.cgi.checks`."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.balance import PoolFigures
from twisted_fcgi.cgi.checks import (
    MAX_BODY,
    CheckAnswer,
    checkVariables,
    complaint,
    poolFigures,
)
from twisted_fcgi.cgi.response import ResponseParser
from twisted_fcgi.config import loads
from twisted_fcgi.settings import MemberSettings

__all__ = ["AnswerTests", "FiguresTests", "VariablesTests", "checkedMember"]


def checkedMember(parameters: str, url: str = "fcgi://127.0.0.1:9000", before: str = "") -> Any:
    """The settings of a balancer's member."""
    text = f'{before}\n<Proxy "balancer://b">\nBalancerMember {url} {parameters}\n</Proxy>'
    member: MemberSettings = loads(text).main.balancers[0].members[0]
    return member


def answered(settings: MemberSettings, head: bytes, *parts: bytes) -> CheckAnswer:
    """What a member answers to its check."""
    parser = ResponseParser()
    parser.receive(head + b"\r\n")
    assert parser.head is not None
    answer = CheckAnswer(settings.check, parser.head)
    for part in parts:
        answer.receive(part)
    return answer


class VariablesTests(SynchronousTestCase):
    """Tests for :func:`checkVariables`."""

    def test_script(self) -> None:
        """hcuri is the script's name, and its file is below the path of the member's URL."""
        for url, uri, name, file in [
            ("fcgi://127.0.0.1:9000", "/ping", "/ping", "/ping"),
            ("fcgi://127.0.0.1:9000/", "ping", "/ping", "/ping"),
            ("fcgi://127.0.0.1:9000/srv/www", "/up.php", "/up.php", "/srv/www/up.php"),
            ("fcgi://127.0.0.1:9000/srv/www/", "up.php", "/up.php", "/srv/www/up.php"),
            ("unix:/run/php.sock|fcgi://php/srv", "/up.php", "/up.php", "/srv/up.php"),
            ("fcgi://127.0.0.1:9000/srv", "", "/", "/srv/"),
        ]:
            found = dict(checkVariables(checkedMember(f'hcmethod=GET "hcuri={uri}"', url)))
            self.assertEqual(name.encode(), found[b"SCRIPT_NAME"])
            self.assertEqual(name.encode(), found[b"REQUEST_URI"])
            self.assertEqual(file.encode(), found[b"SCRIPT_FILENAME"])

    def test_request(self) -> None:
        """It is a complete CGI request that says who sends it."""
        member = checkedMember("hcmethod=HEAD11 hcuri=/status?json&full")
        found = dict(checkVariables(member))
        expected = {
            b"GATEWAY_INTERFACE": b"CGI/1.1",
            b"REQUEST_METHOD": b"HEAD",
            b"SERVER_PROTOCOL": b"HTTP/1.1",
            b"REQUEST_URI": b"/status?json&full",
            b"QUERY_STRING": b"json&full",
            b"SCRIPT_NAME": b"/status",
            b"SERVER_NAME": b"127.0.0.1",
            b"SERVER_PORT": b"9000",
            b"HTTP_HOST": b"127.0.0.1:9000",
        }
        self.assertEqual(expected, {name: found[name] for name in expected})
        self.assertIn(b"health check", found[b"HTTP_USER_AGENT"])
        self.assertIn(b"REMOTE_ADDR", found)

    def test_methods(self) -> None:
        """The names with 11 say HTTP/1.1, the others HTTP/1.0."""
        for name in ("OPTIONS", "HEAD", "GET"):
            for suffix, protocol in (("", b"HTTP/1.0"), ("11", b"HTTP/1.1")):
                found = dict(checkVariables(checkedMember(f"hcmethod={name}{suffix}")))
                self.assertEqual(name.encode(), found[b"REQUEST_METHOD"])
                self.assertEqual(protocol, found[b"SERVER_PROTOCOL"])


class AnswerTests(SynchronousTestCase):
    """Tests for :func:`complaint`."""

    def test_status(self) -> None:
        """Without an expression a status from 200 to 399 passes, as in httpd."""
        member = checkedMember("hcmethod=GET")
        for status, passes in (200, True), (302, True), (399, True), (400, False), (503, False):
            answer = answered(member, b"Status: %d\r\n" % status)
            self.assertEqual("" if passes else f"answered with {status}",
                             complaint(member.check, answer))  # fmt: skip

    def test_expression(self) -> None:
        """With one, what it says counts instead: of status, fields and body."""
        head = b"Status: 503 Busy\r\nContent-Type: text/plain; charset=x\r\nX-Load: 3\r\n"
        for expression, holds in [
            ("%{REQUEST_STATUS} == '503'", True),
            ("%{REQUEST_STATUS} =~ /^[23]/", False),
            ("%{resp:X-Load} -lt 4", True),
            ("resp('x-load') -gt 4", False),
            ("%{CONTENT_TYPE} =~ m#^text/#", True),
            ("hc('body') =~ /all is well/", True),
            ("%{HC_BODY} == 'pong'", False),
            ("%{REQUEST_METHOD} == 'GET' && %{SERVER_PROTOCOL} == 'HTTP/1.0'", True),
            ("%{SERVER_SOFTWARE} =~ /twisted_fcgi/", True),
            ("-z %{req:Host} && -z %{reqenv:PATH_INFO} && -z %{note:a}", True),
            ("-U '/'", False),
            ("%{hc:body} =~ /(is) well/ && '$1' == 'is'", True),
        ]:
            member = checkedMember(
                "hcmethod=GET hcexpr=up", before=f"ProxyHCExpr up {{{expression}}}"
            )
            answer = answered(member, head, b"all is ", b"well")
            expected = "" if holds else "answered with 503, which ProxyHCExpr up refuses"
            self.assertEqual(expected, complaint(member.check, answer), expression)

    def test_expressionFails(self) -> None:
        """An expression that can't be evaluated fails the check, and is named."""
        before = "ProxyHCExpr up {file('/nowhere') == ''}"
        member = checkedMember("hcmethod=GET hcexpr=up", before=before)
        found = complaint(member.check, answered(member, b"Status: 200\r\n"))
        self.assertTrue(found.startswith("ProxyHCExpr up: file()"), found)

    def test_longBody(self) -> None:
        """Of a body only so much is kept, however it comes."""
        member = checkedMember("hcmethod=GET")
        for size in (1000, MAX_BODY, 3 * MAX_BODY):
            body = b"x" * (2 * MAX_BODY)
            parts = [body[at : at + size] for at in range(0, len(body), size)]
            answer = answered(member, b"Status: 200\r\n", *parts)
            self.assertEqual(b"x" * MAX_BODY, answer.checkedBody())
            self.assertEqual(2 * MAX_BODY, answer.length)


#: What php-fpm 8.2 says with ``?json``.
STATUS = {
    "pool": "www",
    "process manager": "dynamic",
    "start time": 1795180782,
    "start since": 12,
    "accepted conn": 24,
    "listen queue": 2,
    "max listen queue": 5,
    "listen queue len": 511,
    "idle processes": 1,
    "active processes": 3,
    "total processes": 4,
    "max active processes": 4,
    "max children reached": 6,
    "slow requests": 7,
}
JSON = b"Content-Type: application/json\r\n"


class FiguresTests(SynchronousTestCase):
    """Tests for :func:`poolFigures`."""

    def figures(self, head: bytes, body: bytes) -> PoolFigures | None:
        member = checkedMember("hcmethod=GET hcuri=/status?json")
        return poolFigures(answered(member, head, body))

    def test_status(self) -> None:
        """The figures of php-fpm's status page are found by their names."""
        expected = PoolFigures("www", 3, 1, 2, 5, 6, 7)
        body = json.dumps(STATUS).encode()
        self.assertEqual(expected, self.figures(JSON, body))
        self.assertEqual(expected, self.figures(JSON[:-2] + b";charset=utf-8\r\n", body))

    def test_others(self) -> None:
        """Any other answer has none, and does no harm."""
        less = {name: value for name, value in STATUS.items() if name != "listen queue"}
        for head, body in [
            (JSON, b""),
            (JSON, b"{"),
            (JSON, b"[]"),
            (JSON, b"7"),
            (JSON, b"[" * 60000),
            (JSON, b"\xff\xfe"),
            (JSON, json.dumps(less).encode()),
            (JSON, json.dumps({**STATUS, "listen queue": "2"}).encode()),
            (JSON, json.dumps({**STATUS, "listen queue": True}).encode()),
            (JSON, json.dumps({**STATUS, "pool": 1}).encode()),
            (JSON, json.dumps({**STATUS, "more": "x" * MAX_BODY}).encode()),
            (b"Content-Type: text/plain\r\n", json.dumps(STATUS).encode()),
            (b"X-A: b\r\n", json.dumps(STATUS).encode()),
        ]:
            self.assertIsNone(self.figures(head, body), body[:80])
