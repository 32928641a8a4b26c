"""
Which ``<If>``, ``<ElseIf>`` and ``<Else>`` hold for a request (httpd: ``ap_if_walk``).

They are looked at when all other sections are known, in the order in which those were
merged, and what they say is laid over the whole.  Then come the branches inside of
those that hold, and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted_fcgi.expr import Condition
from twisted_fcgi.settings import Branch

__all__ = ["chosen"]


def chosen(
    branches: Iterable[Branch], holds: Callable[[Condition, str], object]
) -> tuple[Branch, ...]:
    """
    The branches that hold, of one level.

    :param holds: whether a condition is true, with its place; asked only where it matters.
    """
    found: list[Branch] = []
    decided = False
    for branch in branches:
        if branch.otherwise and decided:
            continue
        decided = branch.condition is None or bool(holds(branch.condition, branch.place))
        if decided:
            found.append(branch)
    return tuple(found)
