"""
What is written down on the way of a request when somebody asks why.

A :class:`~twisted_fcgi.routing.site.Look` has :class:`Notes`, or ``None`` as for every
request that is served.  What a route does not say by itself is noted where it is
decided; places are those of :mod:`twisted_fcgi.settings`: a line's file and number.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from twisted_fcgi.expr import EvaluationError, RequestContext
from twisted_fcgi.routing.access import blamed
from twisted_fcgi.settings import Requirements, VariableChange

if TYPE_CHECKING:
    from twisted_fcgi.routing.look import Look

__all__ = ["Notes", "Step"]


class Step(NamedTuple):
    """
    A line that led from one path to another, or did something else on the way.

    :ivar place: of the line; empty for a default.
    :ivar done: what it did, for people: ``/ -> /index.php``.
    :ivar name: the directive, where the line does not tell.
    """

    place: str
    done: str
    name: str = ""


class Notes:
    """
    The notes about one request.

    :ivar looks: each path that was looked at, but for look-ups that led to nothing.
    :ivar steps: in their order.
    :ivar variables: name, value and place of all that were set, in their order.
    :ivar file: what the path is below DocumentRoot, and one of
        :mod:`~twisted_fcgi.routing.files`; empty where nobody looked.
    :ivar handled: the place of the RewriteRule that named a handler.
    :ivar aliased: the places of Alias lines, and the paths that they made.
    :ivar sent: the place of the line that sent the client elsewhere, if one did.
    :ivar refused: the place of the line that refused it, if one did.
    """

    def __init__(self) -> None:
        self.looks: list[Look] = []
        self.steps: list[Step] = []
        self.variables: list[tuple[bytes, bytes, str]] = []
        self.file = b"", ""
        self.handled = ""
        self.refused = ""
        self.aliased: list[tuple[str, bytes]] = []
        self.sent = ""

    def step(self, place: str, done: str, name: str = "") -> None:
        """Note what a line did."""
        self.steps.append(Step(place, done, name))

    def moved(self, place: str, before: bytes, after: bytes, name: str = "") -> None:
        """Note that a line led from one path to another."""
        old, new = (path.decode("utf-8", "backslashreplace") for path in (before, after))
        self.step(place, f"{old} -> {new}", name)

    def mapped(self, place: str, before: bytes, after: bytes) -> None:
        """Note that an Alias led from a path to a file."""
        self.moved(place, before, after)
        self.aliased.append((place, after))

    def redirected(self, place: str, before: bytes, location: bytes | None) -> None:
        """Note that a line sent the client elsewhere, or refused it."""
        if location is None:
            self.refused = place
        else:
            self.moved(place, before, location)
            self.sent = place

    def denied(self, required: Requirements, context: RequestContext) -> None:
        """Note which lines do not hold."""
        try:
            lines = blamed(required, context)
        except EvaluationError:
            return  # which is what the refusal says
        for line in lines:
            self.step(line.place, "refuses it")
        self.refused = next((line.place for line in lines), "")

    def variable(self, name: bytes, value: bytes, place: str) -> None:
        """Note that a line set a variable."""
        self.variables.append((name, value, place))

    def changed(self, changes: Iterable[VariableChange] | None) -> None:
        """Note what lines of SetEnv and its like set."""
        for change in changes or ():
            if change.value is not None:
                self.variable(change.name, change.value, change.place)
