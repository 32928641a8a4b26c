"""Tests for :mod:`twisted_fcgi.routing.heads`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.routing.making import (
    makeHeaders,
    makeRequest,
    makeRoute,
    settingsOf,
)
from twisted_fcgi.message import Request, ResponseHead, Route, Source
from twisted_fcgi.routing.environment import Environment
from twisted_fcgi.routing.fields import MAX_MATCHES, Early
from twisted_fcgi.routing.heads import MAX_HEADS, MAX_KEPT, changedHead

Fields = tuple[tuple[str, str], ...]

#: What an application sends, beside what describes its body.
SENT: Fields = (
    ("X-Powered-By", "PHP/8"),
    ("X-Two", "one, two"),
    ("Vary", "Accept"),
    ("Cache-Control", "no-cache"),
    ("X-Twice", "p, q"),
    ("Server", "script"),
    ("Set-Cookie", "a=1"),
    ("Set-Cookie", "b=2"),
)
OF_BODY: Fields = (("ETag", '"e1"'), ("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT"))
PAGE: Fields = (("Content-Type", "text/html; charset=iso-8859-1"),)

#: The responses of ``httpd_fields.txt``: status, source, whether an application was asked.
RESPONSES: tuple[tuple[int, Source, bool, Fields], ...] = (
    (
        302,
        Source.APPLICATION,
        True,
        (
            *(("Content-Type", "text/plain"), ("Location", "http://here.test/l")),
            *SENT,
            *OF_BODY,
        ),
    ),
    (
        200,
        Source.SERVER,
        False,
        (
            ("Last-Modified", "Sun, 13 Sep 2020 12:26:40 GMT"),
            ("ETag", '"b-5af3107a40000"'),
            ("Accept-Ranges", "bytes"),
            ("Content-Type", "text/plain"),
        ),
    ),
    (404, Source.ERROR, True, (*SENT, *PAGE)),
    (301, Source.ERROR, False, (("Location", "http://www.example.test/php/?q"), *PAGE)),
    (304, Source.APPLICATION, True, (*SENT, *OF_BODY)),
)


def makeHead(
    *fields: tuple[str, str], status: int = 200, source: Source = Source.APPLICATION
) -> ResponseHead:
    return ResponseHead(status, b"", makeHeaders(*fields), source=source)


def change(
    text: str,
    head: ResponseHead,
    request: Request | None = None,
    route: Route | None = None,
    *,
    proxied: bool = True,
    told: Callable[[], Environment] | None = None,
    early: Early | None = None,
    carried: frozenset[bytes] = frozenset(),
) -> ResponseHead:
    """What the lines of a configuration make of a head."""
    return changedHead(
        settingsOf(text).responseFields or (),
        head,
        request or makeRequest("/a/b", (b"X-In", b"in")),
        route or makeRoute(),
        proxied=proxied,
        told=told,
        early=early,
        carried=carried,
    )


def values(head: ResponseHead, name: str) -> list[str]:
    return [value.decode("latin-1") for value in head.headers.getAll(name.lower().encode())]


class HttpdTests(SynchronousTestCase):
    """Header does what httpd does."""

    def test_table(self) -> None:
        """Each line of httpd_fields.txt gives those fields in each of the five responses."""
        lines = Path(__file__).with_name("httpd_fields.txt").read_text().splitlines()
        rows = [line for line in lines if not line.startswith("#")]
        self.assertTrue(len(rows) > 150)
        for row in rows:
            line, expected = row.split(" => ")
            words = [word for word in line.split() if word != "always"]
            name = words[1].rstrip(":")
            for cell, (status, source, proxied, fields) in zip(
                expected.split("  ;  "), RESPONSES, strict=True
            ):
                request = makeRequest("/a/b", host=b"www.example.test")
                head = makeHead(*fields, status=status, source=source)
                head = change("Header " + line, head, request, proxied=proxied)
                found = (
                    " | ".join(values(head, name)) if name.lower().encode() in head.headers else "-"
                )
                self.assertEqual(cell, found, f"{line} in {status} of {source}")


class ResponseTests(SynchronousTestCase):
    """Tests for :func:`changedHead`."""

    def test_framing(self) -> None:
        """No line, and nothing that is echoed, adds a field about the framing."""
        request = makeRequest("/", (b"Transfer-Encoding", b"chunked"), (b"Keep-Alive", b"x"))
        head = change('Header echo "."\nHeader always add Connection x', makeHead(), request)
        self.assertEqual([b"host"], list(head.headers.names()))
        self.assertFalse(head.close)

    def test_close(self) -> None:
        """Connection with close ends the client's connection."""
        head = change("Header set Connection Close", makeHead())
        self.assertTrue(head.close)
        self.assertNotIn(b"connection", head.headers)

    def test_controls(self) -> None:
        """A control character in a value becomes a blank, whatever it came from."""
        route = makeRoute(EVIL="a\r\nSet-Cookie: x=1\x00\x7f", TAB="a\tb")
        text = r"""
            Header set X-A "%{EVIL}e"
            Header set X-B "expr=%{reqenv:EVIL}"
            Header add X-C "a\nb"
            Header append X-D "%{EVIL}e"
            Header merge X-E "%{EVIL}e"
            Header setifempty X-F "%{EVIL}e"
            Header always edit X-G a "%{EVIL}e"
            Header always edit* X-G "" "%{EVIL}e"
            Header set Content-Type "%{EVIL}e"
            Header edit Content-Type "^" "%{EVIL}e"
            Header set X-H "%{TAB}e"
        """
        head = change(text, makeHead(("X-G", "a"), ("Content-Type", "a/b")), route=route)
        self.assertEqual(len(head.headers), head.headers.lines().count(b"\n"))
        for _, value in head.headers:
            self.assertNotRegex(value, rb"[\x00-\x08\x0a-\x1f\x7f]")
        self.assertEqual(["a  Set-Cookie: x=1  "], values(head, "X-A"))
        self.assertEqual(["a\tb"], values(head, "X-H"))

    def test_untouched(self) -> None:
        """The head that is given stays as it was."""
        head = makeHead(("X-A", "b"))
        change("Header always set X-A c", head)
        self.assertEqual(["b"], values(head, "X-A"))

    def test_conditions(self) -> None:
        """A line is done only when its condition holds, which sees what the lines before did."""
        text = """
            Header always set X-A 1 env=told
            Header always set X-B 1 env=!TOLD
            Header always set X-C 1 env=SENT
            Header always set X-D 1 "expr=%{resp:X-A} == '1'"
            Header set X-E 1 "expr=%{REQUEST_STATUS} == 404 && %{CONTENT_TYPE} == 'a/b'"
        """
        head = change(
            text,
            makeHead(("Content-Type", "a/b"), status=404),
            route=makeRoute(TOLD="1"),
            told=lambda: {b"SENT": b""},
        )
        self.assertEqual(
            {b"x-a", b"x-c", b"x-d", b"x-e", b"content-type"}, set(head.headers.names())
        )

    def test_vary(self) -> None:
        """A condition that reads a request's field makes the response vary; a value does not."""
        text = """
            Header always set X-A "expr=%{HTTP:X-Not}"
            Header always set X-B 1 "expr=%{HTTP:X-In} == 'no'"
        """
        head = change(text, makeHead(("Vary", "Accept, x-in"), ("Vary", "Cookie")))
        self.assertEqual(["Accept,x-in,Cookie"], values(head, "Vary"))
        self.assertEqual(["X-In"], values(change(text, makeHead()), "Vary"))

    def test_captures(self) -> None:
        """$1 is of the expression that it stands in, never of a condition or another line."""
        head = change('Header set X-A "expr=<$1>" "expr=%{REQUEST_URI} =~ m#/(.)#"', makeHead())
        self.assertEqual(["<>"], values(head, "X-A"))

    def test_notes(self) -> None:
        """A field is kept as a note, in whatever case its name is asked for."""
        text = """
            Header always note X-A runtime
            Header always unset X-A
            Header set X-B "expr=%{note:RunTime}"
            Header always note X-None runtime
            Header set X-C "expr=<%{note:runtime}>"
        """
        head = change(text, makeHead(("X-A", "5 ms")))
        self.assertEqual([""], values(head, "X-B"))
        head = change(text.split("Header always note X-None")[0], makeHead(("X-A", "5 ms")))
        self.assertEqual(["5 ms"], values(head, "X-B"))

    def test_editEmpty(self) -> None:
        """edit* of matches without a character comes to an end."""
        head = change('Header always edit* X-A "x*" "-"', makeHead(("X-A", "axb")))
        self.assertEqual(["-a--b"], values(head, "X-A"))

    def test_editTooLong(self) -> None:
        """A value that an edit would make too long stays, and so does what comes after it."""
        text = """
            Header always set X-A 1
            Header always edit* X-B . "$0$0$0$0$0$0$0$0"
            Header always set X-C 1
            Header set X-D 1
        """
        head = change(text, makeHead(("X-B", "b" * 9000)))
        self.assertEqual({b"x-a", b"x-b", b"x-d"}, set(head.headers.names()))
        self.assertEqual(["b" * 9000], values(head, "X-B"))

    def test_editTooMany(self) -> None:
        """A value in which an edit* would have to replace too much stays."""
        value = "b" * (3 * MAX_MATCHES)
        head = change("Header always edit* X-B b c", makeHead(("X-B", value)))
        self.assertEqual([value], values(head, "X-B"))

    def test_costly(self) -> None:
        """An expression that costs too much on a value finds nothing there."""
        value = "a" * 5000 + "b"
        text = """
            Header always edit X-A "^(a+)+$" c
            Header always set X-B 1 "expr=%{resp:X-A} =~ /^(a+)+$/"
            Header always set X-C 1
        """
        head = change(text, makeHead(("X-A", value)))
        self.assertEqual([value], values(head, "X-A"))
        self.assertEqual({b"x-a", b"x-c"}, set(head.headers.names()))

    def test_merge(self) -> None:
        """merge looks for whole elements of a list, and takes quoted commas for text."""
        for element, expected in (
            ("a", 'a, "b, c" , d'),
            ("b", 'a, "b, c" , d, b'),
            ("d", 'a, "b, c" , d'),
            ("D", 'a, "b, c" , d, D'),
        ):
            head = change(f"Header always merge X-A {element}", makeHead(("X-A", 'a, "b, c" , d')))
            self.assertEqual([expected], values(head, "X-A"))

    def test_early(self) -> None:
        """What was set early is joined with an application's, and replaced by a file's."""
        early = Early(((b"X-A", b"1"), (b"Set-Cookie", b"e")), ((b"ETag", b"1"), (b"X-B", b"1")))
        fields: Fields = (("X-A", "2"), ("ETag", "2"), ("X-B", "2"), ("Set-Cookie", "f"))
        head = change("", makeHead(*fields), early=early)
        self.assertEqual(["1, 2"], values(head, "X-A"))
        self.assertEqual(["2"], values(head, "ETag"))
        self.assertEqual(["2", "1"], values(head, "X-B"))
        self.assertEqual(["e", "f"], values(head, "Set-Cookie"))
        head = change("", makeHead(*fields, source=Source.SERVER), early=early)
        self.assertEqual(["1", "2"], values(head, "X-A"))
        self.assertEqual(["2"], values(head, "X-B"))
        head = change("", makeHead(("Allow", "GET"), source=Source.ERROR), early=early)
        self.assertEqual(["1"], values(head, "X-A"))
        self.assertNotIn(b"x-b", head.headers)

    def test_carried(self) -> None:
        """Of an error's page from a file, the error's own fields are those of always."""
        head = change(
            "Header always unset X-A\nHeader always unset X-B",
            makeHead(("X-A", "1"), ("X-B", "1"), source=Source.SERVER),
            carried=frozenset((b"x-a",)),
        )
        self.assertEqual([b"x-b"], list(head.headers.names()))


