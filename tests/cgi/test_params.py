"""Tests for the variables of a request."""

from __future__ import annotations

import os
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.routing.making import makeRequest, routeOf
from twisted_fcgi import __version__
from twisted_fcgi.cgi import params
from twisted_fcgi.cgi.params import encodedVariables, variables
from twisted_fcgi.headers import Headers
from twisted_fcgi.message import Address, Authority, Request, Route, RouteKind
from twisted_fcgi.settings import DirectorySettings, MemberSettings, Signature, VirtualHost
from twisted_fcgi.wire import decodePairs

HOST = VirtualHost(name="www.test", admin="admin@test", documentRoot="/srv/www")
MEMBER = MemberSettings("fcgi://h", "h")
SERVER = Address(b"192.0.2.9", 8080)

HANDLER = '<Location /a>\nSetHandler "proxy:fcgi://h"\n</Location>'

#: What only the server may say.
COMPUTED = {
    b"CONTENT_LENGTH", b"CONTEXT_DOCUMENT_ROOT", b"CONTEXT_PREFIX", b"DOCUMENT_ROOT",
    b"GATEWAY_INTERFACE", b"HTTPS", b"PATH", b"PATH_INFO", b"PATH_TRANSLATED", b"QUERY_STRING",
    b"REMOTE_ADDR", b"REMOTE_PORT", b"REMOTE_USER", b"REQUEST_METHOD", b"REQUEST_SCHEME",
    b"REQUEST_URI", b"SCRIPT_FILENAME", b"SCRIPT_NAME", b"SERVER_ADDR", b"SERVER_ADMIN",
    b"SERVER_NAME", b"SERVER_PORT", b"SERVER_PROTOCOL", b"SERVER_SIGNATURE", b"SERVER_SOFTWARE",
}  # fmt: skip


