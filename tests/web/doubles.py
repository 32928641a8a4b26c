"""Both sides of the gateway, scripted and recording: for the tests of this folder."""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from twisted_fcgi.errors import RequestError
from twisted_fcgi.interfaces import IBody, IMember, IResponse, IStream
from twisted_fcgi.message import ResponseHead
from twisted_fcgi.settings import MemberSettings
from twisted_fcgi.wire import decodePairs


@implementer(IResponse)
class RecordingResponse:
    """Records what was called, in order; parts of the body are joined."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.head: ResponseHead | None = None
        self.body = b""

    def writeHead(self, head: ResponseHead) -> None:
        self.calls.append("head")
        self.head = head

    def write(self, data: bytes) -> None:
        self.calls.append("write")
        self.body += data

    def flush(self) -> None:
        self.calls.append("flush")

    def finish(self) -> None:
        self.calls.append("finish")

    def abort(self) -> None:
        self.calls.append("abort")

    @property
    def status(self) -> int:
        assert self.head is not None
        return self.head.status


@implementer(IStream)
class ScriptedStream:
    """Records what the exchange asks of a stream."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def abort(self) -> None:
        self.calls.append("abort")

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")


@implementer(IMember)
class ScriptedMember:
    """
    A member that keeps what it is asked.

    :param script: told to the receiver before ``open`` returns.
    """

    endpoint: Any = None
    leaves = False

    def __init__(self, settings: MemberSettings, *script: Any) -> None:
        self.settings = settings
        self.script = script
        self.stream = ScriptedStream()
        self.opened = 0

    def askWhetherItLeaves(self, told: Any) -> None:
        told(self.leaves)

    def open(
        self, params: Any, body: Any, receiver: Any, role: int = 1, timeout: float | None = None
    ) -> ScriptedStream:
        self.opened += 1
        self.params = dict(decodePairs(params) if isinstance(params, bytes) else params)
        self.body, self.receiver, self.timeout = body, receiver, timeout
        for step in self.script:
            if isinstance(step, bytes):
                receiver.stdoutReceived(step)
            elif isinstance(step, RequestError):
                receiver.streamFailed(step)
            else:
                receiver.streamEnded(step)
        return self.stream


@implementer(IBody)
class ScriptedBody:
    """A body of any length that delivers when it is told to."""

    def __init__(self, length: int | None) -> None:
        self.length = length
        self.replayable = True
        self.calls: list[str] = []
        self.consumer: Any = None

    def deliver(self, consumer: Any) -> None:
        self.calls.append("deliver")
        self.replayable = False
        self.consumer = consumer

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")

    def discard(self) -> None:
        self.calls.append("discard")
