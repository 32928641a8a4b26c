"""Tests for :mod:`twisted_fcgi.cgi.sources`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.routing.making import makeRequest, read
from twisted_fcgi.cgi.params import variables
from twisted_fcgi.cgi.sources import Origin, Sourced, sourced
from twisted_fcgi.message import Request
from twisted_fcgi.routing import Router
from twisted_fcgi.routing.explain import explain

#: A handler for everything, and what is said to it.
TEXT = """\
DocumentRoot /
SetEnv FIRST 1
SetEnv HTTP_X_OURS ours
SetEnv DOCUMENT_ROOT /elsewhere
SetEnvIf X-Kind (.*) KIND=$1
ProxyPass / fcgi://h:9000/
ProxyFCGISetEnvIf "true" SECOND 2
ProxyFCGISetEnvIf "true" SERVER_NAME renamed
ProxyFCGISetEnvIf "true" !HTTP_X_GONE
ProxyFCGISetEnvIf "false" FIRST changed
"""


def asked(text: str, request: Request) -> Sourced:
    """What the application that a configuration leads to is told."""
    found = explain(Router(read(text)), request)
    route = found.route
    return sourced(found.request, route, route.members[0], found.places)


class SourcesTests(SynchronousTestCase):
    """Where variables come from.  The lines of :data:`TEXT` begin at 3."""

    def told(self, *fields: tuple[bytes, bytes]) -> Sourced:
        return asked(TEXT, makeRequest("/x", *fields))

    def origins(self, *fields: tuple[bytes, bytes]) -> dict[str, tuple[str, bytes, str]]:
        return {
            row.name.decode(): (row.origin, row.field, row.place)
            for row in self.told(*fields).variables
        }

    def test_lines(self) -> None:
        """What SetEnv, SetEnvIf and ProxyFCGISetEnvIf set has their line."""
        found = self.origins((b"X-Kind", b"a"))
        self.assertEqual((Origin.LINE, b"", "<text>:4"), found["FIRST"])
        self.assertEqual((Origin.LINE, b"", "<text>:7"), found["KIND"])
        self.assertEqual((Origin.LINE, b"", "<text>:9"), found["SECOND"])

    def test_fields(self) -> None:
        """What a client sends has the field's name as it was sent."""
        found = self.origins((b"x-kind", b"a"), (b"Content-Type", b"b"))
        self.assertEqual((Origin.FIELD, b"x-kind", ""), found["HTTP_X_KIND"])
        self.assertEqual((Origin.FIELD, b"Content-Type", ""), found["CONTENT_TYPE"])
        self.assertEqual((Origin.FIELD, b"Host", ""), found["HTTP_HOST"])

    def test_server(self) -> None:
        """All else is the server's, unless an override has the last word."""
        found = self.origins()
        self.assertEqual((Origin.SERVER, b"", ""), found["REQUEST_URI"])
        self.assertEqual((Origin.LINE, b"", "<text>:10"), found["SERVER_NAME"])

    def test_configurationBeforeClient(self) -> None:
        """A variable that both set is the configuration's."""
        found = self.origins((b"X-Ours", b"theirs"))
        self.assertEqual((Origin.LINE, b"", "<text>:5"), found["HTTP_X_OURS"])

    def test_overruled(self) -> None:
        """A variable that the server has the say on is among what has no effect."""
        found = [(row.name, row.value, row.place) for row in self.told().overruled]
        self.assertEqual([(b"DOCUMENT_ROOT", b"/elsewhere", "<text>:6")], found)

    def test_removed(self) -> None:
        """What an override takes away is said, with the line and the value that it had."""
        told = self.told((b"X-Gone", b"here"))
        self.assertEqual(
            [(b"HTTP_X_GONE", b"here", "<text>:11")],
            [(row.name, row.value, row.place) for row in told.removed],
        )
        self.assertEqual([], told.untold)

    def test_untold(self) -> None:
        """Fields that become no variable are said, and why."""
        fields = (b"Proxy", b"x"), (b"X_Ours", b"x"), (b"Authorization", b"x")
        untold = self.told(*fields).untold
        self.assertEqual([name for name, _ in fields], [name for name, _ in untold])
        self.assertTrue(all(reason for _, reason in untold))

    @given(
        st.lists(
            st.tuples(
                st.sampled_from((b"X-Kind", b"x-kind", b"Accept", b"X-Ours", b"X-Gone", b"Proxy")),
                st.binary(max_size=3),
            )
        )
    )
    def test_same(self, fields: list[tuple[bytes, bytes]]) -> None:
        """Names and values are those that the application is sent, in the same order."""
        request = makeRequest("/x", *fields)
        route = Router(read(TEXT)).route(request)
        self.assertEqual(
            variables(request, route, route.members[0]),
            [(row.name, row.value) for row in asked(TEXT, request).variables],
        )
