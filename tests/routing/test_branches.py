"""<If>, <ElseIf>, <Else>: which hold, over what, and what they see."""

from __future__ import annotations

from unittest import TestCase, mock

from tests.routing.making import makeFiles, makeRequest, read
from twisted_fcgi.message import Route, RouteKind
from twisted_fcgi.routing import Router, lookups
from twisted_fcgi.routing.branches import chosen
from twisted_fcgi.routing.look import MAX_COMPLAINTS
from twisted_fcgi.settings import Branch, DirectorySettings

__all__ = ["BranchTests", "ChosenTests"]


def branches(pattern: str) -> list[Branch]:
    """By letters: ``I`` is a true If, ``i`` a false one, ``E`` an ElseIf, ``o`` an Else."""
    return [
        Branch(
            None if letter == "o" else letter,
            None if letter == "o" else (lambda _, letter=letter: letter.isupper()),
            letter not in "Ii",
            DirectorySettings(),
            str(place),
        )
        for place, letter in enumerate(pattern)
    ]


class ChosenTests(TestCase):
    """:func:`chosen`."""

    def test_chains(self) -> None:
        """Of an <If> and what follows it the first that is true holds; each <If> begins anew."""
        for pattern, expected in (
            ("", ""),
            ("I", "0"),
            ("i", ""),
            ("II", "01"),
            ("Io", "0"),
            ("io", "1"),
            ("IEo", "0"),
            ("iEo", "1"),
            ("ieEo", "2"),
            ("ieo", "2"),
            ("IEoio", "04"),
            ("ioI", "12"),
            ("iEe", "1"),
        ):
            found = chosen(branches(pattern), lambda condition, place: condition(None))
            self.assertEqual(expected, "".join(branch.place for branch in found), pattern)

    def test_asked(self) -> None:
        """A condition is asked only when none before it in its chain was true."""
        asked: list[str] = []

        def holds(condition: object, place: str) -> bool:
            asked.append(place)
            return place in ("1", "4")

        chosen(branches("ieeoieo"), holds)
        self.assertEqual(["0", "1", "4"], asked)


