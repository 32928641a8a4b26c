"""A gateway whose members are scripted: for tests of what a configuration makes of a request."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.web.doubles import RecordingResponse, ScriptedBody, ScriptedMember
from twisted_fcgi.config import loads
from twisted_fcgi.headers import Headers
from twisted_fcgi.interfaces import IExchange
from twisted_fcgi.message import Request
from twisted_fcgi.settings import MemberSettings
from twisted_fcgi.web.gateway import Gateway
from twisted_fcgi.wire import EndRequest

__all__ = ["END", "HEAD", "GatewayTestCase", "StoppableMember"]

HEAD = b"Content-Type: text/plain\r\n\r\n"
END = EndRequest(1, 0, 0)


class StoppableMember(ScriptedMember):
    """A scripted member that can be stopped."""

    stopped: Deferred[None] | None = None

    def stop(self) -> Deferred[None]:
        self.stopped = succeed(None)
        return self.stopped


class GatewayTestCase(SynchronousTestCase):
    """
    Has a clock, and members that say what ``scripts`` has for their URLs.

    :ivar live: the members that were asked.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.live: list[StoppableMember] = []
        self.scripts: dict[str, tuple[Any, ...]] = {}

    def makeMember(self, settings: MemberSettings, reactor: Any) -> StoppableMember:
        """A member that says what ``scripts`` has for its URL."""
        script = self.scripts.get(settings.url, (HEAD + settings.url.encode(), END))
        self.live.append(StoppableMember(settings, *script))
        return self.live[-1]

    def gateway(self, configuration: str) -> Gateway:
        """A gateway for a configuration."""
        return Gateway(loads(configuration), self.clock, self.makeMember)

    def serve(
        self,
        gateway: Gateway,
        target: bytes,
        method: bytes = b"GET",
        body: ScriptedBody | None = None,
        fields: Sequence[tuple[bytes, bytes]] = (),
        contentLength: int = 0,
    ) -> RecordingResponse:
        """What a gateway answers."""
        response = RecordingResponse()
        headers = Headers([(b"Host", b"www.example.test"), *fields])
        request = Request(method, target, headers, contentLength=contentLength)
        exchange = gateway.serve(request, body, response)
        verifyObject(IExchange, exchange)
        return response

    def directory(self) -> str:
        """An empty directory."""
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        return directory
