"""
What the tests ask of an application (see tests/peers/__init__.py), for WSGI.

``uwsgi`` loads it; ``python peer.py flup ADDRESS`` serves it with flup.
"""

import json
import os
import pathlib
import signal
import sys
import time
import urllib.parse
import zlib

BLOCK = (b"abcdefghijklmnopqrstuvw" * 2850)[:65536]


def await_(path):
    deadline = time.monotonic() + 60
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(path)
        time.sleep(0.01)


def count(body):
    length = total = 0
    while part := body.read(65536):
        length += len(part)
        total = zlib.crc32(part, total)
    return f"{length} {total:08x}\n".encode()


def stream(left):
    while left > 0:
        yield BLOCK[:left]
        left -= len(BLOCK)


def events(number, gates):
    for n in range(number):
        if n:
            await_(gates / str(n))
        yield b"data: %d\n\n" % n


def meet(number, place, name):
    (place / name).touch()
    for n in range(number):
        await_(place / str(n))
    yield b"met\n"


def forever(marker):
    left = 6000
    try:
        while left:
            yield BLOCK[:1024]
            time.sleep(0.01)
            left -= 1
    finally:
        if left:
            marker.touch()


def exit_():
    yield BLOCK[:1000]
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGKILL)


def application(environ, start_response):
    query = dict(urllib.parse.parse_qsl(environ.get("QUERY_STRING", "")))
    what = query.get("do")
    status, headers = "200 OK", [("Content-Type", "text/plain")]
    if what == "env":
        pairs = [pair for pair in environ.items() if isinstance(pair[1], str)]
        body = [json.dumps(pair).encode() + b"\n" for pair in pairs]
    elif what == "count":
        body = [count(environ["wsgi.input"])]
    elif what == "stream":
        body = stream(int(query["bytes"]))
    elif what == "stderr":
        print(query["text"], file=environ["wsgi.errors"], flush=True)
        body = [b"said\n"]
    elif what == "exit":
        headers.append(("Content-Length", "100000"))
        body = exit_()
    elif what == "events":
        headers = [("Content-Type", "text/event-stream")]
        body = events(int(query["count"]), pathlib.Path(query["gates"]))
    elif what == "meet":
        body = meet(int(query["count"]), pathlib.Path(query["place"]), query["name"])
    elif what == "forever":
        body = forever(pathlib.Path(query["marker"]))
    else:
        status, body = "404 Not Found", []
    start_response(status, headers)
    return body


if __name__ == "__main__":
    from flup.server.fcgi_fork import WSGIServer

    host, colon, port = sys.argv[2].rpartition(":")
    address = (host, int(port)) if colon else sys.argv[2]
    WSGIServer(application, bindAddress=address, minSpare=4, maxSpare=4, maxChildren=4).run()
