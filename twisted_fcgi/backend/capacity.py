"""
How many requests an application takes at a time, as it says itself.

It is asked with FCGI_GET_VALUES, on a connection of its own: php-fpm closes the one
that it was asked on, and some servers close on what they don't know.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory

from twisted_fcgi.backend.protocol import FastCGIClientProtocol
from twisted_fcgi.settings import MemberSettings, Multiplex

__all__ = ["MAX_SHARED", "Capacity", "askValues", "capacityOf"]

#: Connections to an application that multiplexes, unless ``max`` says how many.
MAX_SHARED = 64

_NAMES = (b"FCGI_MAX_CONNS", b"FCGI_MAX_REQS", b"FCGI_MPXS_CONNS")


class Capacity(NamedTuple):
    """
    What may be asked of an application at a time.

    :ivar streams: requests on one connection.
    :ivar connections: connections; ``None`` for no limit.
    :ivar requests: requests in all; ``None`` for no limit.
    """

    streams: int
    connections: int | None
    requests: int | None = None


def capacityOf(values: Mapping[bytes, bytes], settings: MemberSettings) -> Capacity:
    """
    What an application's answer means.

    :param values: the answer; empty for none.
    """
    multiplexes = values.get(b"FCGI_MPXS_CONNS")
    wanted = settings.multiplex
    if multiplexes != b"1" and (wanted is not Multiplex.ON or multiplexes == b"0"):
        return Capacity(1, settings.max)
    requests = _number(values.get(b"FCGI_MAX_REQS", b""))
    streams = settings.maxStreams if requests is None else min(settings.maxStreams, requests)
    if streams == 1:
        return Capacity(1, settings.max)
    connections = MAX_SHARED if settings.max is None else settings.max
    most = _number(values.get(b"FCGI_MAX_CONNS", b""))
    return Capacity(streams, connections if most is None else min(connections, most), requests)


def _number(value: bytes) -> int | None:
    return int(value) or None if value.isdigit() and len(value) < 10 else None


async def askValues(endpoint: IStreamClientEndpoint, reactor: Any, name: str) -> dict[bytes, bytes]:
    """
    Ask an application.

    :param name: of the application, for logs.
    :returns: its answer; empty when it does not know the question.
    """
    factory = Factory.forProtocol(partial(FastCGIClientProtocol, reactor, name=name))
    factory.noisy = False
    connection: Any = await endpoint.connect(factory)
    try:
        answer: dict[bytes, bytes] = await connection.getValues(_NAMES)
    finally:
        connection.close()
    return answer