class BranchTests(TestCase):
    """What becomes of requests."""

    def route(self, text: str, target: str = "/x", *fields: tuple[bytes, bytes]) -> Route:
        request = makeRequest(target, *fields)
        route = self.router(text).route(request)
        self.vary = request.vary
        return route

    def router(self, text: str) -> Router:
        return Router(read('ProxyPass "/" "fcgi://127.0.0.1:9000/"\n' + text))

    def marks(self, text: str, target: str = "/x", *fields: tuple[bytes, bytes]) -> str:
        """The names of one letter that were set, in order."""
        return "".join(
            sorted(
                name.decode()
                for name in self.route(text, target, *fields).environment
                if len(name) == 1
            )
        )

    def test_last(self) -> None:
        """It comes after <Location>, wherever it stands."""
        text = (
            '<If "true">\nSetEnv A if\n</If>\n<Location "/">\nSetEnv A location\n'
            '<If "true">\nSetEnv B first\n</If>\n</Location>\n'
            '<Location "/x">\n<If "true">\nSetEnv B second\n</If>\n</Location>'
        )
        environment = self.route(text).environment
        self.assertEqual({b"A": b"if", b"B": b"second"}, environment)

    def test_nested(self) -> None:
        """An <If> in an <If> comes after all those of the level around it."""
        text = (
            '<If "true">\nSetEnv A outer\n<If "%{QUERY_STRING} == \'q\'">\nSetEnv A inner\n'
            "</If>\n<Else>\nSetEnv B 1\n</Else>\n</If>\n"
            '<If "true">\nSetEnv A next\n</If>\n'
        )
        self.assertEqual({b"A": b"inner"}, self.route(text, "/x?q").environment)
        self.assertEqual({b"A": b"next", b"B": b"1"}, self.route(text).environment)

    def test_nestedInFalse(self) -> None:
        """What stands in a branch that does not hold is not looked at."""
        text = (
            '<If "false">\n<If "-n req(\'X-A\')">\nSetEnv A 1\n</If>\n'
            "<Else>\nSetEnv B 1\n</Else>\n</If>"
        )
        self.assertEqual("", self.marks(text))
        self.assertEqual((), tuple(self.vary))

    def test_remembered(self) -> None:
        """A decision in which a condition took part is made again for each request."""
        router = self.router("<If \"req('X-A') == '1'\">\nSetEnv A 1\n</If>")
        first = router.route(makeRequest("/x", (b"X-A", b"1")))
        second = router.route(makeRequest("/x"))
        self.assertIn(b"A", first.environment)
        self.assertNotIn(b"A", second.environment)

    def test_failure(self) -> None:
        """A condition that can't be evaluated is false, and the log hears of it."""
        text = "<If \"file('/nonexistent') == ''\">\nSetEnv A 1\n</If>\n<Else>\nSetEnv B 1\n</Else>"
        self.assertEqual("B", self.marks(text))
        (complaint,) = self.route(text).complaints
        self.assertIn("<text>:4: file(): ", complaint)

    def test_time(self) -> None:
        """All conditions of a request may take only so long."""
        for many, status in ((15, 0), (40, 500)):
            with mock.patch.object(lookups, "MAX_SECONDS", -1):
                route = self.route('<If "true">\n</If>\n' * many)
            self.assertEqual(status, route.status)

    def test_complaints(self) -> None:
        """Only some complaints of a request are kept."""
        text = "<If \"file('/none') == ''\">\n</If>\n" * (MAX_COMPLAINTS + 5)
        self.assertEqual(MAX_COMPLAINTS, len(self.route(text).complaints))

    def test_vary(self) -> None:
        """The answer varies with the fields that conditions read, each once, but not Host."""
        text = (
            "<If \"%{HTTP_HOST} != 'a' && -n req('X-A') && -z req_novary('X-N')\">\n"
            "SetEnv A 1\n</If>\n<If \"%{HTTP_USER_AGENT} == '' || -z req('X-A')\">\nSetEnv B 1\n"
            "</If>"
        )
        self.marks(text, "/x", (b"X-A", b"1"))
        self.assertEqual(["X-A", "User-Agent"], [name.decode() for name in self.vary])

    def test_sees(self) -> None:
        """A condition sees the file or the application's URL, and SetEnvIf outside of sections."""
        root = makeFiles(self, {"a.txt": "", "sub/.keep": ""})
        text = (
            f'DocumentRoot "{root}"\nProxyPass "/app" "fcgi://127.0.0.1:9000/"\n'
            'SetEnvIf Request_URI "^" S=1\n'
            "<If \"reqenv('S') == '1'\">\nSetEnv S seen\n</If>\n"
            f"<If \"%{{REQUEST_FILENAME}} == '{root}/a.txt' && -f %{{REQUEST_FILENAME}}\">\n"
            "SetEnv F 1\n</If>\n"
            "<If \"%{REQUEST_FILENAME} == 'proxy:fcgi://127.0.0.1:9000//x y'\">\n"
            "SetEnv P 1\n</If>\n"
            "<If \"%{HANDLER} == 'proxy-server'\">\nSetEnv H 1\n</If>"
        )
        router = Router(read(text))
        for target, names in (("/a.txt", {b"S", b"F"}), ("/app/x%20y", {b"S", b"P", b"H"})):
            environment = router.route(makeRequest(target)).environment
            self.assertEqual(names, {name for name in environment if len(name) == 1}, target)
            self.assertEqual(b"seen", environment[b"S"])

    def test_handler(self) -> None:
        """It may choose the application."""
        root = makeFiles(self, {"a.php": ""})
        text = (
            f'DocumentRoot "{root}"\n<If "%{{QUERY_STRING}} == \'q\'">\n'
            'SetHandler "proxy:fcgi://127.0.0.1:9001"\n</If>'
        )
        router = Router(read(text))
        self.assertEqual(RouteKind.STATIC, router.route(makeRequest("/a.php")).kind)
        route = router.route(makeRequest("/a.php?q"))
        self.assertEqual(RouteKind.FASTCGI, route.kind)
        self.assertEqual(9001, route.members[0].port)

    def test_choices(self) -> None:
        """However many choices there are, each request gets its own."""
        lines = "".join(
            f'<If "%{{QUERY_STRING}} =~ /{letter}/">\nSetEnv {letter} 1\n</If>\n'
            for letter in "abcdefgh"
        )
        router = self.router(lines)
        for number in range(256):
            letters = "".join("abcdefgh"[bit] for bit in range(8) if number >> bit & 1)
            environment = router.route(makeRequest(f"/x?{letters}")).environment
            self.assertEqual(letters, "".join(sorted(map(bytes.decode, environment))))

    def test_lookup(self) -> None:
        """IS_SUBREQ is true where an index is looked up."""
        root = makeFiles(self, {"index.html": "", "a.txt": ""})
        text = (
            f'DocumentRoot "{root}"\n<If "%{{IS_SUBREQ}} == \'true\'">\nRequire all denied\n</If>'
        )
        router = Router(read(text))
        self.assertEqual(403, router.route(makeRequest("/")).status)
        self.assertEqual(RouteKind.STATIC, router.route(makeRequest("/a.txt")).kind)

    def test_beforeThePathIsMapped(self) -> None:
        """It is evaluated before anything is known of a file, too: for redirects and refusals."""
        router = Router(
            read(
                "<If \"%{HTTP_USER_AGENT} == ''\">\nErrorDocument 403 here\n</If>\n"
                "Redirect /r http://r.test/\nRewriteEngine On\nRewriteRule ^/f - [F]\n"
            )
        )
        for target, status in (("/r", 302), ("/f", 403)):
            request = makeRequest(target)
            route = router.route(request)
            self.assertEqual(status, route.status)
            self.assertEqual([403], list(route.directory.errorDocuments or ()))
            self.assertEqual([b"User-Agent"], list(request.vary))

    def test_evaluatedTwice(self) -> None:
        """A redirect in it is held against what is known before the path is mapped, and after."""
        for known in ("-z", "-n"):
            text = f'<If "{known} %{{REQUEST_FILENAME}}">\nRedirect 303 http://b.test/\n</If>\n'
            self.assertEqual(303, Router(read(text)).route(makeRequest("/x")).status)
        self.assertEqual(RouteKind.FASTCGI, self.route(text.replace("-n", "-z")).kind)
