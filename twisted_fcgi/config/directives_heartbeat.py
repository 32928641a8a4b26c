"""Directives of mod_heartmonitor and mod_lbmethod_heartbeat: servers that say how busy they are."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

from twisted_fcgi.config.registry import Context, Rows, Shape
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.values import addressPort, looseInteger
from twisted_fcgi.config.words import Word
from twisted_fcgi.settings import HeartbeatSettings

__all__ = ["rows"]

rows = Rows("mod_heartmonitor")


def _set(scope: Scope, **fields: object) -> None:
    known = scope.draft.values.get("heartbeats", HeartbeatSettings())
    scope.draft.values["heartbeats"] = replace(known, **fields)


@rows.directive(
    "HeartbeatListen",
    Shape.TAKE1,
    Context.MAIN,
    syntax="address:port",
    example="HeartbeatListen 239.0.0.1:27999",
)
def heartbeatListen(scope: Scope, word: Word) -> None:
    """
    Where mod_heartbeat's datagrams are heard, for ``lbmethod=heartbeat``.

    The address is that of a multicast group, or one of this machine.  Members are told by
    the address that they send from, so a BalancerMember has to be named by that.  Anybody
    who can send there can say how busy a member is.
    """
    parsed = addressPort(word)
    example = "HeartbeatListen 239.0.0.1:27999"
    if parsed is None or parsed.host is None or parsed.port is None:
        raise word.error(f"{str(word)!r} is no address with a port", example)
    try:
        ipaddress.ip_address(parsed.host)
    except ValueError:
        raise word.error(f"{parsed.host!r} is no address, but a name", example) from None
    if scope.draft.values.get("heartbeats", HeartbeatSettings()).listen is not None:
        raise scope.error("HeartbeatListen may stand once only")
    _set(scope, listen=(parsed.host, parsed.port))


@rows.directive(
    "HeartbeatStorage",
    Shape.TAKE1,
    Context.MAIN,
    syntax="file",
    example='HeartbeatStorage "logs/hb.dat"',
)
def heartbeatStorage(scope: Scope, word: Word) -> None:
    """
    A file of heartbeats that a httpd writes, for ``lbmethod=heartbeat``.

    It is read without HeartbeatListen only; what is heard here is kept in memory.
    """
    _set(scope, storage=scope.path(word))


@rows.directive(
    "HeartbeatMaxServers",
    Shape.TAKE1,
    Context.MAIN,
    syntax="number",
    default="10",
    example="HeartbeatMaxServers 50",
)
def heartbeatMaxServers(scope: Scope, word: Word) -> None:
    """No effect: what is remembered is the latest heartbeat of each balancer's member."""
    number = looseInteger(word, scope.warn)
    if number != 0 and number < 10:
        raise word.error(f"{str(word)!r} is out of range", "0, or 10 or more")
