"""
``mapping=servlet``: a ProxyPass that reads a path as servlet containers do.

They cut ``;parameters`` off each segment, and only then look for ``.`` and ``..``:
``/app/..;x/admin`` is ``/admin`` to them.  So that a prefix and the sections see the same
path as the application, the path is brought to that form here, and the application is sent
what the client sent behind the prefix (httpd: ``alias_match_servlet``).
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Matched", "matchServlet"]


class Matched(NamedTuple):
    """
    A path below a prefix.

    :ivar end: where the prefix ends in the path as it was sent.
    :ivar uri: the path without parameters, empty segments and dots.
    """

    end: int
    uri: bytes


def matchServlet(path: bytes, prefix: bytes) -> Matched | None:
    """
    Match a path that is not decoded.

    :param prefix: without doubled slashes.
    :returns: ``None`` when it is not below the prefix, or above the root.
    """
    if path[:1] != b"/" or prefix[:1] != b"/":
        return None
    names: list[bytes] = []
    #: Where each name's segment begins, with empty ones before it, and where the name ends.
    begins: list[int] = []
    ends: list[int] = []
    begin: int | None = 1
    at = 1
    closed = True
    for segment in path[1:].split(b"/"):
        name = segment.partition(b";")[0]
        closed = name in (b"", b".", b"..")
        if begin is not None and path[begin : begin + 1] == b"/":
            begin = at
        if name == b"..":
            if not names:
                return None
            del names[-1], begins[-1], ends[-1]
            begin = None  # nothing of this is sent
        elif not closed:
            names.append(name)
            begins.append(at if begin is None else begin)
            ends.append(at + len(name))
            begin = at + len(segment) + 1
        at += len(segment) + 1
    uri = b"/" + b"/".join(names)
    if closed and names:
        uri += b"/"
    if not uri.startswith(prefix) or (
        not prefix.endswith(b"/") and uri[len(prefix) : len(prefix) + 1] not in (b"/", b"")
    ):
        return None
    depth = len([name for name in prefix.split(b"/") if name])
    end = len(path)
    if depth < len(names):
        end = begins[depth]
        if depth and not prefix.endswith(b"/") and path[ends[depth - 1]] == ord(b";"):
            end = ends[depth - 1]  # the parameters of the prefix's last segment are sent on
    if not prefix.endswith(b"/") and path[end - 1] == ord(b"/"):
        end -= 1
    return Matched(end, uri)
