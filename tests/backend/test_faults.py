"""
Whatever an application sends, nobody receives what is another's.

Each request has a mark, which the application puts into its answer and which is
the content of its body.

Two things are left out, for nobody could tell them apart.  An application that said
twice that an answer is over, with the end of STDOUT and with END_REQUEST, and goes on
when the next request has come: the next one has the same id, as with httpd.  And, on a
connection that is shared, a record that is longer than it comes, or that says that it
belongs to another request which is open.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha1
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from twisted.internet.error import ConnectionRefusedError
from twisted.trial.unittest import SynchronousTestCase

from tests.backend.doubles import Application, MemoryBody, Receiver, SharedSite, Site, params
from twisted_fcgi.errors import LocalProtocolError

__all__ = ["EveryByteTests", "FaultsTests", "SharedTests"]


def answerOf(application: Application) -> bytes:
    """The right answer to the request that was read: its mark, some times."""
    mark = application.params[b"REQUEST_URI"]
    return application.answer(mark * 3, stderr=mark + b"\n")


#: END_REQUEST of the first request.
EARLY_END = b"\1\3\0\1\0\x08\0\0" + bytes(8)

#: What may happen at a byte of an answer.
FAULTS = {
    "cut": lambda data, at: data[:at],
    "reset": lambda data, at: data[:at],
    "stop": lambda data, at: data[:at],
    "flip": lambda data, at: data[:at] + bytes((data[at] ^ 0xFF,)) + data[at + 1 :],
    "zero": lambda data, at: data[:at] + b"\0" + data[at + 1 :],
    "one more": lambda data, at: data[:at] + data[at : at + 1] + data[at:],
    "one less": lambda data, at: data[:at] + data[at + 1 :],
    "again": lambda data, at: data[:at] + data,
    "twice": lambda data, at: data + data[at:],
    "other id": lambda data, at: data[:at] + data[at:].replace(b"\0\1", b"\0\2"),
    "junk": lambda data, at: data[:at] + b"<<another's>>" + data[at:],
}


class EveryByteTests(SynchronousTestCase):
    """Each fault at each byte of an answer, with requests before and after it."""

    def play(self, fault: str, at: int) -> Iterator[tuple[bytes, Receiver]]:
        site = Site(reuse=True, max=1, timeout=3)

        def serve() -> None:
            """Answer each request that has come, rightly."""
            for _ in range(9):
                if site.endpoint.attempts:
                    site.endpoint.accept()
                application = site.endpoint.applications[-1]
                if application.closed:
                    application.close()
                elif application.transport.value():
                    application.read()
                    application.send(answerOf(application))

        first = site.open(params(b"/first/"))
        serve()
        second = site.open(params(b"/second/"))
        third = site.open(params(b"/third/"))
        application = site.endpoint.applications[0].read()
        application.send(FAULTS[fault](answerOf(application), at))
        if fault in ("cut", "reset"):
            application.close(clean=fault == "cut")
        serve()
        site.clock.pump([1.5] * 20)
        serve()
        site.clock.pump([1.5] * 20)
        return zip((b"/first/", b"/second/", b"/third/"), (first, second, third))

    def test_everyByte(self) -> None:
        """Nobody receives another's mark, and everybody is told an end."""
        site = Site()
        site.open(params(b"/second/"))
        size = len(answerOf(site.endpoint.accept().read()))
        for fault in FAULTS:
            for at in range(size):
                marked = list(self.play(fault, at))
                for mark, receiver in marked:
                    self.assertTrue(receiver.over, (fault, at, mark))
                    for other, _ in marked:
                        if other != mark:
                            self.assertNotIn(other, receiver.data, (fault, at))
                third = marked[2][1]
                self.assertEqual(b"/third/" * 3, third.data, (fault, at))

    def test_theWholeAnswer(self) -> None:
        """Without a fault the answers are right: the test above is about faults."""
        for mark, receiver in self.play("stop", 10**6):
            self.assertEqual(mark * 3, receiver.data)
            self.assertIsNotNone(receiver.end)

    def test_endedTooEarly(self) -> None:
        """END_REQUEST before the end of an answer: what follows reaches nobody else."""
        for at in range(1, len(b"/first/" * 3)):
            for method in (b"GET", b"POST"):
                site = Site(reuse=True, max=1)
                first = site.open(params(b"/first/"))
                application = site.endpoint.accept().read()
                answer = application.wire.stdout(1, b"/first/" * 3)
                data = b"".join(answer)
                early = data[:4] + bytes((0, at, 0, 0)) + data[8 : 8 + at] + EARLY_END
                application.send(early)
                second = site.open(params(b"/second/", method))
                self.assertEqual(b"", second.data)
                application.send(data[:4] + bytes((0, 21 - at, 0, 0)) + data[8 + at :])
                application.send(EARLY_END)
                self.assertNotIn(b"/first/"[:3], second.data)
                self.assertTrue(application.closed)
                self.assertEqual((b"/first/" * 3)[:at], first.data)
                if method == b"POST":
                    self.assertTrue(second.over)
                    continue
                application.close()
                site.endpoint.accept().say(b"/second/")
                self.assertEqual(b"/second/", second.data)