class RememberedTests(SynchronousTestCase):
    """What lines make of a head that comes again."""

    def answers(self, text: str, *heads: ResponseHead, **variables: str) -> list[list[str]]:
        changes = settingsOf(text).responseFields or ()
        made = []
        for head in heads:
            head.headers.lines()
            request = makeRequest("/a/b")
            route = makeRoute(**variables)
            changed = changedHead(changes, head, request, route, proxied=True)
            made.append(values(changed, "X-A"))
        return made

    def test_same(self) -> None:
        """The same head gives the same fields again, each in an object of its own."""
        changes = settingsOf("Header always set X-A b").responseFields or ()
        head = makeHead(("X-B", "c"))
        head.headers.lines()
        once, again = (
            changedHead(changes, head.copy(), makeRequest("/"), makeRoute(), proxied=True)
            for _ in range(2)
        )
        self.assertEqual(once.headers, again.headers)
        once.headers.set(b"X-A", b"other")
        self.assertEqual(["b"], values(again, "X-A"))

    def test_others(self) -> None:
        """Another head gives other fields, and so does the same one with another status."""
        first, second = makeHead(("X-A", "1")), makeHead(("X-A", "2"))
        self.assertEqual(
            [["1, z"], ["2, z"], ["1, z"]],
            self.answers("Header always append X-A z", first, second, first),
        )
        first = makeHead(("Content-Type", "a/b"))
        first.headers.lines()
        changes = settingsOf("Header always set X-A b").responseFields or ()
        for status, expected in ((200, ["a/b"]), (304, []), (200, ["a/b"])):
            first.status = status
            head = changedHead(changes, first, makeRequest("/"), makeRoute(), proxied=True)
            self.assertEqual(expected, values(head, "Content-Type"))

    def test_asked(self) -> None:
        """What depends on the request is made for each."""
        head = makeHead()
        self.assertEqual([["1"]], self.answers("Header set X-A %{N}e", head, N="1"))
        self.assertEqual([["2"]], self.answers("Header set X-A %{N}e", head, N="2"))
        self.assertEqual([["v"]], self.answers("Header set X-A v env=N", head, N="2"))
        self.assertEqual([[]], self.answers("Header set X-A v env=N", head))

    def test_long(self) -> None:
        """A head that is long is made each time."""
        head = makeHead()
        head.headers.lines()
        for size, kept in ((100, True), (MAX_KEPT, False)):
            changes = settingsOf(f"Header set X-A {'v' * size}").responseFields or ()
            once, again = (
                changedHead(changes, head, makeRequest("/"), makeRoute(), proxied=True)
                for _ in range(2)
            )
            self.assertEqual(once.headers, again.headers)
            self.assertIs(kept, once.headers.pairs is again.headers.pairs)

    def test_bounded(self) -> None:
        """As many heads as there may be come and go."""
        heads = [makeHead(("X-A", str(number))) for number in range(MAX_HEADS + 2)]
        made = self.answers("Header always append X-A z", *heads)
        self.assertEqual([[f"{number}, z"] for number in range(MAX_HEADS + 2)], made)
