"""``fcgi explain`` against what an application is really sent."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.peers.client import ask
from tests.peers.php import PhpFpm
from tests.peers.process import Server
from tests.peers.proxy import Proxy
from tests.peers.python import Own
from tests.scripts.test_fcgi import run

pytestmark = pytest.mark.processes

CONFIGURATION = """\
DocumentRoot "{root}"
DirectoryIndex index.php
SetEnv FIRST outside
SetEnvIf User-Agent "^(c)url" TOOL=$1 LATER
SetEnvIf X-Full . proxy-fcgi-pathinfo=full
<Directory "{root}">
    FallbackResource /index.php
    SetEnv FIRST directory
    SetEnv SCRIPT_NAME overruled
</Directory>
<Directory "{root}/sub">
    AllowOverride All
    RewriteEngine On
    RewriteRule "^r/(.*)" index.php?rule=$1 [QSA,E=RULE:$1]
    AddHandler "proxy:fcgi://{address}" .app
</Directory>
Alias /alias "{root}/sub"
RequestHeader set X-Added "%{{REQUEST_METHOD}}e"
RequestHeader unset X-Removed
RequestHeader append X-Early yes early
SetEnvIfExpr "req('X-If') =~ /(.)/" IF=$1
<If "req('X-If') == '1'">
    SetEnv BRANCH if
</If>
<Else>
    SetEnv BRANCH else
</Else>
<Location /b>
    CGIPassAuth On
    UnsetEnv FIRST
    SetEnv HTTP_ACCEPT ours
</Location>
<LocationMatch "^/(?<area>m[a-z]+)/">
    ProxyFCGIBackendType GENERIC
</LocationMatch>
ProxyPass "/mraw/" "fcgi://{address}/raw/" nocanon
ProxyPass "/b/" "balancer://two/b/"
ProxyPassMatch "^/(match/.*)$" "fcgi://{address}/srv/$1"
<Proxy "balancer://two">
    BalancerMember "fcgi://{address}/one" route=1
    BalancerMember "fcgi://{address}/two" route=2
    ProxySet stickysession=ROUTE
</Proxy>
<FilesMatch "\\.php$">
    SetHandler "proxy:fcgi://{address}"
    ProxyFCGISetEnvIf "true" OWN "%{{reqenv:SCRIPT_NAME}}"
    ProxyFCGISetEnvIf "reqenv('TOOL') != ''" TOOL "<%{{reqenv:TOOL}}>"
    ProxyFCGISetEnvIf "req('X-Gone') != ''" !HTTP_X_GONE
</FilesMatch>
<VirtualHost *:*>
    ServerName other.test
    UseCanonicalName On
    SetEnv HOST other
    Redirect 410 /gone