class VariablesTests(SynchronousTestCase):
    """Tests for :func:`variables`."""

    def told(
        self,
        *fields: tuple[bytes, bytes],
        method: bytes = b"GET",
        protocol: bytes = b"HTTP/1.1",
        length: int | None = 0,
        secure: bool = False,
        host: VirtualHost = HOST,
        settings: DirectorySettings = DirectorySettings(),
        environment: dict[bytes, bytes] | None = None,
        hostField: bytes | None = b"www.test",
        **route: object,
    ) -> dict[bytes, bytes]:
        """The variables of a request to ``/app.php?x=1``."""
        request = Request(
            method,
            b"/app%2Ephp?x=1",
            Headers(fields),
            protocol=protocol,
            client=Address(b"192.0.2.1", 4321),
            server=SERVER,
            secure=secure,
            contentLength=length,
        )
        made = Route(
            RouteKind.FASTCGI,
            host,
            settings,
            uri=b"/app.php",
            query=b"x=1",
            filename=b"proxy:fcgi://h/srv/app.php",
            environment=environment or {},
            members=(MEMBER,),
            authority=Authority(host, b"www.test", None, hostField, SERVER, secure),
        )
        pairs = variables(request, replace(made, **route), MEMBER)  # type: ignore[arg-type]
        self.assertEqual(len(pairs), len(dict(pairs)))
        return dict(pairs)

    def test_server(self) -> None:
        """The server tells of itself, the connection, the request line and the script."""
        self.patch(os, "environb", {b"PATH": b"/bin", b"SECRET": b"x"})
        self.assertEqual(
            {
                b"CONTEXT_DOCUMENT_ROOT": b"/srv/www",
                b"CONTEXT_PREFIX": b"",
                b"DOCUMENT_ROOT": b"/srv/www",
                b"GATEWAY_INTERFACE": b"CGI/1.1",
                b"HTTP_HOST": b"www.test",
                b"PATH": b"/bin",
                b"QUERY_STRING": b"x=1",
                b"REMOTE_ADDR": b"192.0.2.1",
                b"REMOTE_PORT": b"4321",
                b"REQUEST_METHOD": b"GET",
                b"REQUEST_SCHEME": b"http",
                b"REQUEST_URI": b"/app%2Ephp?x=1",
                b"SCRIPT_FILENAME": b"proxy:fcgi://h/srv/app.php",
                b"SCRIPT_NAME": b"/app.php",
                b"SERVER_ADDR": b"192.0.2.9",
                b"SERVER_ADMIN": b"admin@test",
                b"SERVER_NAME": b"www.test",
                b"SERVER_PORT": b"80",
                b"SERVER_PROTOCOL": b"HTTP/1.1",
                b"SERVER_SIGNATURE": b"",
                b"SERVER_SOFTWARE": b"twisted_fcgi/" + __version__.encode(),
            },
            self.told(),
        )

    def test_tls(self) -> None:
        """Over TLS there is HTTPS, and scheme and port say so."""
        told = self.told(secure=True)
        self.assertEqual(
            (b"on", b"https", b"443"),
            (told[b"HTTPS"], told[b"REQUEST_SCHEME"], told[b"SERVER_PORT"]),
        )

    def test_canonicalName(self) -> None:
        """With UseCanonicalName the server's name is the configured one, escaped."""
        host = replace(HOST, name="a<b>", port=81)
        for settings, expected in [
            (DirectorySettings(canonicalName=True), b"a&lt;b&gt;"),
            (DirectorySettings(canonicalName=False), b"www.test"),
            (DirectorySettings(), b"www.test"),
        ]:
            told = self.told(host=host, settings=settings)
            self.assertEqual((expected, b"81"), (told[b"SERVER_NAME"], told[b"SERVER_PORT"]))

    def test_signature(self) -> None:
        """SERVER_SIGNATURE names the program, the host and its port where ServerSignature is on."""
        for form, expected in [
            (Signature.OFF, b""),
            (Signature.ON, b"<address>%b Server at www.test Port 80</address>\n"),
            (
                Signature.EMAIL,
                b'<address>%b Server at <a href="mailto:admin@test">www.test</a> Port 80'
                b"</address>\n",
            ),
        ]:
            told = self.told(settings=DirectorySettings(signature=form))
            software = told[b"SERVER_SOFTWARE"]
            self.assertEqual(expected and expected % software, told[b"SERVER_SIGNATURE"])

    def test_pathInfo(self) -> None:
        """PATH_INFO and PATH_TRANSLATED are there when the path has such a part."""
        told = self.told(uri=b"/app.php/i", pathInfo=b"/i", pathTranslated=b"/srv/www/i")
        self.assertEqual(
            (b"/app.php", b"/i", b"/srv/www/i"),
            (told[b"SCRIPT_NAME"], told[b"PATH_INFO"], told[b"PATH_TRANSLATED"]),
        )
        self.assertNotIn(b"PATH_INFO", self.told(pathInfo=b""))

    def test_fields(self) -> None:
        """A field becomes HTTP_ and its name in capitals; several are joined."""
        told = self.told(
            (b"X-Dup", b"one"), (b"x-dup", b"two"), (b"123", b"n"), (b"Content-Type", b"a/b"),
            (b"X-Empty", b""), (b"HTTPS", b"on"), (b"Path-Info", b"/x"), (b"Cookie", b"a=1"),
            (b"Cookie", b"b=2"),
        )
        for name, value in [
            (b"HTTP_X_DUP", b"one, two"), (b"HTTP_123", b"n"), (b"CONTENT_TYPE", b"a/b"),
            (b"HTTP_X_EMPTY", b""), (b"HTTP_HTTPS", b"on"), (b"HTTP_PATH_INFO", b"/x"),
            (b"HTTP_COOKIE", b"a=1, b=2"),
        ]:  # fmt: skip
            self.assertEqual(value, told[name])

    def test_namesThatWouldCollide(self) -> None:
        """A name with any other sign than letters, digits and ``-`` is dropped."""
        names = [b"X_Forwarded_For", b"Remote.User", b"X Y", b"Content_Length", b"Host_"]
        names += [b"X%cY" % sign for sign in b"!#$%&'*+^`|~"]
        usual = self.told()
        self.assertEqual(usual, self.told(*((name, b"evil") for name in names)))

    def test_proxyField(self) -> None:
        """A field Proxy never becomes HTTP_PROXY, but one that begins so is passed."""
        told = self.told((b"pRoXy", b"http://evil/"), (b"Proxy-Connection", b"x"))
        self.assertNotIn(b"HTTP_PROXY", told)
        self.assertEqual(b"x", told[b"HTTP_PROXY_CONNECTION"])

    def test_credentials(self) -> None:
        """Credentials are passed with CGIPassAuth only, or where SetEnvIf asks for it."""
        fields = (b"Authorization", b"Basic x"), (b"Proxy-Authorization", b"Basic y")
        told = self.told(*fields)
        self.assertNotIn(b"HTTP_AUTHORIZATION", told)
        self.assertNotIn(b"HTTP_PROXY_AUTHORIZATION", told)
        told = self.told(*fields, settings=DirectorySettings(passAuthorization=True))
        self.assertEqual(b"Basic x", told[b"HTTP_AUTHORIZATION"])
        told = self.told(*fields, environment={b"HTTP_AUTHORIZATION": b"Basic x"})
        self.assertEqual(b"Basic x", told[b"HTTP_AUTHORIZATION"])

    def test_host(self) -> None:
        """HTTP_HOST is the host that counts, not always the field; without one it is absent."""
        told = self.told((b"Host", b"other.test"), hostField=b"www.test:81")
        self.assertEqual(b"www.test:81", told[b"HTTP_HOST"])
        self.assertNotIn(b"HTTP_HOST", self.told((b"Host", b"x"), hostField=None))

    def test_contentLength(self) -> None:
        """CONTENT_LENGTH is what was counted, where the client announced a body."""
        length = (b"Content-Length", b"4")
        chunked = (b"Transfer-Encoding", b"chunked")
        for field, counted, expected in [
            (None, 0, None),
            (length, 4, b"4"),
            ((b"Content-Length", b"0"), 0, b"0"),
            (chunked, 9, b"9"),
            (chunked, 0, b"0"),
            (chunked, None, None),
        ]:
            told = self.told(*([field] if field else []), length=counted)
            self.assertEqual(expected, told.get(b"CONTENT_LENGTH"))
            self.assertEqual(
                field is chunked and counted is None, b"HTTP_TRANSFER_ENCODING" in told
            )

    def test_maxForwards(self) -> None:
        """Max-Forwards is counted down by one."""
        self.assertEqual(b"6", self.told((b"Max-Forwards", b"7"))[b"HTTP_MAX_FORWARDS"])

    def test_precedence(self) -> None:
        """The configuration is stronger than the client, the server stronger than both."""
        told = self.told(
            (b"X-Proto", b"client"),
            environment=dict.fromkeys([*COMPUTED, b"HTTP_X_PROTO", b"OWN"], b"mine"),
        )
        self.assertEqual((b"mine", b"mine"), (told[b"HTTP_X_PROTO"], told[b"OWN"]))
        mine = {name for name in COMPUTED if told.get(name) == b"mine"}
        # What the server does not say itself for this request, and the search path.
        self.assertEqual(
            {b"HTTPS", b"PATH", b"PATH_INFO", b"PATH_TRANSLATED", b"REMOTE_USER"}, mine
        )
        self.assertNotIn(b"CONTENT_LENGTH", told)

    def test_balancer(self) -> None:
        """What a balancer has to say is told."""
        told = self.told(balanced=((b"BALANCER_NAME", b"balancer://pool"),))
        self.assertEqual(b"balancer://pool", told[b"BALANCER_NAME"])

    @given(
        st.lists(
            st.tuples(
                st.one_of(
                    st.sampled_from(sorted(COMPUTED)),
                    st.sampled_from(sorted(COMPUTED)).map(lambda name: name.replace(b"_", b"-")),
                    st.text("HTPSRE_.-aZ0", min_size=1, max_size=8).map(str.encode),
                ),
                st.binary(max_size=4),
            ),
            max_size=8,
        )
    )
    def test_fieldsSetNothingElse(self, fields: list[tuple[bytes, bytes]]) -> None:
        """No field sets or changes a variable that the server computes."""
        usual = self.told()
        told = self.told(*fields)
        counted = {b"CONTENT_LENGTH"} if b"content-length" in Headers(fields) else set()
        changed = {name for name in {*usual, *told} if usual.get(name) != told.get(name)}
        self.assertEqual(
            set(),
            {n for n in changed - counted if not n.startswith(b"HTTP_") and n != b"CONTENT_TYPE"},
        )
        self.assertEqual(usual[b"HTTP_HOST"], told[b"HTTP_HOST"])
        self.assertNotIn(b"HTTP_PROXY", told)

    @given(
        st.lists(
            st.sampled_from(
                [b"/", b"a.php", b"%00", b"%0a", b"%0D", b"%2500", b"%250A", b"%25250d", b"%2f",
                 b"%252f", b"..", b"%3F", b"b"]
            ),
            max_size=8,
        ),
        st.sampled_from([b"first-dot", b"last-dot", b"unescape", b"1", b"full"]),
        st.sampled_from(["ProxyPass /a fcgi://h/", "ProxyPass /a fcgi://h/ nocanon", HANDLER]),
        st.sampled_from(["", "AllowEncodedSlashes On", "AllowEncodedSlashes NoDecode"]),
    )
    def test_noLineEndFromThePath(
        self, pieces: list[bytes], mode: bytes, line: str, slashes: str
    ) -> None:
        """However a path is encoded, no variable has a NUL, CR or LF in it."""
        text = f"{line}\n{slashes}\nSetEnvIf Request_URI . proxy-fcgi-pathinfo={mode.decode()}"
        request = makeRequest(b"/a/" + b"".join(pieces))
        route = routeOf(text, request)
        if route.kind == RouteKind.FASTCGI:
            for name, value in variables(request, route, MEMBER):
                self.assertFalse(set(value) & set(b"\0\r\n"), (name, value))

    def test_namesAreBounded(self) -> None:
        """However many names clients make up, only so many are remembered."""
        for number in range(params.MAX_NAMES + 10):
            self.told((b"X-%d" % number, b"v"))
        self.assertLessEqual(len(params._fieldNames), params.MAX_NAMES)
        name = b"X" * (params.MAX_NAME + 1)
        self.assertEqual(b"v", self.told((name, b"v"))[b"HTTP_" + name])
        self.assertNotIn(name, params._fieldNames)

    def test_fieldsAreBounded(self) -> None:
        """However many fields clients send, only so many are remembered, and no long ones."""
        for number in range(params.MAX_FIELDS + 10):
            self.told((b"X-A", b"%d" % number))
        self.assertLessEqual(len(params._encodedFields), params.MAX_FIELDS)
        long = (b"X-A", b"v" * (params.MAX_VALUE + 1))
        self.assertEqual(long[1], self.told(long)[b"HTTP_X_A"])
        self.assertNotIn(long, params._encodedFields)

    def test_secretsAreForgotten(self) -> None:
        """What says who somebody is, is not remembered."""
        fields = [(b"Cookie", b"id=1"), (b"authorization", b"x"), (b"Proxy-Authorization", b"y")]
        told = self.told(*fields, settings=DirectorySettings(passAuthorization=True))
        self.assertEqual(b"id=1", told[b"HTTP_COOKIE"])
        self.assertEqual(b"x", told[b"HTTP_AUTHORIZATION"])
        self.assertEqual(set(), set(fields) & set(params._encodedFields))


