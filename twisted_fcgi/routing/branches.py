"""
Which ``<If>``, ``<ElseIf>`` and ``<Else>`` hold for a request (httpd: ``ap_if_walk``).

They are looked at before a path is mapped, for redirects and refusals, and again when all
other sections are known; in the order in which those were merged.  What they say is laid
over the whole.  Then come the branches inside of those that hold, and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from twisted_fcgi.expr import Condition
from twisted_fcgi.settings import Branch

if TYPE_CHECKING:
    from twisted_fcgi.routing.look import Look

__all__ = ["choose", "chosen"]


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


def choose(look: Look) -> None:
    """Lay what the branches that hold say over the rules of a look."""
    look.branches = ()
    level = look.rules.branches
    while level and (taken := chosen(level, look.holds)):
        look.branches += taken
        look.rules = look.rules.choosing(taken)
        level = tuple(inner for branch in taken for inner in branch.settings.branches or ())