</VirtualHost>
"""

#: Method, target, and fields besides Host and Connection.
REQUESTS: Sequence[tuple[str, str, Sequence[tuple[str, str]]]] = (
    ("GET", "/", ()),
    ("GET", "/index.php", (("User-Agent", "curl/8"),)),
    ("GET", "/index.php/a%20b", (("Accept", "a"), ("accept", "b"))),
    ("GET", "/index.php/a", (("X-Full", "1"),)),
    ("GET", "/a%20b.php", (("X-Gone", "1"), ("Proxy", "http://x/"), ("X_Under", "1"))),
    ("HEAD", "/sub/", (("Cookie", "a=b"),)),
    ("GET", "/lost/page", (("Authorization", "Basic eA=="),)),
    ("POST", "/index.php", (("Content-Type", "a/b"), ("Content-Length", "0"))),
    ("GET", "/sub/r/a/b", (("X-If", "1"),)),
    ("GET", "/sub/x.app", (("X-Removed", "1"), ("X-Added", "theirs"))),
    ("GET", "/alias/x.app/more", (("X-Early", "1"), ("X-If", "2"))),
    ("GET", "/mraw/%61%2e/x", (("Max-Forwards", "3"),)),
    ("GET", "/match/x.php", ()),
    ("OPTIONS", "/match/x.php", (("Range", "bytes=0-1"),)),
    ("GET", "/b/x.php", (("Cookie", "ROUTE=x.2"), ("Authorization", "Basic eA=="))),
    ("GET", "/b/x.php", (("Cookie", "ROUTE=x.1"), ("Accept", "theirs"))),
    ("GET", "/b//y%c3%a9", (("Cookie", "ROUTE=x.1"),)),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documents."""
    root = tmp_path_factory.mktemp("documents")
    for name in ("index.php", "a b.php", "sub/index.php", "sub/x.app"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    (root / "sub/.htaccess").write_text("SetEnv ACCESS_FILE yes\n")
    return root


@pytest.fixture(scope="module")
def proxy(proxyOf: Callable[..., Proxy], peerOf: Callable[..., Server], root: Path) -> Proxy:
    """The proxy before an application that says what it was told."""
    peer = peerOf(Own, unix=False)
    return proxyOf(CONFIGURATION.format(root=root, address=peer.address))


@pytest.mark.parametrize("host", ["www.example.test", "other.test", "OTHER.test:99"])
@pytest.mark.parametrize("request_", REQUESTS, ids=lambda row: quote(f"{row[0]} {row[1]}"))
def test_variables(
    proxy: Proxy, host: str, request_: tuple[str, str, Sequence[tuple[str, str]]]
) -> None:
    """The variables are those that the application is sent, name by name."""
    method, target, more = request_
    target += "?do=env"
    fields = [("Host", host), *more, ("Connection", "close")]
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    with closing(socket.create_connection(("127.0.0.1", proxy.address.port), 30)) as connection:
        client = "{}:{}".format(*connection.getsockname())
        connection.sendall(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode())
        with connection.makefile("rb") as stream:
            answer = stream.read()
    options = [word for name, value in fields for word in ("-H", f"{name}: {value}")]
    status, out, err = run(
        "explain", "--config", proxy.directory / "proxy.conf", "--json", "-X", method,
        "--client", client, *options, f"http://{proxy.address}{target}",
    )  # fmt: skip
    assert (status, err) == (0, "")
    explained = {row["name"]: row["value"] for row in json.loads(out)["variables"]}
    assert explained["REQUEST_METHOD"] == method
    if method != "HEAD":
        _, _, body = answer.partition(b"\r\n\r\n")
        told = dict(json.loads(line) for line in body.splitlines() if line.startswith(b"["))
        assert explained == {
            name: value.encode("latin-1").decode("utf-8", "backslashreplace")
            for name, value in told.items()
        }


@pytest.fixture(scope="module")
def phpSite(proxyOf: Callable[..., Proxy], peerOf: Callable[..., Server], root: Path) -> Proxy:
    """The proxy before PHP-FPM."""
    php = peerOf(PhpFpm, unix=True)
    (root / "show.php").write_text("<?php echo json_encode($_SERVER);")
    (root / "b c.php").write_text("<?php echo json_encode($_SERVER);")
    return proxyOf(f"""\
DocumentRoot "{root}"
ProxyPass "/pass/" "unix:{php.address}|fcgi://localhost{root}/"
ProxyPass "/wrong/" "unix:{php.address}|fcgi://localhost/"
ProxyPassMatch "^/match/(.*)$" "unix:{php.address}|fcgi://localhost{root}/$1"
<FilesMatch "\\.php$">
    SetHandler "proxy:unix:{php.address}|fcgi://localhost"
</FilesMatch>
""")


@pytest.mark.servers("php-fpm")
@pytest.mark.parametrize(
    "target",
    [
        "/show.php", "/show.php/a/b", "/b%20c.php", "/lost.php", "/pass/show.php",
        "/pass/show.php/a%20b", "/pass/b%20c.php", "/pass/lost.php", "/pass/lost.php/show.php",
        "/pass/sub", "/wrong/show.php", "/match/show.php?x", "/match/show.php/",
    ],
)  # fmt: skip
def test_script(phpSite: Proxy, target: str) -> None:
    """A script is there, with its name and PATH_INFO, when PHP-FPM finds it so."""
    answer = ask(phpSite.address, target)
    _, out, _ = run(
        "explain", "--config", phpSite.directory / "proxy.conf", "--json",
        f"http://{phpSite.address}{target}",
    )  # fmt: skip
    report = json.loads(out)
    assert (report["script"]["kind"] == "file") == (answer.status == 200)
    # Who the pool runs as can only be guessed.
    hints = [row["text"] for row in report["hints"] if not row["text"].startswith("If the pool")]
    assert bool(hints) == (answer.status != 200)
    if answer.status == 200:
        told = json.loads(answer.body)
        script = report["script"]
        variables = {row["name"]: row["value"] for row in report["variables"]}
        pathInfo = script["pathInfo"] or variables.get("PATH_INFO", "")
        assert (script["path"], pathInfo) == (
            told["SCRIPT_FILENAME"],
            told.get("PATH_INFO", ""),
        )