class SharedTests(SynchronousTestCase):
    """Each fault at each byte of an answer, with another request on the same connection."""

    def play(self, fault: str, at: int) -> list[tuple[bytes, Receiver]]:
        site = SharedSite(max=1, timeout=3)
        marks = [b"/one/", b"/two/", b"/three/"]
        marked = [(mark, site.open(params(mark))) for mark in marks]
        peer = site.peers[0].read()
        answer = peer.bytesOf("/one/", b"/one/" * 3)
        peer.send(FAULTS[fault](answer, at), 7)
        if fault in ("cut", "reset"):
            peer.close(clean=fault == "cut")
        for turn in range(20):
            while site.endpoint.attempts:
                site.accept()
            for peer in site.peers:
                if peer.closed:
                    peer.close()
                for mark in peer.read().marks:
                    peer.answer(mark, mark.encode() * 3)
            if turn % 4 == 3:
                site.clock.advance(1.5)
        return marked

    def test_everyByte(self) -> None:
        """Nobody receives another's mark; nobody else's answer fails."""
        site = SharedSite()
        site.open(params(b"/one/"))
        size = len(site.peers[0].read().bytesOf("/one/", b"/one/" * 3))
        headers = (0, size - 24, size - 16)
        longer = dict.fromkeys(("one more", "one less", "again", "junk"), range(8))
        longer["flip"] = longer["zero"] = range(4, 7)
        skipped = {f: {h + n for h in headers for n in numbers} for f, numbers in longer.items()}
        for fault in FAULTS:
            if fault in ("other id", "stop"):
                continue
            for at in range(size):
                if at in skipped.get(fault, ()):
                    continue
                marked = self.play(fault, at)
                for mark, receiver in marked:
                    self.assertTrue(receiver.over, (fault, at, mark))
                    for other in (b"/one", b"/two", b"/three"):
                        if not mark.startswith(other):
                            self.assertNotIn(other, receiver.data, (fault, at))
                for mark, receiver in marked[1:]:
                    self.assertEqual(mark * 3, receiver.data, (fault, at))