def expected(request: Request, route: Route, usual: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """
    The variables as the module's head has them, the weaker first.

    :param usual: those of a request without fields, where the configuration sets nothing.
    """
    table: dict[bytes, bytes] = {}
    for name in {name.lower() for name, _ in request.headers}:
        usable = name.replace(b"-", b"x").isalnum()
        if usable and name not in (b"content-length", b"host", b"proxy"):
            variable = name.upper().replace(b"-", b"_")
            if variable != b"CONTENT_TYPE":
                variable = b"HTTP_" + variable
            table[variable] = request.headers.get(name) or b""
    if b"HTTP_MAX_FORWARDS" in table:
        table[b"HTTP_MAX_FORWARDS"] = b"%d" % max(int(table[b"HTTP_MAX_FORWARDS"]) - 1, 0)
    if not route.directory.passAuthorization:
        table.pop(b"HTTP_AUTHORIZATION", None)
        table.pop(b"HTTP_PROXY_AUTHORIZATION", None)
    environment = dict(route.environment)
    for variable in (b"CONTENT_LENGTH", b"HTTP_TRANSFER_ENCODING"):
        environment.pop(variable, None)
    table = {**table, **environment, **usual}
    if b"PATH" in environment:
        table[b"PATH"] = environment[b"PATH"]
    length = request.contentLength
    if length is not None:
        table.pop(b"HTTP_TRANSFER_ENCODING", None)
        if length or request.headers.names() & {b"content-length", b"transfer-encoding"}:
            table[b"CONTENT_LENGTH"] = b"%d" % length
    return table


class EncodedVariablesTests(SynchronousTestCase):
    """Tests for :func:`encodedVariables`."""

    names = st.one_of(
        st.sampled_from(
            b"Accept accept X-A x-a X_A Cookie Host Proxy Content-Length Content-Type Remote-Addr "
            b"Authorization Proxy-Authorization Transfer-Encoding".split()
        ),
        st.text("HTPSRE_.-aZ0", min_size=1, max_size=8).map(str.encode),
    )
    requests = st.builds(
        Request,
        st.sampled_from([b"GET", b"POST", b"X"]),
        st.just(b"/a?b"),
        st.tuples(
            st.lists(st.tuples(names, st.binary(max_size=3) | st.just(b"v" * 300)), max_size=6),
            st.sampled_from([[], [(b"Max-Forwards", b"0")], [(b"max-forwards", b"7")]]),
        ).map(lambda fields: Headers([*fields[0], *fields[1]])),
        protocol=st.sampled_from([b"HTTP/1.0", b"HTTP/1.1"]),
        client=st.builds(Address, st.sampled_from([b"", b"::1"]), st.sampled_from([0, 4321])),
        contentLength=st.sampled_from([None, 0, 5]),
    )
    environments = st.dictionaries(
        st.sampled_from(
            sorted({*COMPUTED, b"HTTP_X_A", b"HTTP_ACCEPT", b"HTTP_HOST", b"HTTP_COOKIE", b"OWN",
                    b"HTTP_MAX_FORWARDS", b"HTTP_TRANSFER_ENCODING", b"CONTENT_TYPE"})
        ),
        st.sampled_from([b"", b"mine"]),
        max_size=4,
    )  # fmt: skip

    @given(
        st.lists(requests, min_size=1, max_size=4),
        environments,
        st.booleans(),
        st.sampled_from([None, b"www.test"]),
        st.sampled_from([None, b"", b"/info"]),
    )
    def test_oneTable(
        self,
        requests: list[Request],
        environment: dict[bytes, bytes],
        passAuthorization: bool,
        field: bytes | None,
        pathInfo: bytes | None,
    ) -> None:
        """Whatever was remembered of other requests, each is told what its own table holds."""
        settings = DirectorySettings(passAuthorization=passAuthorization)
        route = Route(
            RouteKind.FASTCGI,
            HOST,
            settings,
            uri=b"/a/info",
            query=b"b",
            filename=b"proxy:fcgi://h/a",
            pathInfo=pathInfo,
            environment=environment,
            authority=Authority(HOST, b"www.test", None, field, SERVER, False),
        )
        for request in requests:
            plain = Request(
                request.method,
                request.target,
                Headers(),
                protocol=request.protocol,
                client=request.client,
            )
            usual = dict(variables(plain, replace(route, environment={}, told=None), MEMBER))
            told = decodePairs(encodedVariables(request, route, MEMBER))
            self.assertEqual(len(told), len(dict(told)))
            self.assertEqual(expected(request, route, usual), dict(told))

    @given(
        st.lists(st.tuples(names, st.binary(max_size=3)), max_size=5),
        st.lists(st.tuples(requests, st.integers(0, 2), st.booleans()), min_size=2, max_size=6),
        environments,
    )
    def test_sharedFields(
        self,
        pairs: list[tuple[bytes, bytes]],
        asked: list[tuple[Request, int, bool]],
        environment: dict[bytes, bytes],
    ) -> None:
        """Requests that share their fields are told what they would be with their own."""
        headers = Headers(pairs)
        routes = [
            Route(
                RouteKind.FASTCGI,
                HOST,
                DirectorySettings(passAuthorization=number == 1),
                filename=b"proxy:fcgi://h/a",
                environment=({}, {b"X_A": b"mine"}, environment)[number],
                authority=Authority(HOST, b"www.test", None, b"www.test", SERVER, False),
            )
            for number in range(3)
        ]
        for request, number, anew in asked:
            if anew:
                headers.add(b"X-A", b"%d" % number)
            shared = request.changed(headers=headers)
            alone = request.changed(headers=Headers(headers))
            self.assertEqual(
                encodedVariables(alone, replace(routes[number], told=None), MEMBER),
                encodedVariables(shared, routes[number], MEMBER),
            )

    def test_silencedByOne(self) -> None:
        """What one route's configuration says in place of a field, another's does not."""
        headers = Headers([(b"X-A", b"1")])
        told = []
        for variable in (b"X_A", b"HTTP_X_A"):
            route = Route(
                RouteKind.FASTCGI,
                HOST,
                DirectorySettings(),
                filename=b"proxy:fcgi://h/a",
                environment={variable: b"mine"},
                authority=Authority(HOST, b"www.test", None, None, SERVER, False),
            )
            pairs = variables(Request(b"GET", b"/", headers), route, MEMBER)
            told.append([pair for pair in pairs if pair[0] == b"HTTP_X_A"])
        self.assertEqual([[(b"HTTP_X_A", b"1")], [(b"HTTP_X_A", b"mine")]], told)
