"""
What the tests ask of an application (see tests/peers/__init__.py), on twisted_fcgi itself.

``python own.py ADDRESS`` listens and begins a process for the requests, again
whenever that one ends.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.parse
import zlib
from pathlib import Path

from twisted.internet import reactor, task
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from twisted_fcgi.backend.application import FastCGIApplicationFactory

BLOCK = (b"abcdefghijklmnopqrstuvw" * 2850)[:65536]
PLAIN = b"Content-Type: text/plain\r\n\r\n"


@implementer(IPushProducer)
class Stream:
    def __init__(self, request, left):
        self.request, self.left, self.paused = request, left, False
        request.registerProducer(self)
        self.resumeProducing()

    def pauseProducing(self):
        self.paused = True

    def stopProducing(self):
        self.left = 0

    def resumeProducing(self):
        self.paused = False
        while self.left and not self.paused:
            part = BLOCK[: self.left]
            self.left -= len(part)
            self.request.write(part)
        if not self.left:
            self.request.unregisterProducer()
            self.request.finish()


def whenThere(path, then):
    def look():
        if path.exists():
            again.stop()
            then()

    again = task.LoopingCall(look)
    again.start(0.01)


def env(request, query):
    pairs = [[part.decode("latin-1") for part in pair] for pair in request.params.items()]
    request.write(PLAIN + "".join(json.dumps(pair) + "\n" for pair in pairs).encode())
    request.finish()


def count(request, query):
    length = total = 0

    def received(data):
        nonlocal length, total
        length += len(data)
        total = zlib.crc32(data, total)

    def finished():
        request.write(PLAIN + b"%d %08x\n" % (length, total))
        request.finish()

    request.stdin.deliver(received, finished)


def stream(request, query):
    request.write(PLAIN)
    Stream(request, int(query["bytes"]))


def stderr(request, query):
    request.writeError(query["text"].encode() + b"\n")
    request.write(PLAIN + b"said\n")
    request.finish()


def exit_(request, query):
    request.write(b"Content-Length: 100000\r\n" + PLAIN + BLOCK[:1000])
    reactor.callLater(0.1, os.kill, os.getpid(), signal.SIGKILL)


def events(request, query, number=0):
    request.write(b"data: %d\n\n" % number if number else PLAIN.replace(b"plain", b"event-stream"))
    if not number:
        request.write(b"data: 0\n\n")
    if number + 1 == int(query["count"]):
        request.finish()
    else:
        gate = Path(query["gates"], str(number + 1))
        whenThere(gate, lambda: events(request, query, number + 1))


def meet(request, query):
    def await_(number):
        if number == int(query["count"]):
            request.write(PLAIN + b"met\n")
            request.finish()
        else:
            whenThere(Path(query["place"], str(number)), lambda: await_(number + 1))

    Path(query["place"], query["name"]).touch()
    await_(0)


def forever(request, query):
    def aborted():
        again.stop()
        Path(query["marker"]).touch()

    request.write(PLAIN)
    request.notifyAborted(aborted)
    again = task.LoopingCall(lambda: request.write(BLOCK[:1024]))
    again.start(0.01)


SERVED = {
    "env": env,
    "count": count,
    "stream": stream,
    "stderr": stderr,
    "exit": exit_,
    "events": events,
    "meet": meet,
    "forever": forever,
}


def application(request):
    query = dict(urllib.parse.parse_qsl(request.params.get(b"QUERY_STRING", b"").decode()))
    SERVED[query["do"]](request, query)


def listen(address):
    host, colon, port = address.rpartition(":")
    listener = socket.socket(socket.AF_INET if colon else socket.AF_UNIX)
    listener.bind((host, int(port)) if colon else address)
    listener.listen(64)
    return listener


def main(word):
    if not word.isdigit():
        listener = listen(word)
        number = str(listener.fileno())
        while True:
            subprocess.run([sys.executable, __file__, number], pass_fds=[listener.fileno()])
    listener = socket.socket(fileno=int(word))
    listener.setblocking(False)
    factory = FastCGIApplicationFactory(application)
    reactor.adoptStreamPort(listener.fileno(), listener.family, factory)
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1])