class Faults(RuleBasedStateMachine):
    """Requests, answers and faults in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.site = Site(reuse=True, max=2, maxQueue=3, timeout=30, acquire=20, ttl=50)
        self.requests: list[tuple[bytes, Receiver, MemoryBody | None]] = []
        self.aborted: set[bytes] = set()

    def alive(self) -> list[Application]:
        return [a for a in self.site.endpoint.applications if not a.transport.lost]

    @rule(method=st.sampled_from([b"GET", b"PUT", b"POST"]), replayable=st.booleans())
    def open(self, method: bytes, replayable: bool) -> None:
        # So far from one another that no fault makes one of another.
        mark = sha1(b"%d" % len(self.requests)).hexdigest().encode()[:16]
        body = None
        if method != b"GET":
            parts = [mark * 4, mark * 4]
            length = sum(map(len, parts))
            body = MemoryBody(*parts, length=length, replayable=replayable, whole=replayable)
            if not replayable:
                body.given.pop()
        receiver = self.site.open(params(mark, method), body)
        self.requests.append((mark, receiver, body))

    @precondition(lambda self: self.site.endpoint.attempts)
    @rule(refused=st.booleans())
    def connect(self, refused: bool) -> None:
        if refused:
            self.site.endpoint.refuse(ConnectionRefusedError(111, "refused"))
        else:
            self.site.endpoint.accept()

    @precondition(lambda self: self.alive())
    @rule(data=st.data(), fault=st.sampled_from([None, None, *FAULTS]), size=st.integers(1, 99))
    def answer(self, data: st.DataObject, fault: str | None, size: int) -> None:
        application = data.draw(st.sampled_from(self.alive()))
        application.read()
        try:
            answer = answerOf(application)
        except (LocalProtocolError, KeyError):
            return  # there is no request to answer
        if fault is not None:
            answer = FAULTS[fault](answer, data.draw(st.integers(0, len(answer) - 1)))
        application.send(answer, size)
        if fault in ("cut", "reset"):
            application.close(clean=fault == "cut")

    @precondition(lambda self: self.alive())
    @rule(data=st.data(), junk=st.sampled_from([b"\1", b"\1\6\0\1\0\2\0\0xy", b"?" * 20]))
    def junk(self, data: st.DataObject, junk: bytes) -> None:
        data.draw(st.sampled_from(self.alive())).send(junk)

    @precondition(lambda self: self.alive())
    @rule(data=st.data(), clean=st.booleans())
    def close(self, data: st.DataObject, clean: bool) -> None:
        data.draw(st.sampled_from(self.alive())).close(clean)

    @precondition(lambda self: self.requests)
    @rule(data=st.data(), what=st.sampled_from(["pause", "resume", "abort", "give"]))
    def client(self, data: st.DataObject, what: str) -> None:
        mark, receiver, body = data.draw(st.sampled_from(self.requests))
        stream: Any = receiver.stream
        if what == "pause":
            stream.pauseProducing()
        elif what == "resume":
            stream.resumeProducing()
        elif what == "abort":
            self.aborted.add(mark)
            stream.abort()
        elif body is not None and not body.replayable and not body.whole and body.consumer:
            body.give(mark * 4, whole=True)

    @rule(seconds=st.sampled_from([0.1, 3.0, 25.0]))
    def wait(self, seconds: float) -> None:
        self.site.clock.advance(seconds)

    @invariant()
    def nobodyHasAnothers(self) -> None:
        for mark, receiver, _ in self.requests:
            for other, _, _ in self.requests:
                assert mark == other or other not in receiver.data

    @invariant()
    def applicationsSeeOneRequest(self) -> None:
        for application in self.site.endpoint.applications:
            mark = application.params.get(b"REQUEST_URI", b"")
            assert not application.stdin.replace(mark, b"")

    @invariant()
    def withinBounds(self) -> None:
        figures = self.site.member.describe()
        assert figures["busy"] + figures["idle"] + figures["connecting"] <= 2, figures
        assert 0 <= figures["waiting"] <= 3 + 2, figures
        assert figures["busy"] + figures["idle"] == len(self.alive()), figures

    def teardown(self) -> None:
        """Everybody is told an end, and the member comes to rest."""
        stopped = self.site.member.stop()
        for _, receiver, _ in self.requests:
            stream: Any = receiver.stream
            stream.resumeProducing()
        for _ in range(len(self.requests) + 20):
            while self.site.endpoint.attempts:
                self.site.endpoint.refuse(ConnectionRefusedError(111, "refused"))
            for application in self.alive():
                application.close()
            self.site.clock.advance(0.5)  # a pause before the next attempt
        for mark, receiver, _ in self.requests:
            assert receiver.over or mark in self.aborted, mark
        assert stopped.called
        assert not self.site.clock.getDelayedCalls()


FaultsTests = Faults.TestCase
FaultsTests.settings = settings(max_examples=60, stateful_step_count=40)
