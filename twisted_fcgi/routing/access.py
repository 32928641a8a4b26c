"""
Whether a request may have what it asks for (httpd: ``modules/aaa/mod_authz_core.c``).

A requirement is granted, denied or neutral; a block puts those of its members
together, and what is neutral at the end is denied.  Nobody is authenticated here, so
what only a user could fulfil fails as it does in httpd without an AuthType: 500.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from twisted_fcgi.errors import MethodNotAllowed, RequestError
from twisted_fcgi.expr import EvaluationError, RequestContext
from twisted_fcgi.settings import AccessSettings, Methods, Requirement, Requirements

if TYPE_CHECKING:
    from twisted_fcgi.routing.look import Look

__all__ = ["Decision", "admit", "blamed", "decide", "effective", "holdToMethods"]


class Decision(enum.Enum):
    """What a requirement or a block comes to."""

    GRANTED = "granted"
    DENIED = "denied"
    NEUTRAL = "neutral"
    UNKNOWN = "denied until there is a user"


def decide(
    required: Requirement | Requirements, context: RequestContext, inAll: bool = True
) -> Decision:
    """
    What a requirement or a block comes to (``apply_authz_sections``).

    :param inAll: whether all members of the block around it have to hold.
    :raises EvaluationError: when an expression can't be evaluated.
    """
    if context.request.method not in required.methods:
        return Decision.GRANTED if inAll else Decision.NEUTRAL
    if isinstance(required, Requirement):
        decision = _asked(required, context)
    else:
        decision = _together(required, context)
    if not required.negated:
        return decision
    return Decision.DENIED if decision is Decision.GRANTED else Decision.NEUTRAL


def _asked(required: Requirement, context: RequestContext) -> Decision:
    context.match = None
    holds = required.holds
    if holds if isinstance(holds, bool) else holds(context):
        return Decision.GRANTED
    return Decision.UNKNOWN if required.asksUser else Decision.DENIED


def _together(block: Requirements, context: RequestContext) -> Decision:
    # One of the first kind decides; the second kind gives way to what a user might change.
    final, weak = Decision.GRANTED, Decision.DENIED
    if block.all:
        final, weak = weak, final
    together = Decision.NEUTRAL
    for member in block.members:
        decision = decide(member, context, block.all)
        if decision is final:
            return decision
        if together is Decision.NEUTRAL or (decision is Decision.UNKNOWN and together is weak):
            together = decision
    return together


def blamed(required: Requirement | Requirements, context: RequestContext) -> list[Requirement]:
    """
    The lines because of which a block is not granted: of several that all have to hold
    the first, else all of them.

    :raises EvaluationError: when an expression can't be evaluated.
    """
    if isinstance(required, Requirement):
        return [required]
    decided = [(member, decide(member, context, required.all)) for member in required.members]
    guilty = list(required.members)
    if required.negated:
        guilty = [member for member, decision in decided if decision is Decision.GRANTED]
    elif required.all:
        denied = (Decision.DENIED, Decision.UNKNOWN)
        guilty = [member for member, decision in decided if decision in denied][:1] or guilty
    return [line for member in guilty for line in blamed(member, context)]


def effective(access: AccessSettings | None) -> Requirements | None:
    """The requirements, or ``None`` where everybody may have everything."""
    required = None if access is None else access.requirements
    if required is None:
        return None
    first = required.members[0]
    granted = (
        not required.all
        and isinstance(first, Requirement)
        and first.holds is True
        and first.methods == Methods()
    )
    return None if granted else required


def admit(look: Look, required: Requirements) -> None:
    """
    Refuse what may not be had.

    :raises RequestError: 403; 500 when it can't be found out.
    """
    context = RequestContext(look.request, look)
    try:
        decision = decide(required, context)
    except EvaluationError as error:
        raise RequestError(f"Require expr: {error}", 500) from None
    if decision is not Decision.GRANTED:
        if look.notes is not None:
            look.notes.denied(required, context)
        if decision is Decision.UNKNOWN:
            raise RequestError("access depends on a user, and nobody is authenticated here", 500)
        name = (look.filename or look.uri).decode("utf-8", "backslashreplace")
        raise RequestError(f"client denied by server configuration: {name}", 403)
    look.varies(context.vary)


def holdToMethods(look: Look, allowed: frozenset[bytes]) -> None:
    """
    AllowMethods.

    :raises MethodNotAllowed: when it is none of them.
    """
    method = look.request.method
    if (b"GET" if method == b"HEAD" else method) not in allowed:
        names = allowed | {b"HEAD"} if b"GET" in allowed else allowed
        raise MethodNotAllowed("by AllowMethods", b", ".join(sorted(names)))
