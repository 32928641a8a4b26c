"""
A stock ``twisted.web`` site: with FastCGIResource, or with a resource that says hello.

``python -m bench.sites PORT [--tls PEM] [--application PORT]`` serves one of them; over
TLS it speaks HTTP/2 with who asks for it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from bench.httpd import Compiled
from bench.proxies import Proxy

__all__ = ["CompiledResource", "HelloWorld", "SiteResource"]


class HelloWorld(Proxy):
    """What ``twisted.web`` costs by itself, with as long an answer; it proxies nothing."""

    name = "twisted.web hello world"

    @classmethod
    def program(cls) -> str | None:
        return sys.executable

    @classmethod
    def version(cls) -> str:
        return "the same Python and Twisted, without us"

    def configuration(self) -> str:
        return ""

    def command(self, file: Path) -> list[str]:
        words = [sys.executable, "-m", "bench.sites", str(self.port)]
        if self.setup.tls:
            words += ["--tls", str(self.certificate)]
        return words


class SiteResource(HelloWorld):
    """Our resource in such a site."""

    name = "FastCGIResource"

    @classmethod
    def version(cls) -> str:
        return "in the same site"

    def command(self, file: Path) -> list[str]:
        return [*super().command(file), "--application", str(self.responder.port)]


class CompiledResource(SiteResource):
    """Our resource, compiled."""

    name = "compiled resource"
    path = Compiled.path

    @classmethod
    def program(cls) -> str | None:
        return sys.executable if Compiled.program() else None


def _resource(application: int | None, reactor: Any) -> Any:
    if application is not None:
        from twisted_fcgi.web.resource import FastCGIResource

        mapping = f'ProxyPass "/" "fcgi://127.0.0.1:{application}/" enablereuse=on'
        return FastCGIResource(reactor, mapping)

    from twisted.web.resource import Resource

    class Hello(Resource):
        isLeaf = True

        def render_GET(self, request: Any) -> bytes:
            request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
            return b"x" * 100

    return Hello()


def main(words: list[str]) -> None:
    """Serve until the end."""
    from twisted.internet import reactor
    from twisted.internet.endpoints import serverFromString
    from twisted.web.server import Site

    parser = argparse.ArgumentParser(prog="bench.sites", description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--tls", metavar="PEM")
    parser.add_argument("--application", metavar="PORT", type=int)
    chosen = parser.parse_args(words)
    where = f"{chosen.port}:interface=127.0.0.1:backlog=4096"
    if chosen.tls:
        where = f"ssl:{where}:privateKey={chosen.tls}:certKey={chosen.tls}"
    else:
        where = f"tcp:{where}"
    live: Any = reactor
    serverFromString(live, where).listen(Site(_resource(chosen.application, live)))
    live.run()


if __name__ == "__main__":
    main(sys.argv[1:])
